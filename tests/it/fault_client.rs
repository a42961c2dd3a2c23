//! The client fails.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Certified, Outcome, daemon, must};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use testkit::procs;

crate::facts! {
    a_client_that_vanishes_is_not_a_clean_close,
    a_killed_playwright_has_vanished,
    a_malformed_frame_is_the_clients_fault,
    sessions_leave_no_descriptor_behind,
}

/// What a machine may not allow.
pub(crate) const AS_ROOT: &[crate::Fact] = &[(
    "a_client_whose_host_disappears_has_vanished_within_65_seconds",
    a_client_whose_host_disappears_has_vanished_within_65_seconds,
)];

const SOON: Duration = Duration::from_secs(6);

fn a_client_that_vanishes_is_not_a_clean_close() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    drop(cdp);
    let end = events.wait_for("disconnect", SOON, |e| e["type"] == "cdp_disconnect")?;
    must!(end["data"]["reason"] == "client_close", "{end}");
    must!(end["data"]["detail"] == "client_vanished", "{end}");
    must!(end["data"].get("close_code").is_none(), "{end}");
    Ok(())
}

fn a_killed_playwright_has_vanished() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let endpoint = sandbox["cdp_url"].as_str().unwrap_or_default();
    let playing = lockkeeper_tests::node("playwright.mjs", &["hold", endpoint])?;
    playing.wait_step("holding", Duration::from_secs(30))?;
    kill(Pid::from_raw(playing.pid()), Signal::SIGKILL).map_err(|e| e.to_string())?;
    let end = events.wait_for("disconnect", SOON, |e| e["type"] == "cdp_disconnect")?;
    must!(end["data"]["detail"] == "client_vanished", "{end}");
    Ok(())
}

fn a_malformed_frame_is_the_clients_fault() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let url = sandbox["ws_url"].as_str().unwrap_or_default();
    // An unmasked text frame, a reserved bit, a reserved opcode.
    for (n, bytes) in [[0x81, 0x00], [0xc1, 0x80], [0x83, 0x80]].into_iter().enumerate() {
        let mut cdp = Cdp::open(url)?;
        cdp.command("Browser.getVersion", &json!({}))?;
        cdp.into_stream().write_all(&bytes).map_err(|e| e.to_string())?;
        let ends = events.wait_count("cdp_disconnect", n + 1, SOON)?;
        let end = &ends[n];
        must!(end["data"]["reason"] == "client_close", "{bytes:?}: {end}");
        must!(end["data"]["detail"] == "client_protocol_error", "{bytes:?}: {end}");
        must!(end["data"]["error"].is_string(), "{bytes:?}: the rule is missing: {end}");
    }
    Ok(())
}

fn sessions_leave_no_descriptor_behind() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let url = sandbox["ws_url"].as_str().unwrap_or_default();
    let settle = |wanted: usize, limit: Duration| -> Result<usize, String> {
        let until = Instant::now() + limit;
        loop {
            let now = procs::open_files(daemon.pid()).ok_or("the daemon has gone")?;
            if now <= wanted || Instant::now() > until {
                return Ok(now);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    Cdp::open(url)?.close(1000)?;
    let before = settle(0, Duration::from_secs(1))?;
    for n in 0..40 {
        let mut cdp = Cdp::open(url)?;
        cdp.command("Browser.getVersion", &json!({}))?;
        if n % 2 == 0 {
            cdp.close(1000)?;
        }
    }
    let after = settle(before, SOON)?;
    must!(after <= before, "{before} descriptors before 40 sessions, {after} after");
    Ok(())
}

/// Another host: a network namespace behind a pair of interfaces. It is gone when this is dropped.
struct OtherHost {
    name: String,
}

impl OtherHost {
    /// Our address as the other host sees it.
    const OURS: &str = "198.18.77.1";

    fn new() -> Result<Self, String> {
        let host = Self { name: format!("lk-test-{}", std::process::id()) };
        let (name, link) = (host.name.as_str(), format!("lkt{}", std::process::id()));
        ip(&["netns", "add", name])?;
        ip(&["link", "add", &link, "type", "veth", "peer", "name", "up0", "netns", name])?;
        ip(&["addr", "add", &format!("{}/30", Self::OURS), "dev", &link])?;
        ip(&["link", "set", &link, "up"])?;
        ip(&["-n", name, "addr", "add", "198.18.77.2/30", "dev", "up0"])?;
        ip(&["-n", name, "link", "set", "up0", "up"])?;
        Ok(host)
    }

    /// Opens a session from there.
    fn open(&self, url: &str, token: &str) -> Result<Cdp, String> {
        let bearer = format!("Bearer {token}");
        self.there(|| {
            let opened = Cdp::open_with(url, &[("authorization", &bearer)]);
            opened.map_err(|refused| format!("{} {}", refused.status(), refused.text()))
        })
    }

    /// Makes a socket there.
    fn there<T: Send>(&self, open: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
        let there = File::open(format!("/run/netns/{}", self.name)).map_err(|e| e.to_string())?;
        // The namespace is that of the thread which makes the socket, so the thread ends with it.
        std::thread::scope(|scope| {
            let opened = scope.spawn(|| {
                setns(there, CloneFlags::CLONE_NEWNET).map_err(|e| e.to_string())?;
                open()
            });
            opened.join().map_err(|_| "the thread panicked".to_owned())?
        })
    }

    /// From now on nothing comes from there any more, not even an acknowledgement.
    fn disappear(&self) -> Result<(), String> {
        ip(&["-n", &self.name, "route", "add", "blackhole", &format!("{}/32", Self::OURS)])
    }
}

impl Drop for OtherHost {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|e| format!("ip: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {args:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

fn a_client_whose_host_disappears_has_vanished_within_65_seconds() -> Outcome {
    let host = OtherHost::new()?;
    let token = "a-token-of-this-test";
    let mut daemon = daemon()
        .env("LOCKKEEPER_API_LISTEN", format!("{}:0", OtherHost::OURS))
        .env("LOCKKEEPER_TOKEN", token)
        .start()?;
    daemon.create(&json!({ "id": "left" }))?;
    let events = daemon.events()?;
    let list = daemon.call("GET", "/sandboxes/left/json/list", None)?;
    let page = list.body[0]["webSocketDebuggerUrl"].as_str().unwrap_or_default().to_owned();
    let mut idle = host.open(&page, token)?;
    idle.command("Runtime.evaluate", &json!({ "expression": "1" }))?;
    let mut waits = host.open(&page, token)?;
    // An answer of 5 MB that comes when nobody is there any more.
    let late = "new Promise(done => setTimeout(() => done('x'.repeat(5e6)), 2000))";
    let params = json!({ "expression": late, "awaitPromise": true, "returnByValue": true });
    waits.send("Runtime.evaluate", &params)?;
    idle.command("Runtime.evaluate", &json!({ "expression": "2" }))?;
    // With TLS it is the socket below that tells.
    let files = Certified::of(OtherHost::OURS)?;
    let mut safe = files
        .on(lockkeeper_tests::daemon())
        .env("LOCKKEEPER_API_LISTEN", format!("{}:0", OtherHost::OURS))
        .env("LOCKKEEPER_TOKEN", token)
        .start()?;
    safe.create(&json!({ "id": "left" }))?;
    let safe_events = safe.events()?;
    let url = format!("{}/sandboxes/left?token={token}", safe.ws_base());
    let safe_idle = host.there(|| files.open(&url))?;

    host.disappear()?;
    let gone = Instant::now();
    let mut ends = events.wait_count("cdp_disconnect", 2, Duration::from_secs(90))?;
    ends.extend(safe_events.wait_count("cdp_disconnect", 1, Duration::from_secs(90))?);
    let after = gone.elapsed();
    for end in &ends {
        must!(end["data"]["reason"] == "client_close", "{end}");
        must!(end["data"]["detail"] == "client_vanished", "{end}");
        must!(end["data"].get("close_code").is_none(), "{end}");
    }
    must!(after > Duration::from_secs(30), "both had ended after {after:?} already");
    must!(after <= Duration::from_secs(65), "it took {after:?}");
    drop((idle, waits, safe_idle));
    Ok(())
}
