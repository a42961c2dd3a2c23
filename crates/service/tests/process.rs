//! The example as a real process: real signals, a real socket of a supervisor, real exit codes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes, so that only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The example that cargo built beside this test.
fn example() -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    let folder = this.parent().and_then(Path::parent).expect("target/debug");
    let example = folder.join("examples/sleeperd");
    assert!(example.exists(), "{} is missing: cargo test -p service builds it", example.display());
    example
}

fn command(state: &Path) -> Command {
    let mut command = Command::new(example());
    command
        .env_clear()
        .env("LOCKKEEPER_STATE_DIR", state)
        .env("LOCKKEEPER_API_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A daemon that is ready. Killed when dropped.
struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("ready http://").map(str::to_owned);
        Self { address: address.unwrap_or_else(|| panic!("not ready: {line:?}")), child }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a pid");
        kill_process(pid, signal).expect("it runs");
    }

    /// Sends a request; the answer is read by [`answer`].
    fn ask(&self, method: &str, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        stream
    }

    /// Asks until the answer holds `wanted`.
    fn ask_until(&self, path: &str, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = answer(self.ask("GET", path));
            if text.contains(wanted) {
                return;
            }
            assert!(Instant::now() < until, "{path} never said {wanted:?}, but {text}");
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

fn wait(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        assert!(Instant::now() < until, "it still runs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs to the end: exit code and what was said on standard error.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.spawn().expect("it starts");
    let status = wait(&mut child);
    let mut text = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut text).expect("text");
    (status.code(), text)
}

#[test]
fn sigterm_waits_for_what_was_let_in_refuses_more_and_exits_0() {
    let state = tempfile::tempdir().expect("a folder");
    let mut daemon = Daemon::start(command(state.path()).env("LOCKKEEPER_NAP", "1s"));
    let began = Instant::now();
    let sleeper = daemon.ask("POST", "/sleep");
    daemon.ask_until("/", "1 asleep");
    daemon.signal(Signal::TERM);
    daemon.ask_until("/readyz", "503");
    let refused = answer(daemon.ask("POST", "/sleep"));
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(answer(sleeper).ends_with("slept\n"));
    assert_eq!(wait(&mut daemon.child).code(), Some(0));
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn the_force_switch_wakes_the_sleepers_and_exits_0() {
    let state = tempfile::tempdir().expect("a folder");
    let mut daemon =
        Daemon::start(command(state.path()).env("LOCKKEEPER_NAP", "1h").env("FORCE_STOP", "true"));
    let sleeper = daemon.ask("POST", "/sleep");
    daemon.ask_until("/", "1 asleep");
    daemon.signal(Signal::INT);
    assert!(answer(sleeper).ends_with("woken\n"));
    assert_eq!(wait(&mut daemon.child).code(), Some(0));
}

#[test]
fn the_drain_deadline_wakes_the_sleepers_and_exits_0() {
    let state = tempfile::tempdir().expect("a folder");
    let mut settings = command(state.path());
    settings.env("LOCKKEEPER_NAP", "1h").env("SHUTDOWN_DRAIN_TIMEOUT", "200ms");
    let mut daemon = Daemon::start(&mut settings);
    let sleeper = daemon.ask("POST", "/sleep");
    daemon.ask_until("/", "1 asleep");
    daemon.signal(Signal::USR1);
    assert!(answer(sleeper).ends_with("woken\n"));
    assert_eq!(wait(&mut daemon.child).code(), Some(0));
}

#[test]
fn the_supervisor_hears_ready_then_stopping_and_more_time() {
    let state = tempfile::tempdir().expect("a folder");
    let path = state.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut daemon = Daemon::start(command(state.path()).env("NOTIFY_SOCKET", &path));
    let mut heard = String::new();
    let mut hear = |wanted: &str| {
        while !heard.contains(wanted) {
            let mut bytes = [0; 1024];
            let count = socket.recv(&mut bytes).unwrap_or_else(|e| panic!("{e} after {heard}"));
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        heard.clone()
    };
    let before = hear("READY=1\n");
    assert!(!before.contains("STOPPING"), "{before}");
    daemon.signal(Signal::TERM);
    let after = hear("EXTEND_TIMEOUT_USEC=30000000\n");
    assert!(after.contains("STOPPING=1\n"), "{after}");
    assert_eq!(wait(&mut daemon.child).code(), Some(0));
}

#[test]
fn a_second_process_on_the_same_folder_exits_73_and_names_the_first() {
    let state = tempfile::tempdir().expect("a folder");
    let mut first = Daemon::start(&mut command(state.path()));
    let (code, text) = run(&mut command(state.path()));
    assert_eq!(code, Some(73), "{text}");
    assert!(text.contains(&format!("process {}", first.child.id())), "{text}");
    // However the first one ends, the next start works.
    first.signal(Signal::KILL);
    wait(&mut first.child);
    let next = Daemon::start(&mut command(state.path()));
    next.ask_until("/readyz", "200");
}

#[test]
fn mistakes_in_the_settings_are_all_named_and_exit_64() {
    let state = tempfile::tempdir().expect("a folder");
    let mut settings = command(state.path());
    settings.env("LOCKKEEPER_API_LISTEN", "0.0.0.0:0").env("LOCKKEEPER_NAP", "soon");
    let (code, text) = run(settings.arg("--bdy-limit=1"));
    assert_eq!(code, Some(64), "{text}");
    for part in ["3 mistakes", "there is no TOKEN", "LOCKKEEPER_NAP", "did you mean --body-limit?"]
    {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    assert!(!state.path().join("lock").exists(), "nothing was started");
}

#[test]
fn a_taken_port_exits_69_with_the_remedy() {
    let (one, two) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let first = Daemon::start(&mut command(one.path()));
    let (code, text) = run(command(two.path()).env("LOCKKEEPER_API_LISTEN", &first.address));
    assert_eq!(code, Some(69), "{text}");
    assert!(text.contains("choose another address with LOCKKEEPER_API_LISTEN"), "{text}");
}
