//! A browser restarted on request, with a real one.

use std::time::Duration;

use lockkeeper_tests::{Cdp, Ended, Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::daemon::Daemon;

crate::facts! {
    a_restart_with_new_switches_changes_the_browser_behind_the_same_address,
    a_restart_with_a_bad_switch_brings_the_old_browser_back_and_says_so,
}

const LIMIT: Duration = Duration::from_secs(20);

fn user_agent(sandbox: &Value) -> Result<(Cdp, String), String> {
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    let version = cdp.command("Browser.getVersion", &json!({}))?;
    Ok((cdp, version["userAgent"].as_str().unwrap_or_default().to_owned()))
}

fn a_restart_with_new_switches_changes_the_browser_behind_the_same_address() -> Outcome {
    for flavour in ["headless-shell", "chromium"] {
        let mut daemon = daemon().start()?;
        let sandbox = daemon.create(&json!({ "id": "again", "flavour": flavour }))?;
        let events = daemon.events()?;
        let (mut cdp, before) = user_agent(&sandbox)?;
        must!(before.contains("Chrome"), "{flavour}: {before}");
        let body = json!({ "flags": ["--user-agent=Restarted/2"] });
        let path = "/v1/sandboxes/again/restart-browser";
        let answer = daemon.call("POST", path, Some(&body))?;
        daemon.remember();
        must!(answer.status == 200, "{flavour}: {} {}", answer.status, answer.body);
        must!(answer.body["browser"]["generation"] == 2, "{flavour}: {}", answer.body);
        must!(answer.body["browser"]["crashes"] == 0, "{flavour}: {}", answer.body);
        must!(answer.body["lifecycle_id"] == sandbox["lifecycle_id"], "{}", answer.body);
        let end = cdp.wait_end(LIMIT)?;
        must!(matches!(end, Ended::Close(1012, _)), "{flavour}: the session saw {end:?}");
        let (_second, after) = user_agent(&sandbox)?;
        must!(after == "Restarted/2", "{flavour}: {after}");
        let ends = events.wait_count("cdp_disconnect", 1, LIMIT)?;
        let data = &ends[0]["data"];
        must!(data["upstream_cause"]["kind"] == "restart_requested", "{flavour}: {data}");
        let told = events.wait_count("browser_restarted", 1, LIMIT)?;
        must!(told[0]["data"]["requested_by"] == "api", "{flavour}: {told:?}");
        stop(daemon)?;
    }
    Ok(())
}

fn a_restart_with_a_bad_switch_brings_the_old_browser_back_and_says_so() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({ "id": "stays", "flags": ["--user-agent=First/1"] }))?;
    let path = "/v1/sandboxes/stays/restart-browser";
    // Prints its version and ends.
    let answer = daemon.call("POST", path, Some(&json!({ "flags": ["--version"] })))?;
    daemon.remember();
    must!(answer.status == 409, "{} {}", answer.status, answer.body);
    let error = &answer.body["error"];
    must!(error["code"] == "RESTART_FAILED", "{error}");
    must!(error["sandbox_after"] == "running", "{error}");
    must!(error["metadata"]["generation"] == "3", "{error}");
    let (_cdp, now) = user_agent(&sandbox)?;
    must!(now == "First/1", "the old browser is not back: {now}");
    let ours = json!({ "flags": ["--remote-debugging-port=1"] });
    let refused = daemon.call("POST", path, Some(&ours))?;
    must!(refused.status == 400, "{} {}", refused.status, refused.body);
    stop(daemon)
}

fn stop(mut daemon: Daemon) -> Outcome {
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}
