//! The end of a session is told as it was.

use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Ended, Outcome, daemon, must};
use serde_json::{Value, json};

crate::facts! {
    a_client_close_is_a_client_close,
    a_deleted_sandbox_closes_its_sessions_with_1001,
    an_expired_sandbox_closes_its_sessions_with_1001,
    an_expired_sandbox_answers_what_was_asked_before_it_closes,
    a_browser_closed_by_its_client_says_so,
    every_session_counts_its_messages,
}

const SOON: Duration = Duration::from_secs(6);

fn the_end(events: &testkit::daemon::Events) -> Result<Value, String> {
    events.wait_for("cdp_disconnect", SOON, |e| e["type"] == "cdp_disconnect")
}

fn a_client_close_is_a_client_close() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    let echo = cdp.close(4321)?;
    must!(echo == Ended::Close(4321, String::new()), "the echo was {echo:?}");
    let end = the_end(&events)?;
    let data = &end["data"];
    must!(data["reason"] == "client_close" && data["detail"] == "client_closed", "{end}");
    must!(data["close_code"] == 4321 && data["first_close"] == "client", "{end}");
    must!(data["ended_by"] == "client" && data["generation"] == 1, "{end}");
    let connect = events.of("cdp_connect");
    must!(connect.len() == 1, "{connect:?}");
    must!(connect[0]["data"]["connection_id"] == data["connection_id"], "{connect:?} {end}");
    Ok(())
}

fn a_deleted_sandbox_closes_its_sessions_with_1001() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({ "id": "gone" }))?;
    let events = daemon.events()?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    let answer = std::thread::scope(|scope| {
        let deleting = scope.spawn(|| daemon.call("DELETE", "/v1/sandboxes/gone", None));
        let end = cdp.wait_end(SOON);
        (deleting.join(), end)
    });
    must!(
        answer.1 == Ok(Ended::Close(1001, "sandbox deleted".into())),
        "the client saw {:?}",
        answer.1
    );
    let end = the_end(&events)?;
    must!(end["data"]["reason"] == "context_cancelled", "{end}");
    must!(end["data"]["detail"] == "sandbox_deleted", "{end}");
    let stopped = events.wait_for("stopped", SOON, |e| e["type"] == "sandbox_stopped")?;
    must!(stopped["data"]["stop_reason"] == "request", "{stopped}");
    let tombstone = daemon.call("GET", "/v1/sandboxes/gone", None)?;
    must!(tombstone.body["state"] == "stopped", "{}", tombstone.body);
    must!(tombstone.body["stop_reason"] == "request", "{}", tombstone.body);
    let late = Cdp::open_with(sandbox["ws_url"].as_str().unwrap_or_default(), &[]);
    must!(late.as_ref().is_err_and(|r| r.status() == 410), "a late connect was not answered 410");
    daemon.remember();
    Ok(())
}

fn an_expired_sandbox_closes_its_sessions_with_1001() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({ "ttl": "2s" }))?;
    let ready = Instant::now();
    let events = daemon.events()?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    let end = cdp.wait_end(SOON)?;
    must!(end == Ended::Close(1001, "sandbox expired".into()), "the client saw {end:?}");
    let lived = ready.elapsed();
    must!(lived > Duration::from_millis(1500), "it lived only {lived:?}");
    let end = the_end(&events)?;
    must!(end["data"]["detail"] == "ttl_expired", "{end}");
    let stopped = events.wait_for("stopped", SOON, |e| e["type"] == "sandbox_stopped")?;
    must!(stopped["data"]["stop_reason"] == "ttl", "{stopped}");
    Ok(())
}

fn a_browser_closed_by_its_client_says_so() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.close", &json!({}))?;
    let seen = cdp.wait_end(SOON)?;
    must!(matches!(seen, Ended::Close(1011, _)), "the client saw {seen:?}");
    let end = the_end(&events)?;
    must!(end["data"]["reason"] == "upstream_error", "{end}");
    must!(end["data"]["detail"] == "browser_closed", "{end}");
    let stopped = events.wait_for("stopped", SOON, |e| e["type"] == "sandbox_stopped")?;
    must!(stopped["data"]["stop_reason"] == "browser_closed", "{stopped}");
    Ok(())
}

fn every_session_counts_its_messages() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    for _ in 0..25 {
        cdp.command("Browser.getVersion", &json!({}))?;
    }
    cdp.close(1000)?;
    let data = the_end(&events)?["data"].clone();
    must!(data["messages_to_browser"] == 25, "{data}");
    must!(data["messages_to_client"] == 25, "{data}");
    must!(data["message_count"] == 50, "{data}");
    must!(data["telemetry_dropped"] == 0 && data["telemetry_excluded"] == 0, "{data}");
    Ok(())
}

fn an_expired_sandbox_answers_what_was_asked_before_it_closes() -> Outcome {
    let mut daemon = daemon().env("LOCKKEEPER_TTL_GRACE", "20s").start()?;
    let sandbox = daemon.create(&json!({ "ttl": "1s" }))?;
    let events = daemon.events()?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    let made = cdp.command("Target.createTarget", &json!({ "url": "about:blank" }))?;
    let ws = sandbox["ws_url"].as_str().unwrap_or_default();
    let (base, _) = ws.split_once("/devtools/").ok_or(format!("{ws} has no DevTools path"))?;
    let target = made["targetId"].as_str().unwrap_or_default();
    let mut page = Cdp::open(&format!("{base}/devtools/page/{target}"))?;
    events.wait_for("stopping", SOON, |e| e["type"] == "sandbox_stopping")?;
    // Its time is over; the command that takes two seconds more is answered all the same.
    let slow = "new Promise(done => setTimeout(() => done(7), 2000))";
    let asked = json!({ "expression": slow, "awaitPromise": true });
    let answer = page.command("Runtime.evaluate", &asked)?;
    must!(answer["result"]["value"] == 7, "{answer}");
    let end = page.wait_end(SOON)?;
    must!(end == Ended::Close(1001, "sandbox expired".into()), "the page saw {end:?}");
    for end in events.wait_count("cdp_disconnect", 2, SOON)? {
        let words = (&end["data"]["detail"], &end["data"]["quiet_end"]);
        must!(words == (&json!("ttl_expired"), &json!("quiet")), "{end}");
    }
    Ok(())
}
