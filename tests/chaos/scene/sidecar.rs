//! A browser of somebody else: its log is rotated, it comes back or not, it is there and mute.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lockkeeper_tests::{Cdp, Ended, sidecar};
use serde_json::{Value, json};
use testkit::census::Census;
use testkit::daemon::{Daemon, Events, StateDir};

use super::Stage;
use crate::fault::{Seen, Truth};
use crate::session::{PATIENCE, compare};

const REPLACED: Truth = Truth::new("upstream_changed", "browser_restarted", Seen::Close(1012));
const LOST: Truth = Truth::new("upstream_error", "browser_unreachable", Seen::Close(1012));
/// The first client is dialled for in vain; the next is held, and no dial is tried any more.
const MUTE: [(&str, u16); 2] =
    [("endpoint never answers", 504), ("endpoint known to be mute", 503)];

pub(super) fn a_rotated_log_cuts_nobody(stage: &mut Stage<'_>) -> Result<(), String> {
    let supervisor = Supervisor::new(stage.scripted)?;
    let daemon = sidecar()
        .env("LOCKKEEPER_BROWSER_LOG", supervisor.log().display().to_string())
        .env("LOCKKEEPER_RESTART_WAIT", "2s")
        .env("LOCKKEEPER_HOLD_MAX", "30s")
        .start()?;
    let mut side = Side { events: daemon.events()?, daemon, ends: 0 };
    let mut browser = supervisor.start()?;
    // The first session makes what stays, such as the pool of threads.
    side.session()?.close(1000)?;
    side.ended()?;
    let before = Census::of(side.daemon.pid());
    for _ in 0..3 {
        for (fault, rotate) in ROTATIONS {
            let came = side.rotated(&supervisor, &mut browser, *rotate);
            stage.tell(fault, REPLACED, came);
        }
    }
    let mut cdp = side.session()?;
    drop(browser);
    let seen = cdp.wait_end(PATIENCE)?;
    let came = side.ended().and_then(|end| compare(LOST, &end, Some(&seen)));
    stage.tell("sidecar: SIGKILL, none comes", LOST, came);
    drop(cdp);
    let came = before.wait_until_back(PATIENCE);
    stage.result.wrong.extend(came.err().map(|e| format!("the sidecar: {e}")));
    stage.end(side.daemon)?;
    mute(stage)
}

type Rotation = fn(&Supervisor) -> std::io::Result<()>;

/// What a rotation of logs does: another file under the name, or the same one without its content.
const ROTATIONS: &[(&str, Rotation)] = &[
    ("log renamed, browser replaced", |supervisor| {
        std::fs::rename(supervisor.log(), supervisor.log().with_extension("1"))?;
        File::create(supervisor.log()).map(drop)
    }),
    ("log truncated, browser replaced", |supervisor| {
        std::fs::copy(supervisor.log(), supervisor.log().with_extension("2"))?;
        OpenOptions::new().write(true).truncate(true).open(supervisor.log()).map(drop)
    }),
];

/// A sidecar and how many of its sessions have ended.
struct Side {
    daemon: Daemon,
    events: Events,
    ends: usize,
}

impl Side {
    fn session(&self) -> Result<Cdp, String> {
        let mut cdp = Cdp::open(&self.daemon.ws_base())?;
        cdp.command("Browser.getVersion", &json!({}))?;
        Ok(cdp)
    }

    /// The next end of a session.
    fn ended(&mut self) -> Result<Value, String> {
        self.ends += 1;
        let mut ends = self.events.wait_count("cdp_disconnect", self.ends, PATIENCE)?;
        if ends.len() != self.ends {
            return Err(format!("{} sessions have ended instead of {}", ends.len(), self.ends));
        }
        ends.pop().ok_or_else(|| "no session has ended".to_owned())
    }

    /// The session does not notice the rotation, and hears of the browser that comes after it.
    fn rotated(
        &mut self,
        supervisor: &Supervisor,
        browser: &mut Browser,
        rotate: Rotation,
    ) -> Result<(), String> {
        let mut cdp = self.session()?;
        rotate(supervisor).map_err(|e| format!("the log is not rotated: {e}"))?;
        if let Ok(end) = cdp.wait_end(Duration::from_millis(1_500)) {
            return Err(format!("the rotation of the log ended a session as {end:?}"));
        }
        let mut second = self.session()?;
        second.command("Browser.getVersion", &json!({}))?;
        if second.close(1000)? != Ended::Close(1000, String::new()) {
            return Err("a session after the rotation was not closed in order".to_owned());
        }
        self.ended()?;
        *browser = supervisor.start()?;
        let seen = cdp.wait_end(PATIENCE)?;
        let end = self.ended()?;
        compare(REPLACED, &end, Some(&seen))
    }
}

/// An endpoint that takes connections and never says anything.
fn mute(stage: &mut Stage<'_>) -> Result<(), String> {
    let endpoint = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let address = endpoint.local_addr().map_err(|e| e.to_string())?;
    let daemon = sidecar()
        .env("LOCKKEEPER_BROWSER_URL", format!("ws://{address}/devtools/browser/mute"))
        .env("LOCKKEEPER_HOLD_MAX", "2s")
        .start()?;
    let events = daemon.events()?;
    for (nth, (fault, status)) in MUTE.into_iter().enumerate() {
        let truth = Truth::new("upstream_error", "browser_unreachable", Seen::Refused(status));
        let seen = Cdp::open_with(&daemon.ws_base(), &[]).err().map(|refused| refused.status());
        let told = events.wait_count("cdp_refused", nth + 1, PATIENCE)?;
        let data = told.last().map(|event| &event["data"]).cloned().unwrap_or_default();
        let right = data["reason"] == truth.reason && data["detail"] == truth.detail;
        let came = match seen {
            Some(seen) if seen == status && right => Ok(()),
            _ => Err(format!("answered {seen:?} and told as {data}")),
        };
        stage.tell(fault, truth, came);
    }
    stage.end(daemon)
}

/// Starts one browser after the other, all with the same log.
struct Supervisor<'a> {
    program: &'a Path,
    folder: Arc<StateDir>,
}

impl<'a> Supervisor<'a> {
    fn new(program: &'a Path) -> Result<Self, String> {
        let folder = StateDir::create().map_err(|e| e.to_string())?;
        Ok(Self { program, folder })
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("browser.log")
    }

    fn start(&self) -> Result<Browser, String> {
        let open = OpenOptions::new().create(true).append(true).open(self.log());
        let log = open.map_err(|e| format!("{}: {e}", self.log().display()))?;
        Command::new(self.program)
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", self.folder.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map(Browser)
            .map_err(|e| format!("{}: {e}", self.program.display()))
    }
}

/// A running browser. Dropping it, or putting another one into its place, kills it.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
