//! The browser fails.

use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Ended, Outcome, daemon, must};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use testkit::daemon::Events;

crate::facts! {
    a_killed_browser_closes_with_1012_and_the_same_url_works_again,
    a_browser_that_keeps_crashing_is_given_up,
    a_stopped_browser_refuses_the_dial_in_time,
}

const SOON: Duration = Duration::from_secs(8);

/// The pid of a sandbox's browser in a generation, from the event that says it started.
fn browser_pid(events: &Events, generation: u64) -> Result<Pid, String> {
    let started = events.wait_for("browser_started", SOON, |e| {
        e["type"] == "browser_started" && e["data"]["generation"] == generation
    })?;
    let pid = started["data"]["pid"].as_i64().ok_or(format!("no pid in {started}"))?;
    Ok(Pid::from_raw(pid as i32))
}

fn a_killed_browser_closes_with_1012_and_the_same_url_works_again() -> Outcome {
    for flavour in ["headless-shell", "chromium"] {
        let mut daemon = daemon().start()?;
        let sandbox = daemon.create(&json!({ "flavour": flavour }))?;
        let url = sandbox["ws_url"].as_str().unwrap_or_default();
        let events = daemon.events()?;
        let mut cdp = Cdp::open(url)?;
        cdp.command("Browser.getVersion", &json!({}))?;
        let pid = browser_pid(&events, 1)?;
        daemon.remember();
        kill(pid, Signal::SIGKILL).map_err(|e| e.to_string())?;
        let killed = Instant::now();
        let end = cdp.wait_end(SOON)?;
        let told = killed.elapsed();
        must!(
            end == Ended::Close(1012, "browser restarting, reconnect".into()),
            "{flavour}: the client saw {end:?}"
        );
        must!(told < Duration::from_secs(1), "{flavour}: told only after {told:?}");
        let end = events.wait_for("disconnect", SOON, |e| e["type"] == "cdp_disconnect")?;
        let data = &end["data"];
        must!(data["reason"] == "upstream_changed", "{flavour}: {end}");
        must!(data["detail"] == "browser_crashed", "{flavour}: {end}");
        must!(data["close_code"] == 1012 && data["first_close"] == "proxy", "{flavour}: {end}");
        must!(data["upstream_cause"]["kind"] == "signalled", "{flavour}: {end}");
        must!(data["upstream_cause"]["signal"] == 9, "{flavour}: {end}");
        must!(data["generation"] == 1 && data["new_generation"] == 2, "{flavour}: {end}");
        let exited = events.of("browser_exited");
        must!(exited.len() == 1 && exited[0]["data"]["expected"] == false, "{exited:?}");
        let mut again = Cdp::open(url)?;
        again.command("Browser.getVersion", &json!({}))?;
        again.close(1000)?;
        must!(browser_pid(&events, 2)? != pid, "{flavour}: the second browser has the first's pid");
    }
    Ok(())
}

fn a_browser_that_keeps_crashing_is_given_up() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({ "id": "frail" }))?;
    let events = daemon.events()?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    for generation in 1..=5 {
        kill(browser_pid(&events, generation)?, Signal::SIGKILL).map_err(|e| e.to_string())?;
    }
    // The first is replaced at once, the fourth waits four times as long as the second.
    let down = |generation: u64| {
        let limit = Duration::from_secs(20);
        events.wait_for("browser_restarted", limit, |e| {
            e["type"] == "browser_restarted" && e["data"]["generation"] == generation
        })
    };
    let down_ms = |generation| down(generation).map(|e| e["data"]["down_ms"].as_f64());
    let (third, fifth) = (down_ms(3)?, down_ms(5)?);
    must!(third >= Some(100.0), "the second crash was followed after {third:?} ms");
    must!(fifth >= Some(400.0), "the fourth crash was followed after {fifth:?} ms");
    let limit = Duration::from_secs(20);
    let stopped = events.wait_for("stopped", limit, |e| e["type"] == "sandbox_stopped")?;
    must!(stopped["data"]["stop_reason"] == "browser_gave_up", "{stopped}");
    must!(matches!(cdp.wait_end(SOON)?, Ended::Close(1012, _)), "the first client saw no 1012");
    let gone = daemon.call("GET", "/v1/sandboxes/frail", None)?;
    must!(gone.body["stop_reason"] == "browser_gave_up", "{}", gone.body);
    daemon.remember();
    Ok(())
}

fn a_stopped_browser_refuses_the_dial_in_time() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let url = sandbox["ws_url"].as_str().unwrap_or_default();
    let events = daemon.events()?;
    let pid = browser_pid(&events, 1)?;
    kill(pid, Signal::SIGSTOP).map_err(|e| e.to_string())?;
    let asked = Instant::now();
    let refused = Cdp::open_with(url, &[]).err();
    let took = asked.elapsed();
    kill(pid, Signal::SIGCONT).map_err(|e| e.to_string())?;
    let status = refused.as_ref().map(lockkeeper_tests::Refused::status);
    must!(status == Some(504), "the upgrade was answered {status:?}");
    must!(took < Duration::from_millis(12_500), "it took {took:?}");
    let told = events.wait_for("cdp_refused", SOON, |e| e["type"] == "cdp_refused")?;
    must!(told["data"]["reason"] == "upstream_error", "{told}");
    must!(told["data"]["detail"] == "browser_unreachable", "{told}");
    let dials = told["data"]["dial_attempts"].as_u64();
    must!(dials > Some(1), "{told}");
    let connects: Vec<Value> = events.of("cdp_connect");
    must!(connects.is_empty(), "a session that never was connected: {connects:?}");
    let mut cdp = Cdp::open(url)?;
    cdp.command("Browser.getVersion", &json!({}))?;
    daemon.remember();
    Ok(())
}
