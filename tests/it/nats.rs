//! A NATS server for tests whose events are kept beside the node.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::daemon::StateDir;

/// How long it may take to listen.
const LIMIT: Duration = Duration::from_secs(20);

/// A server on a free port; dropping it kills it.
pub struct NatsServer {
    folder: Arc<StateDir>,
    port: u16,
    child: Option<Child>,
}

impl NatsServer {
    /// What a machine lacks for it, if it lacks something.
    pub fn missing() -> Option<&'static str> {
        program().is_none().then_some("needs nats-server: cargo xtask setup")
    }

    /// Starts one with an empty folder.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn start() -> Result<Self, String> {
        let free = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let port = free.local_addr().map_err(|e| e.to_string())?.port();
        drop(free);
        let folder = StateDir::create().map_err(|e| e.to_string())?;
        let mut server = Self { folder, port, child: None };
        server.run()?;
        Ok(server)
    }

    /// Where it listens, as the daemon's setting wants it.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Runs it, after it was killed too, and waits until it listens.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn run(&mut self) -> Result<(), String> {
        let mut command = Command::new(program().ok_or("there is no nats-server")?);
        command.args(["--jetstream", "--addr", "127.0.0.1", "--port", &self.port.to_string()]);
        command.arg("--store_dir").arg(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().map_err(|e| e.to_string())?);
        let until = Instant::now() + LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if Instant::now() > until {
                return Err("the NATS server does not listen".to_owned());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
    named.chain([PathBuf::from("/usr/sbin/nats-server")]).find(|path| path.is_file())
}
