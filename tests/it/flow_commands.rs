//! What clients do is told while somebody wants to know it, and only then.

use std::time::Duration;

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use serde_json::json;

crate::facts! {
    commands_are_told_from_the_moment_they_are_wanted_without_their_secrets,
}

const SOON: Duration = Duration::from_secs(20);

fn commands_are_told_from_the_moment_they_are_wanted_without_their_secrets() -> Outcome {
    let mut daemon = daemon().start()?;
    daemon.create(&json!({ "id": "watched" }))?;
    let events = daemon.events()?;
    let list = daemon.call("GET", "/sandboxes/watched/json/list", None)?;
    let page = list.body[0]["webSocketDebuggerUrl"].as_str().unwrap_or_default().to_owned();
    let mut cdp = Cdp::open(&page)?;
    let visit = |cdp: &mut Cdp, name: &str| {
        cdp.command("Page.navigate", &json!({ "url": format!("data:text/html,{name}") }))
    };
    visit(&mut cdp, "before")?;
    let control = |on: bool| {
        let change = json!({
            "categories": { "control": { "enabled": on } },
            "control": { "excluded_methods": ["Input.cancelDragging"] },
        });
        let answer = daemon.call("PATCH", "/v1/telemetry", Some(&change))?;
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    };
    control(true)?;
    visit(&mut cdp, "secret-word")?;
    cdp.command("Input.cancelDragging", &json!({}))?;
    let type_text = json!({ "text": "secret-word" });
    cdp.command("Input.insertText", &type_text)?;
    // Longer than what is copied of a message: it arrives whole and counts as dropped.
    let long = json!({ "text": "secret-word".repeat(300_000) });
    cdp.command("Input.insertText", &long)?;
    control(false)?;
    visit(&mut cdp, "after")?;
    cdp.close(1000)?;

    let end = events.wait_for("the end", SOON, |e| e["type"] == "cdp_disconnect")?;
    must!(end["data"]["detail"] == "client_closed", "{end}");
    must!(end["data"]["telemetry_dropped"] == 1, "{end}");
    must!(end["data"]["telemetry_excluded"] == 1, "{end}");
    let told = events.of("cdp_command");
    let methods: Vec<_> = told.iter().map(|e| e["data"]["method"].clone()).collect();
    must!(methods == ["Page.navigate", "Input.insertText"], "{told:?}");
    for event in &told {
        must!(event["sandbox"] == "watched", "{event}");
        must!(event["data"]["connection_id"] == end["data"]["connection_id"], "{event}");
        must!(!event.to_string().contains("secret"), "{event}");
    }
    must!(!daemon.log().contains("secret-word"), "the log tells what was typed");
    Ok(())
}
