//! The daemon fails, or cannot start.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::procs;

crate::facts! {
    a_killed_daemon_leaves_no_browser_and_the_next_one_starts,
    a_taken_port_is_a_clear_failure,
    a_second_daemon_on_one_state_folder_is_refused,
    settings_mistakes_are_all_named_at_once,
    a_missing_browser_is_named_at_start,
}

const END: Duration = Duration::from_secs(10);

fn a_killed_daemon_leaves_no_browser_and_the_next_one_starts() -> Outcome {
    let mut first = daemon().start()?;
    let state = first.state();
    let sandbox = first.create(&json!({ "id": "orphan" }))?;
    first.create(&json!({ "flavour": "chromium" }))?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    first.remember();
    let told_before = first.events()?.wait_count("sandbox_ready", 2, END)?;
    let family = procs::descendants(first.pid());
    must!(family.len() > 4, "the browsers have only {} processes", family.len());
    first.signal(Signal::SIGKILL);
    first.wait_exit(END)?;
    procs::wait_all_gone(&family, Duration::from_secs(1))
        .map_err(|left| format!("one second after the daemon's death: {left:?}"))?;
    let second = daemon().state(state).start()?;
    let events = second.events()?;
    let told = events.wait_count("sandbox_stopped", 2, END)?;
    must!(told.iter().all(|e| e["data"]["stop_reason"] == "node_restart"), "{told:?}");
    // The log survived: same epoch, same events at the same offsets.
    let kept = events.of("sandbox_ready");
    must!(kept == told_before, "{kept:?} is not {told_before:?}");
    let folder = std::fs::metadata(second.state().path().join("events"));
    let mode = folder.map_err(|e| e.to_string())?.permissions().mode() & 0o777;
    must!(mode == 0o700, "the sandboxes' users may look into the log: {mode:o}");
    let mut second = second;
    second.create(&json!({ "id": "orphan" }))?;
    second.call("DELETE", "/v1/sandboxes/orphan", None)?;
    second.signal(Signal::SIGTERM);
    let status = second.wait_exit(END)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", second.log());
    second.assert_nothing_left(Duration::from_secs(1))
}

fn a_taken_port_is_a_clear_failure() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let address = taken.local_addr().map_err(|e| e.to_string())?.to_string();
    let (status, log) = daemon().env("LOCKKEEPER_API_LISTEN", address.as_str()).run_to_end(END)?;
    must!(!status.success() && status.code().is_some(), "it ended with {status}:\n{log}");
    must!(log.contains(&address), "the text does not name {address}:\n{log}");
    must!(log.contains("LOCKKEEPER_API_LISTEN"), "the text does not name the remedy:\n{log}");
    Ok(())
}

fn a_second_daemon_on_one_state_folder_is_refused() -> Outcome {
    let first = daemon().start()?;
    let (status, log) = daemon().state(first.state()).run_to_end(END)?;
    must!(status.code() == Some(73), "it ended with {status}:\n{log}");
    must!(log.contains(&first.pid().to_string()), "the text does not name the first:\n{log}");
    Ok(())
}

fn settings_mistakes_are_all_named_at_once() -> Outcome {
    let (status, log) = daemon()
        .env("LOCKKEEPER_API_LISTEN", "nowhere")
        .env("LOCKKEEPER_DEFAULT_TTL", "soon")
        .arg("--max-sandbxes=3")
        .run_to_end(END)?;
    must!(status.code() == Some(64), "it ended with {status}:\n{log}");
    for word in ["API_LISTEN", "DEFAULT_TTL", "max-sandbxes", "max-sandboxes"] {
        must!(log.contains(word), "{word} is not named:\n{log}");
    }
    Ok(())
}

fn a_missing_browser_is_named_at_start() -> Outcome {
    let (status, log) =
        daemon().env("LOCKKEEPER_BROWSER", "/nonexistent/browser").run_to_end(END)?;
    must!(status.code() == Some(69), "it ended with {status}:\n{log}");
    must!(log.contains("/nonexistent/browser"), "what was tried is not named:\n{log}");
    Ok(())
}
