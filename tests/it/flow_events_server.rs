//! Events are kept in a server beside the node.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lockkeeper_tests::{Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::Daemon;

crate::facts! {
    events_in_a_server_outlive_the_node_and_its_folder,
}

const LIMIT: Duration = Duration::from_secs(20);

/// What a machine lacks for these tests, if it lacks something.
pub(crate) fn missing() -> Option<&'static str> {
    program().is_none().then_some("needs nats-server: cargo xtask setup")
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
    named.chain([PathBuf::from("/usr/sbin/nats-server")]).find(|path| path.is_file())
}

/// A server on a free port; dropping it kills it.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    fn start() -> Result<Self, String> {
        let free = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let port = free.local_addr().map_err(|e| e.to_string())?.port();
        drop(free);
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut server = Self { folder, port, child: None };
        server.run()?;
        Ok(server)
    }

    /// Runs it, after it was killed too, and waits until it listens.
    fn run(&mut self) -> Outcome {
        let mut command = Command::new(program().ok_or("there is no nats-server")?);
        command.args(["--jetstream", "--addr", "127.0.0.1", "--port", &self.port.to_string()]);
        command.arg("--store_dir").arg(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().map_err(|e| e.to_string())?);
        let until = Instant::now() + LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            must!(Instant::now() < until, "the NATS server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Posts an event until it is taken, and gives its offset.
fn post(daemon: &Daemon) -> Result<u64, String> {
    let until = Instant::now() + LIMIT;
    loop {
        let event = json!({ "type": "test_event", "category": "system" });
        let answer = daemon.call("POST", "/v1/telemetry/events", Some(&event))?;
        match answer.body["offset"].as_u64() {
            Some(offset) => return Ok(offset),
            None => must!(Instant::now() < until, "not taken: {answer:?}"),
        }
    }
}

fn events_in_a_server_outlive_the_node_and_its_folder() -> Outcome {
    let mut server = Server::start()?;
    let start = || {
        let address = format!("nats://127.0.0.1:{}", server.port);
        daemon().env("LOCKKEEPER_EVENT_LOG", address).env("LOCKKEEPER_NODE_ID", "one.node").start()
    };
    let mut first = start()?;
    let newest = post(&first)?;
    let told = first.events()?;
    told.wait_for("the newest event", LIMIT, |e| e["offset"] == newest)?;
    let before = told.all();
    first.signal(Signal::SIGKILL);
    first.wait_exit(LIMIT)?;
    must!(!first.state().path().join("events").exists(), "there is a database too");

    // Another folder, the same node.
    let mut second = start()?;
    let told = second.events()?;
    told.wait_for("a start behind them", LIMIT, |e| {
        e["type"] == "node_started" && e["offset"].as_u64() > Some(newest)
    })?;
    let after = told.all();
    must!(after[..before.len()] == before, "{before:?} is not the beginning of {after:?}");

    server.kill();
    server.run()?;
    let again = post(&second)?;
    must!(again > newest, "{again} was given out before");
    second.signal(Signal::SIGTERM);
    let status = second.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", second.log());
    Ok(())
}
