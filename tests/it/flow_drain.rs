//! A daemon that is told to end lets its sandboxes finish, inside a deadline.

use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Ended, Outcome, daemon, must, node};
use nix::sys::signal::Signal;
use serde_json::json;

crate::facts! {
    sigterm_serves_what_lives_refuses_what_is_new_and_closes_at_the_deadline,
    sigterm_ends_at_once_when_nothing_lives,
    a_second_signal_forces,
    a_quiet_drain_lets_each_session_finish_its_command_and_ends_what_nobody_uses,
    an_operator_drain_refuses_creates_and_can_be_undone,
}

const EXIT: Duration = Duration::from_secs(20);

fn sigterm_serves_what_lives_refuses_what_is_new_and_closes_at_the_deadline() -> Outcome {
    let mut daemon = daemon().env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "4s").start()?;
    let first = daemon.create(&json!({ "id": "raw" }))?;
    let second = daemon.create(&json!({ "id": "played" }))?;
    let events = daemon.events()?;
    let mut cdp = Cdp::open(first["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    let playing = node("playwright.mjs", &["hold", second["cdp_url"].as_str().unwrap_or("")])?;
    playing.wait_step("holding", Duration::from_secs(30))?;
    daemon.remember();

    daemon.signal(Signal::SIGTERM);
    let told = Instant::now();
    events.wait_for("drain_started", Duration::from_secs(2), |e| e["type"] == "drain_started")?;
    let refused = daemon.call("POST", "/v1/sandboxes", Some(&json!({})))?;
    must!(refused.status == 503, "a create was answered {} {}", refused.status, refused.body);
    must!(refused.body["error"]["code"] == "NODE_DRAINING", "{}", refused.body);
    must!(refused.headers.contains_key("retry-after"), "no Retry-After: {:?}", refused.headers);
    let quick = Cdp::open_with(&format!("{}/connect", daemon.ws_base()), &[]);
    must!(quick.err().map(|r| r.status()) == Some(503), "a quick connect was not answered 503");
    let ready = daemon.call("GET", "/readyz", None)?;
    must!(ready.status == 503, "/readyz was answered {}", ready.status);
    cdp.command("Browser.getVersion", &json!({}))?;
    let late = Cdp::open(first["ws_url"].as_str().unwrap_or_default());
    must!(late.is_ok(), "a sandbox that lives was not served: {:?}", late.err());
    drop(late);
    must!(told.elapsed() < Duration::from_secs(3), "the checks took {:?}", told.elapsed());

    let end = cdp.wait_end(Duration::from_secs(10))?;
    let after = told.elapsed();
    must!(end == Ended::Close(1001, "node draining".into()), "the client saw {end:?}");
    must!(after > Duration::from_millis(3500), "it was closed after only {after:?}");
    let lines = playing.finish(Duration::from_secs(10))?;
    must!(lines.iter().any(|l| l["step"] == "lost"), "Playwright never noticed: {lines:?}");

    let status = daemon.wait_exit(EXIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    events.wait_end(Duration::from_secs(2))?;
    let ends = events.of("cdp_disconnect");
    let drained = ends.iter().filter(|e| e["data"]["detail"] == "node_drain").count();
    must!(drained == 2 && ends.len() == 3, "the sessions ended as {ends:?}");
    let stopped = events.of("sandbox_stopped");
    must!(stopped.len() == 2, "{stopped:?}");
    must!(stopped.iter().all(|e| e["data"]["stop_reason"] == "node_drain"), "{stopped:?}");
    must!(events.of("drain_finished").len() == 1, "{:?}", events.of("drain_finished"));
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn sigterm_ends_at_once_when_nothing_lives() -> Outcome {
    let mut daemon = daemon().env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "60s").start()?;
    daemon.create(&json!({ "id": "brief" }))?;
    daemon.call("DELETE", "/v1/sandboxes/brief", None)?;
    daemon.signal(Signal::SIGTERM);
    let told = Instant::now();
    let status = daemon.wait_exit(EXIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    must!(told.elapsed() < Duration::from_secs(3), "it took {:?}", told.elapsed());
    daemon.assert_nothing_left(Duration::from_secs(1))
}

fn a_second_signal_forces() -> Outcome {
    let mut daemon = daemon().env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "10min").start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    daemon.remember();
    daemon.signal(Signal::SIGTERM);
    events.wait_for("drain_started", Duration::from_secs(2), |e| e["type"] == "drain_started")?;
    // Signals less than a second apart are one; a person's second Ctrl-C comes later than that.
    let second = Instant::now() + Duration::from_millis(1300);
    let early = cdp.wait_end(second - Instant::now());
    must!(early.is_err(), "one signal already ended the session: {early:?}");
    daemon.signal(Signal::SIGINT);
    let end = cdp.wait_end(Duration::from_secs(5))?;
    must!(end == Ended::Close(1001, "stopped".into()), "the client saw {end:?}");
    let status = daemon.wait_exit(EXIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    events.wait_end(Duration::from_secs(2))?;
    let ends = events.of("cdp_disconnect");
    must!(ends.len() == 1 && ends[0]["data"]["detail"] == "forced_stop", "{ends:?}");
    let forced = events.of("drain_forced");
    must!(forced.len() == 1 && forced[0]["data"]["cause"] == "second_signal", "{forced:?}");
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn a_quiet_drain_lets_each_session_finish_its_command_and_ends_what_nobody_uses() -> Outcome {
    let mut daemon = daemon()
        .env("LOCKKEEPER_CDP_DRAIN", "quiet")
        .env("LOCKKEEPER_CDP_QUIET", "1s")
        .env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "5min")
        .start()?;
    let idle = daemon.create(&json!({ "id": "idle" }))?;
    daemon.create(&json!({ "id": "busy" }))?;
    daemon.create(&json!({ "id": "unused" }))?;
    let events = daemon.events()?;
    let mut idle = Cdp::open(idle["ws_url"].as_str().unwrap_or_default())?;
    let list = daemon.call("GET", "/sandboxes/busy/json/list", None)?;
    let page = list.body[0]["webSocketDebuggerUrl"].as_str().unwrap_or_default().to_owned();
    let mut busy = Cdp::open(&page)?;
    daemon.remember();
    daemon.signal(Signal::SIGTERM);

    // Never quiet for a second until the idle one is closed: the drain looks at sessions by now.
    let until = Instant::now() + EXIT;
    let end = loop {
        busy.command("Runtime.evaluate", &json!({ "expression": "1" }))?;
        match idle.wait_end(Duration::from_millis(50)) {
            Ok(end) => break end,
            Err(open) => must!(Instant::now() < until, "{open}"),
        }
    };
    must!(end == Ended::Close(1001, "node draining".into()), "the client saw {end:?}");
    let slow = "new Promise(done => setTimeout(() => done(42), 3000))";
    let params = json!({ "expression": slow, "awaitPromise": true });
    let answer = busy.command("Runtime.evaluate", &params)?;
    must!(answer["result"]["value"] == 42, "{answer}");
    let late = Cdp::open_with(&page, &[]).err().map(|refused| refused.status());
    must!(late == Some(503), "a new session was answered {late:?}");
    let end = busy.wait_end(EXIT)?;
    must!(end == Ended::Close(1001, "node draining".into()), "the client saw {end:?}");

    let status = daemon.wait_exit(EXIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    events.wait_end(Duration::from_secs(2))?;
    let ends = events.of("cdp_disconnect");
    let quiet = |end: &serde_json::Value| {
        end["data"]["detail"] == "node_drain" && end["data"]["quiet_end"] == "quiet"
    };
    must!(ends.len() == 2 && ends.iter().all(quiet), "the sessions ended as {ends:?}");
    let stopped = events.of("sandbox_stopped");
    must!(stopped.len() == 3, "{stopped:?}");
    must!(stopped.iter().all(|e| e["data"]["stop_reason"] == "node_drain"), "{stopped:?}");
    must!(events.of("drain_forced").is_empty(), "{:?}", events.of("drain_forced"));
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn an_operator_drain_refuses_creates_and_can_be_undone() -> Outcome {
    let mut daemon = daemon().start()?;
    let drained = daemon.call("POST", "/v1/node/drain", Some(&json!({})))?;
    must!((200..300).contains(&drained.status), "{} {}", drained.status, drained.body);
    let refused = daemon.call("POST", "/v1/sandboxes", Some(&json!({})))?;
    must!(refused.status == 503, "a create was answered {}", refused.status);
    let healthy = json!({ "status": "healthy" });
    let undone = daemon.call("PUT", "/v1/node/status", Some(&healthy))?;
    must!(undone.status == 200, "{} {}", undone.status, undone.body);
    daemon.create(&json!({}))?;
    Ok(())
}
