//! A real server on a free port with a folder of its own.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventlog::jetstream::{JetStreamOptions, JetStreamStore};
use eventlog::{BoxFuture, LogName, Store};
use tempfile::TempDir;

use crate::suite::Backend;

/// Where the system's package puts it, unless it is in `PATH`.
const USUAL: &str = "/usr/sbin/nats-server";

/// The server's program, if it is installed.
pub(crate) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
    named.chain([PathBuf::from(USUAL)]).find(|path| path.is_file())
}

/// A running server; dropping it kills it.
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut server = Self { folder: TempDir::new().unwrap(), port, child: None };
        server.start();
        server
    }

    /// Starts it, after it was ended too, and waits until it listens.
    pub(crate) fn start(&mut self) {
        // It ends with this thread, also when the test is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program().unwrap());
        command.args(["--jetstream", "--addr", "127.0.0.1", "--port", &self.port.to_string()]);
        command.arg("--store_dir").arg(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(Instant::now() < until && ended.is_none(), "no server: {ended:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// As a loss of its process does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops its process, and returns when each of its threads has: those that run on another
    /// processor do so a moment after the signal.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
        let tasks = format!("/proc/{}/task", self.child.as_ref().unwrap().id());
        let stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('T'))
        };
        let until = Instant::now() + Duration::from_secs(20);
        while !std::fs::read_dir(&tasks).unwrap().flatten().all(stopped) {
            assert!(Instant::now() < until, "the server does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets a frozen process go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub(crate) fn options(&self) -> JetStreamOptions {
        let server = format!("nats://127.0.0.1:{}", self.port);
        JetStreamOptions::new(server, LogName::new("test").unwrap())
    }

    pub(crate) async fn connect(&self) -> Arc<dyn Store> {
        Arc::new(JetStreamStore::connect(self.options()).await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Backend for Server {
    fn start(&mut self) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(self.connect())
    }

    fn survives(&self) -> bool {
        true
    }
}
