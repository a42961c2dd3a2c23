//! Starts a real daemon as its own process, talks to it, signals it, and proves that it left nothing.

mod agent;
mod client;
mod events;
mod secrets;

pub use client::Client;
pub use events::Events;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::procs::{self, Proc};

/// How long a daemon may take to say that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// What to start.
#[derive(Clone)]
pub struct Options {
    binary: PathBuf,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    state: Option<Arc<StateDir>>,
    trusted: Option<String>,
    echo: bool,
}

/// A state folder that lives as long as somebody holds it, so that a second daemon can take it over.
pub struct StateDir(tempfile::TempDir);

impl StateDir {
    /// A new empty folder that the sandboxes' users can reach.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create() -> std::io::Result<Arc<Self>> {
        let dir = tempfile::Builder::new().prefix("lockkeeper-").tempdir()?;
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
        Ok(Arc::new(Self(dir)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Options {
    /// `binary` on a free loopback port with a new state folder and a short drain.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let env = [
            ("LOCKKEEPER_API_LISTEN", "127.0.0.1:0"),
            ("LOCKKEEPER_LOG", "info"),
            ("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "2s"),
        ];
        Self {
            binary: binary.into(),
            args: Vec::new(),
            env: env.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            state: None,
            trusted: None,
            echo: false,
        }
    }

    /// Sets one environment variable, or replaces a default.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a command-line argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Starts it through another program, which is to become it: `args`, then the binary and its own
    /// arguments.
    #[must_use]
    pub fn wrapped(mut self, program: &str, args: &[&str]) -> Self {
        let binary = std::mem::replace(&mut self.binary, program.into());
        let args = args.iter().map(|arg| (*arg).to_owned());
        let binary = binary.to_string_lossy().into_owned();
        self.args = args.chain([binary]).chain(std::mem::take(&mut self.args)).collect();
        self
    }

    /// Trusts certificates that this one, as PEM, has signed: for a daemon that speaks TLS.
    #[must_use]
    pub fn trusting(mut self, authority: impl Into<String>) -> Self {
        self.trusted = Some(authority.into());
        self
    }

    /// Uses an existing state folder.
    #[must_use]
    pub fn state(mut self, state: Arc<StateDir>) -> Self {
        self.state = Some(state);
        self
    }

    /// Shows the daemon's log on standard error as it comes.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Starts the daemon and waits until it says that it is ready.
    ///
    /// # Errors
    /// Its log, when it ended or was not ready in time.
    pub fn start(self) -> Result<Daemon, String> {
        let mut started = self.spawn()?;
        match started.ready.recv_timeout(READY_LIMIT) {
            Ok(base) => {
                started.daemon.base = base;
                Ok(started.daemon)
            }
            Err(e) => {
                let exit = started.daemon.child.try_wait().ok().flatten();
                Err(format!("not ready ({e}; exit {exit:?}); its log:\n{}", started.daemon.log()))
            }
        }
    }

    /// Starts the daemon and waits for its end, for starts that must fail: exit status and log.
    ///
    /// # Errors
    /// When it cannot be started or still runs after `limit`.
    pub fn run_to_end(self, limit: Duration) -> Result<(ExitStatus, String), String> {
        let mut started = self.spawn()?;
        let status = started.daemon.wait_exit(limit)?;
        Ok((status, started.daemon.log()))
    }

    fn spawn(self) -> Result<Started, String> {
        let state = match self.state {
            Some(state) => state,
            None => StateDir::create().map_err(|e| format!("no state folder: {e}"))?,
        };
        let mut child = Command::new(&self.binary)
            .args(&self.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LOCKKEEPER_STATE_DIR", state.path())
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| {
                let name = self.binary.display();
                format!("{name} did not start: {e}; build it with: cargo xtask test")
            })?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (tell, ready) = mpsc::sync_channel(1);
        let log = Arc::new(Mutex::new(String::new()));
        let theirs = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout.expect("piped")).lines().map_while(Result::ok) {
                if let Some(base) = line.strip_prefix("ready ") {
                    let _ = tell.try_send(base.trim().to_owned());
                }
            }
        });
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr.expect("piped")).lines().map_while(Result::ok) {
                if self.echo {
                    eprintln!("    {line}");
                }
                let mut log = theirs.lock().expect("no panic under this lock");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let daemon = Daemon {
            child,
            base: String::new(),
            state,
            log,
            reader: Some(reader),
            family: BTreeSet::new(),
            token: self.env.get("LOCKKEEPER_TOKEN").cloned(),
            trusted: self.trusted,
        };
        Ok(Started { daemon, ready })
    }
}

struct Started {
    daemon: Daemon,
    ready: mpsc::Receiver<String>,
}

/// A running daemon. Dropping it kills it; its sandboxes die with it.
pub struct Daemon {
    child: Child,
    base: String,
    state: Arc<StateDir>,
    log: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
    family: BTreeSet<Proc>,
    token: Option<String>,
    trusted: Option<String>,
}

/// An HTTP answer: status, headers by lower-case name, body as JSON or else as a JSON string.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Value,
}

impl Daemon {
    /// `http://127.0.0.1:PORT`, or `https` if it speaks TLS.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `ws://127.0.0.1:PORT`, or `wss`.
    pub fn ws_base(&self) -> String {
        self.base.replacen("http", "ws", 1)
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The state folder, to be handed to the next daemon.
    pub fn state(&self) -> Arc<StateDir> {
        Arc::clone(&self.state)
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic under this lock").clone()
    }

    /// One API call; `body` is sent as JSON.
    ///
    /// # Errors
    /// When no answer came.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        let text = body.map(Value::to_string);
        self.call_with(method, path, &[("content-type", "application/json")], text.as_deref())
    }

    /// One API call with its own headers and raw body.
    ///
    /// # Errors
    /// When no answer came.
    pub fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Answer, String> {
        let agent = agent::of_calls(self.trusted.as_deref())?;
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token
            && !headers.iter().any(|(name, _)| *name == "authorization")
        {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let failed = |e: &dyn std::fmt::Display| format!("{method} {path}: {e}");
        let answer = match body {
            Some(text) => agent.run(request.body(text.to_owned()).map_err(|e| failed(&e))?),
            None => agent.run(request.body(()).map_err(|e| failed(&e))?),
        };
        let mut answer = answer.map_err(|e| failed(&e))?;
        let text = answer.body_mut().read_to_string().map_err(|e| failed(&e))?;
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: answer
                .headers()
                .iter()
                .map(|(k, v)| (k.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
                .collect(),
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }

    /// Creates a sandbox and returns its answer.
    ///
    /// # Errors
    /// The answer, when it is not a success.
    pub fn create(&mut self, body: &Value) -> Result<Value, String> {
        let answer = self.call("POST", "/v1/sandboxes", Some(body))?;
        self.remember();
        if (200..300).contains(&answer.status) {
            Ok(answer.body)
        } else {
            Err(format!("create was answered {}: {}", answer.status, answer.body))
        }
    }

    /// Its events from the first on.
    ///
    /// # Errors
    /// When the stream does not open.
    pub fn events(&self) -> Result<Events, String> {
        Events::follow(&self.base, self.token.as_deref(), self.trusted.as_deref())
    }

    /// Its events from now on.
    ///
    /// # Errors
    /// When the stream does not open.
    pub fn events_from_now(&self) -> Result<Events, String> {
        Events::follow_from_now(&self.base, self.token.as_deref(), self.trusted.as_deref())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    /// Takes note of the processes it has now, for `assert_nothing_left`.
    pub fn remember(&mut self) {
        self.family.extend(procs::descendants(self.pid()));
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Its log, when it still runs after `limit`.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let until = Instant::now() + limit;
        loop {
            self.remember();
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    if let Some(reader) = self.reader.take() {
                        let _ = reader.join();
                    }
                    return Ok(status);
                }
                Ok(None) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Ok(None) => {
                    return Err(format!("still runs after {limit:?}; its log:\n{}", self.log()));
                }
                Err(e) => return Err(format!("cannot be waited for: {e}")),
            }
        }
    }

    /// After its end: no process of its family runs, none mentions its folder, no sandbox folder is left.
    ///
    /// # Errors
    /// What is left.
    pub fn assert_nothing_left(&self, limit: Duration) -> Result<(), String> {
        procs::wait_all_gone(&self.family, limit)
            .map_err(|left| format!("processes are left: {left:?}"))?;
        let strays = procs::mentioning(self.state.path());
        procs::wait_all_gone(&strays, limit)
            .map_err(|left| format!("processes still use the state folder: {left:?}"))?;
        let folder = self.state.path().join("sandboxes");
        let left: Vec<_> = std::fs::read_dir(&folder)
            .map(|entries| entries.filter_map(|e| Some(e.ok()?.file_name())).collect())
            .unwrap_or_default();
        if left.is_empty() { Ok(()) } else { Err(format!("folders are left: {left:?}")) }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.remember();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = procs::wait_all_gone(&self.family, Duration::from_secs(3));
    }
}
