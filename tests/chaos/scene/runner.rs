//! Agents: their runner is frozen, its host falls silent, and it is killed in a run.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lockkeeper_tests::{clients, gateway, node};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use testkit::census::Census;
use testkit::daemon::{Client, Daemon};

use super::{Stage, wait_until};
use crate::fault::Truth;
use crate::session::PATIENCE;

const BACK: Truth = Truth::fact("left, found again, each event once");
const TRUNCATED: Truth = Truth::fact("RUNNER_TRUNCATED, found again");
const SESSION: &str = "/v1/projects/p/sessions/one";

pub(super) fn missing() -> Option<&'static str> {
    let there = clients().join("node_modules/.bin/node").exists();
    (!there).then_some("needs the clients' packages: cargo xtask setup")
}

pub(super) fn runners_that_fail_lose_no_event(stage: &mut Stage<'_>) -> Result<(), String> {
    let gateway = gateway().start()?;
    // What is made once and stays, such as the pool of threads, is not a leak.
    gateway.call("GET", "/readyz", None)?;
    let before = Census::of(gateway.pid());
    let runner = node("runner.mjs", &[])?;
    let ready = runner.wait_step("ready", PATIENCE)?;
    let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(|| format!("the runner has no port: {ready}"))?;
    let road = Road::to(port)?;
    let settings = json!({
        "runner_url": format!("http://127.0.0.1:{}", road.port),
        "idle_timeout_ms": 3_000, "retry_min_ms": 100,
    });
    let put = gateway.call("PUT", SESSION, Some(&settings))?;
    if put.status != 201 {
        return Err(format!("the session was answered {put:?}"));
    }
    let mut agents = Agents { gateway, runner, port, said: 0 };
    agents.wait("listens", |s| s["listener"]["state"] == "streaming")?;
    for _ in 0..2 {
        agents.say(stage.rng.u64(1..5))?;
        let came = agents.frozen();
        stage.tell("runner SIGSTOP, SIGCONT", BACK, came);
        let came = agents.half_open(&road);
        stage.tell("runner's host falls silent", BACK, came);
    }
    let came = agents.killed();
    stage.tell("runner SIGKILL in a run", TRUNCATED, came);
    let deleted = agents.gateway.call("DELETE", SESSION, None)?;
    if !(200..300).contains(&deleted.status) {
        stage.result.wrong.push(format!("the session's end was answered {deleted:?}"));
    }
    let came = before.wait_until_back(PATIENCE);
    stage.result.wrong.extend(came.err().map(|e| format!("listenerd: {e}")));
    drop(agents.runner);
    stage.end(agents.gateway)
}

struct Agents {
    gateway: Daemon,
    runner: Client,
    port: u16,
    /// Events that the runner has said.
    said: u64,
}

impl Agents {
    fn wait(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value, String> {
        wait_until(what, || {
            let status = self.gateway.call("GET", &format!("{SESSION}/status"), None)?.body;
            Ok(holds(&status).then_some(status))
        })
    }

    /// Lets the runner say so many more events, past whatever is between it and the gateway.
    fn say(&mut self, events: u64) -> Result<(), String> {
        let mut lines = String::new();
        for _ in 0..events {
            self.said += 1;
            let event = json!({ "type": "CUSTOM", "name": "n", "value": self.said });
            lines += &format!("{event}\n");
        }
        let failed = |e: std::io::Error| format!("the runner: {e}");
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).map_err(failed)?;
        let length = lines.len();
        let head = format!(
            "POST /push HTTP/1.1\r\nHost: r\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        socket.write_all((head + &lines).as_bytes()).map_err(failed)?;
        socket.read_to_end(&mut Vec::new()).map(drop).map_err(failed)
    }

    /// What was said is in the log, once, in order.
    fn all_said(&self) -> Result<(), String> {
        let mut values: Vec<u64> = Vec::new();
        let wanted: Vec<u64> = (1..=self.said).collect();
        let waited = wait_until("all is in the log", || {
            let path = format!("{SESSION}/export?form=records");
            let body = self.gateway.call("GET", &path, None)?.body;
            let custom = records(&body).into_iter().filter(|record| record["type"] == "CUSTOM");
            values = custom.filter_map(|record| value(&record)).collect();
            Ok((values.len() >= wanted.len()).then(Value::default))
        });
        match waited {
            Ok(_) if values == wanted => Ok(()),
            _ => Err(format!("said 1 to {}, logged {values:?}", self.said)),
        }
    }

    fn frozen(&mut self) -> Result<(), String> {
        let runner = Pid::from_raw(self.runner.pid());
        kill(runner, Signal::SIGSTOP).map_err(|e| e.to_string())?;
        let left = self.wait("left", |s| s["listener"]["state"] != "streaming");
        kill(runner, Signal::SIGCONT).map_err(|e| e.to_string())?;
        left?;
        self.wait("found again", |s| s["listener"]["state"] == "streaming")?;
        self.say(2)?;
        self.all_said()
    }

    fn half_open(&mut self, road: &Road) -> Result<(), String> {
        road.fall_silent();
        self.say(3)?;
        self.wait("left or found", |s| s["listener"]["state"] != "streaming")?;
        self.wait("found again", |s| s["listener"]["state"] == "streaming")?;
        self.all_said()
    }

    fn killed(&mut self) -> Result<(), String> {
        let message = json!({ "id": "m", "role": "user", "content": "hang" });
        let body = json!({ "messages": [message] });
        let run = self.gateway.call("POST", &format!("{SESSION}/agui/run"), Some(&body))?;
        if run.status != 202 {
            return Err(format!("the run was answered {run:?}"));
        }
        self.wait("begun", |s| s["lane"]["open_run"]["began"] == "client")?;
        kill(Pid::from_raw(self.runner.pid()), Signal::SIGKILL).map_err(|e| e.to_string())?;
        let status = self.wait("ended", |s| s["agent"]["status"] == "idle")?;
        if status["agent"]["last_error"]["code"] != "RUNNER_TRUNCATED" {
            return Err(format!("the run of a killed runner ended as {status}"));
        }
        self.runner = node("runner.mjs", &[&self.port.to_string()])?;
        self.runner.wait_step("ready", PATIENCE)?;
        self.wait("found again", |s| s["listener"]["state"] == "streaming")?;
        self.all_said()
    }
}

/// A body of one line is read as JSON, one of several as text.
fn records(body: &Value) -> Vec<Value> {
    match body {
        Value::String(text) => {
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        }
        one => vec![one.clone()],
    }
}

fn value(record: &Value) -> Option<u64> {
    serde_json::from_str::<Value>(record["data"].as_str()?).ok()?["value"].as_u64()
}

/// The road to a runner. When it falls silent, the connections of before stay open and carry
/// nothing any more, as after the loss of a host; later ones are carried.
struct Road {
    port: u16,
    /// Connections of an older age carry nothing.
    age: Arc<AtomicU64>,
    /// Both ends of each connection, so that none is closed before the road is.
    kept: Arc<Mutex<Vec<TcpStream>>>,
}

impl Road {
    fn to(runner: u16) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        let road = Self { port, age: Arc::default(), kept: Arc::default() };
        let (age, kept) = (Arc::clone(&road.age), Arc::clone(&road.kept));
        std::thread::spawn(move || {
            for here in listener.incoming().flatten() {
                // Nobody there: this end is dropped, as a host without a listener would.
                let Ok(there) = TcpStream::connect(("127.0.0.1", runner)) else { continue };
                for (from, to) in [(&here, &there), (&there, &here)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let (age, born) = (Arc::clone(&age), age.load(Ordering::SeqCst));
                    std::thread::spawn(move || {
                        carry(from, to, &|| age.load(Ordering::SeqCst) == born)
                    });
                }
                let mut kept = kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                kept.extend([here, there]);
            }
        });
        Ok(road)
    }

    fn fall_silent(&self) {
        self.age.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        for stream in self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..)
        {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Carries bytes, and the end of them, for as long as the road does.
fn carry(mut from: TcpStream, mut to: TcpStream, goes: &dyn Fn() -> bool) {
    let mut bytes = [0; 16 << 10];
    loop {
        let read = from.read(&mut bytes);
        if !goes() {
            return;
        }
        match read {
            Ok(length @ 1..) if to.write_all(&bytes[..length]).is_ok() => {}
            Ok(_) | Err(_) => {
                let _ = to.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }
}
