//! A page of Chromium that takes more memory than its sandbox may.

use lockkeeper_tests::{Cdp, daemon};
use serde_json::json;

use super::Stage;
use crate::fault::{Seen, Truth};
use crate::session::{PATIENCE, compare};

/// Where one of the browsers that the daemon finds by itself is.
const BROWSERS: [&str; 2] = ["/usr/lib/chromium/chromium-headless-shell", "/usr/bin/chromium"];

const OVER: Truth = Truth::new("upstream_error", "browser_oom_killed", Seen::Close(1011));

pub(super) fn missing() -> Option<&'static str> {
    let none = !BROWSERS.iter().any(|path| std::path::Path::new(path).exists());
    none.then_some("needs Chromium: cargo xtask setup")
}

/// Without control groups, where the daemon itself keeps the limit and no right is needed. In a
/// control group the kernel takes the page and leaves the browser, which ends no session.
pub(super) fn a_greedy_page_ends_as_out_of_memory(stage: &mut Stage<'_>) -> Result<(), String> {
    let mut daemon = daemon()
        .env("LOCKKEEPER_CGROUP", "off")
        .env("LOCKKEEPER_SANDBOX_MEMORY", "512 MiB")
        .start()?;
    let events = daemon.events()?;
    daemon.create(&json!({ "id": "greedy" }))?;
    let list = daemon.call("GET", "/sandboxes/greedy/json/list", None)?;
    let page = list.body[0]["webSocketDebuggerUrl"].as_str().unwrap_or_default();
    let mut cdp = Cdp::open(page)?;
    // After the answer, so that it is the end of the session that tells.
    let hoard = "setTimeout(() => { \
                     window.hoard = Array.from({ length: 12 }, () => new Uint8Array(64 << 20).fill(1)); \
                 }, 100)";
    cdp.command("Runtime.evaluate", &json!({ "expression": hoard }))?;
    let seen = cdp.wait_end(PATIENCE)?;
    let end = events.wait_count("cdp_disconnect", 1, PATIENCE)?.remove(0);
    let stopped = events.wait_count("sandbox_stopped", 1, PATIENCE)?.remove(0);
    let came =
        compare(OVER, &end, Some(&seen)).and_then(|()| match &stopped["data"]["stop_reason"] {
            reason if reason == "oom" => Ok(()),
            _ => Err(format!("the sandbox ended as {stopped}")),
        });
    stage.tell("Chromium over its memory", OVER, came);
    stage.end(daemon)
}
