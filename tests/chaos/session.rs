//! One worker: opens sessions one after another, injects a fault into each, and compares what was
//! reported with what was done.

use std::time::Duration;

use lockkeeper_tests::{Cdp, Ended};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use testkit::daemon::Daemon;

use crate::fault::{After, BROWSER_CODE, CLIENT_CODE, Fault, Seen, Truth};
use crate::ledger::Ledger;

/// How long anything may take before it counts as lost: generous, as it only matters when it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// What a sandbox of scripted browsers may use, and what one takes that is to go over it.
pub(crate) const MEMORY: &str = "192 MiB";
const HOG_MIB: u32 = 400;

/// What came of one session.
pub(crate) struct Outcome {
    pub(crate) fault: &'static str,
    pub(crate) truth: Truth,
    /// What was seen instead, if anything was.
    pub(crate) wrong: Option<String>,
}

/// A session that is still open when its daemon is told to end.
pub(crate) struct Held {
    pub(crate) cdp: Cdp,
    pub(crate) sandbox: String,
    /// Sessions that the sandbox had before.
    pub(crate) nth: usize,
}

/// The sandbox that a worker is using.
struct Sandbox {
    id: String,
    url: String,
    sessions: usize,
    browsers: usize,
}

/// One client at a time, against one daemon.
pub(crate) struct Worker<'a> {
    pub(crate) daemon: &'a Daemon,
    pub(crate) ledger: &'a Ledger,
    pub(crate) rng: fastrand::Rng,
    pub(crate) name: String,
    /// Whether the browsers are Chromium, which knows no `Chaos` commands.
    pub(crate) real: bool,
    made: usize,
    sandbox: Option<Sandbox>,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(
        daemon: &'a Daemon,
        ledger: &'a Ledger,
        rng: fastrand::Rng,
        name: String,
        real: bool,
    ) -> Self {
        Self { daemon, ledger, rng, name, real, made: 0, sandbox: None }
    }

    /// Runs that many sessions, or until `go` says that the time is over.
    pub(crate) fn run(&mut self, sessions: usize, go: &dyn Fn() -> bool) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(sessions);
        for _ in 0..sessions {
            if !go() {
                break;
            }
            let fault = loop {
                let fault = Fault::draw(&mut self.rng);
                if !self.real || fault.works_on_chromium() {
                    break fault;
                }
            };
            let wrong = self.session(fault).err();
            if wrong.is_some() {
                // Whatever is wrong with this one must not be blamed on the next.
                self.sandbox = None;
            }
            outcomes.push(Outcome { fault: fault.word(), truth: fault.truth(), wrong });
        }
        outcomes
    }

    /// Opens one more session and leaves it open.
    pub(crate) fn hold(mut self) -> Result<Held, String> {
        let cdp = self.open(Fault::ClientClose)?;
        let sandbox = self.sandbox.take().ok_or("no sandbox")?;
        Ok(Held { cdp, sandbox: sandbox.id, nth: sandbox.sessions - 1 })
    }

    fn session(&mut self, fault: Fault) -> Result<(), String> {
        let mut cdp = self.open(fault)?;
        for _ in 0..self.rng.usize(0..4) {
            cdp.command("Browser.getVersion", &json!({}))?;
        }
        let seen = self.inject(fault, cdp)?;
        let sandbox = self.sandbox.as_mut().ok_or("no sandbox")?;
        let nth = sandbox.sessions - 1;
        let told = self.ledger.wait(&sandbox.id, "cdp_disconnect", nth, PATIENCE)?;
        match fault.after() {
            After::Same => {}
            After::Crashed => sandbox.browsers += 1,
            After::Parked => {
                // A connect brings it back by itself, with the next lifecycle.
                let id = sandbox.id.clone();
                let url = sandbox.url.clone();
                Cdp::open(&url)?.close(CLIENT_CODE)?;
                self.ledger.wait(&id, "cdp_disconnect", nth + 1, PATIENCE)?;
                self.retire()?;
            }
            After::Ended => {
                let stopped = self.ledger.wait(&sandbox.id, "sandbox_stopped", 0, PATIENCE)?;
                self.sandbox = None;
                if stopped["data"]["stop_reason"].as_str() != fault.stop_reason() {
                    return Err(format!("the sandbox ended as {stopped}"));
                }
            }
        }
        compare(fault.truth(), &told, seen.as_ref())
    }

    /// A new session on a sandbox that suits the fault.
    fn open(&mut self, fault: Fault) -> Result<Cdp, String> {
        let worn = self.sandbox.as_ref().is_some_and(|sandbox| {
            // A second crash would be followed by a back-off, which is tested elsewhere.
            sandbox.browsers > 1 && fault.needs_a_browser_without_a_crash()
        });
        if worn || matches!(fault, Fault::BrowserKilledForGood | Fault::Idle) {
            self.retire()?;
        }
        if self.sandbox.is_none() {
            let mut body = json!({ "id": format!("{}-{}", self.name, self.made) });
            self.made += 1;
            if fault == Fault::BrowserKilledForGood {
                body["on_crash"] = json!("stop");
            }
            if fault == Fault::Idle {
                body["idle"] = json!("1s");
            }
            let answer = self.daemon.call("POST", "/v1/sandboxes", Some(&body))?;
            let text = |name: &str| answer.body[name].as_str().map(str::to_owned);
            let (Some(id), Some(url)) = (text("id"), text("ws_url")) else {
                return Err(format!("create was answered {}: {}", answer.status, answer.body));
            };
            self.sandbox = Some(Sandbox { id, url, sessions: 0, browsers: 1 });
        }
        let sandbox = self.sandbox.as_mut().ok_or("no sandbox")?;
        let cdp = Cdp::open(&sandbox.url)?;
        sandbox.sessions += 1;
        Ok(cdp)
    }

    fn retire(&mut self) -> Result<(), String> {
        let Some(sandbox) = self.sandbox.take() else { return Ok(()) };
        self.delete(&sandbox.id)
    }

    fn delete(&self, id: &str) -> Result<(), String> {
        let answer = self.daemon.call("DELETE", &format!("/v1/sandboxes/{id}"), None)?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(format!("delete of {id} was answered {status}: {}", answer.body)),
        }
    }

    /// Does it, and returns what the client saw at the end of its socket.
    fn inject(&self, fault: Fault, mut cdp: Cdp) -> Result<Option<Ended>, String> {
        let sandbox = self.sandbox.as_ref().ok_or("no sandbox")?;
        match fault {
            Fault::ClientClose | Fault::Idle => return cdp.close(CLIENT_CODE).map(Some),
            Fault::ClientGone => return Ok(None),
            Fault::ClientReset => {
                cdp.reset()?;
                return Ok(None);
            }
            // FIN, the first reserved bit, text; masked, no payload (RFC 6455, section 5.2).
            Fault::ClientBadFrame => cdp.raw(&[0b1100_0001, 0b1000_0000, 1, 2, 3, 4])?,
            Fault::ClientOversize => {
                let mut header = vec![0b1000_0001, 0b1111_1111];
                header.extend_from_slice(&(200_u64 << 20).to_be_bytes());
                header.extend_from_slice(&[1, 2, 3, 4]);
                cdp.raw(&header)?;
            }
            Fault::BrowserCloses => {
                cdp.send("Chaos.close", &json!({ "code": BROWSER_CODE, "text": "enough" }))?;
            }
            Fault::BrowserDrops => drop(cdp.send("Chaos.drop", &json!({}))?),
            Fault::BrowserBadFrame => drop(cdp.send("Chaos.badFrame", &json!({}))?),
            Fault::BrowserOversize => drop(cdp.send("Chaos.oversize", &json!({}))?),
            Fault::BrowserHogs => drop(cdp.send("Chaos.hog", &json!({ "mib": HOG_MIB }))?),
            Fault::BrowserExits => drop(cdp.send("Chaos.exit", &json!({ "code": 7 }))?),
            Fault::BrowserClosed => drop(cdp.send("Browser.close", &json!({}))?),
            Fault::BrowserKilled | Fault::BrowserKilledForGood => {
                self.signal(sandbox, Signal::SIGKILL)?;
            }
            Fault::BrowserTerminated => self.signal(sandbox, Signal::SIGTERM)?,
            Fault::Deleted => self.delete(&sandbox.id)?,
            Fault::Paused => {
                let path = format!("/v1/sandboxes/{}/pause", sandbox.id);
                let answer = self.daemon.call("POST", &path, None)?;
                if answer.status != 200 {
                    return Err(format!("{path} was answered {}: {}", answer.status, answer.body));
                }
            }
            Fault::Expired => {
                let path = format!("/v1/sandboxes/{}", sandbox.id);
                let answer = self.daemon.call("PATCH", &path, Some(&json!({ "ttl": "1s" })))?;
                if answer.status != 200 {
                    return Err(format!("{path} was answered {}: {}", answer.status, answer.body));
                }
            }
            Fault::KilledThenDeleted => {
                cdp.command("Chaos.slowStart", &json!({ "ms": 5_000 }))?;
                self.signal(sandbox, Signal::SIGKILL)?;
                let seen = cdp.wait_end(PATIENCE)?;
                self.delete(&sandbox.id)?;
                return Ok(Some(seen));
            }
            Fault::ClosedThenKilled => {
                let seen = cdp.close(CLIENT_CODE)?;
                self.signal(sandbox, Signal::SIGKILL)?;
                return Ok(Some(seen));
            }
        }
        cdp.wait_end(PATIENCE).map(Some)
    }

    fn signal(&self, sandbox: &Sandbox, signal: Signal) -> Result<(), String> {
        let nth = sandbox.browsers - 1;
        let started = self.ledger.wait(&sandbox.id, "browser_started", nth, PATIENCE)?;
        let pid = started["data"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| format!("no pid in {started}"))?;
        kill(Pid::from_raw(pid), signal).map_err(|e| format!("{signal} to browser {pid}: {e}"))
    }
}

impl Fault {
    fn needs_a_browser_without_a_crash(self) -> bool {
        self.after() == After::Crashed || self == Self::KilledThenDeleted
    }

    /// Whether it can be done to Chromium, which has no `Chaos` commands and whose exit code after
    /// a SIGTERM depends on the flavour.
    fn works_on_chromium(self) -> bool {
        match self {
            Self::ClientClose
            | Self::ClientGone
            | Self::ClientReset
            | Self::ClientBadFrame
            | Self::ClientOversize
            | Self::BrowserKilled
            | Self::BrowserKilledForGood
            | Self::BrowserClosed
            | Self::Deleted
            | Self::Paused
            | Self::Expired
            | Self::Idle
            | Self::ClosedThenKilled => true,
            Self::BrowserCloses
            | Self::BrowserDrops
            | Self::BrowserBadFrame
            | Self::BrowserOversize
            | Self::BrowserTerminated
            | Self::BrowserExits
            | Self::BrowserHogs
            | Self::KilledThenDeleted => false,
        }
    }
}

/// Compares the end of a session with the truth.
pub(crate) fn compare(truth: Truth, told: &Value, seen: Option<&Ended>) -> Result<(), String> {
    let data = &told["data"];
    let (reason, detail) = (data["reason"].as_str(), data["detail"].as_str());
    if (reason, detail) != (Some(truth.reason), Some(truth.detail)) {
        return Err(format!("reported as {told}, and the client saw {seen:?}"));
    }
    let (right, code) = match (truth.seen, seen) {
        (Seen::Close(code), Some(Ended::Close(got, _))) => (code == *got, Some(code)),
        (Seen::Nobody, None) | (Seen::Dropped, Some(Ended::Dropped)) => (true, None),
        _ => (false, None),
    };
    if !right {
        return Err(format!("the client saw {seen:?} instead of {}", truth.seen));
    }
    if data["close_code"].as_u64() != code.map(u64::from) {
        return Err(format!("the event has another close code than {code:?}: {told}"));
    }
    Ok(())
}
