//! Agent sessions with unmodified AG-UI and event-stream clients.

use std::time::{Duration, Instant};

use lockkeeper_tests::{Outcome, gateway, must, node};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::agents::{Agents, LIMIT, SESSION, again};

crate::facts! {
    an_agui_client_sees_what_the_runner_says_however_it_writes_it,
    a_client_that_leaves_leaves_a_run_that_goes_on,
    events_between_runs_are_runs_and_a_subscriber_alone_starts_the_listener,
    an_event_source_sees_each_offset_once_over_cuts_and_a_killed_gateway,
    whatever_a_runner_says_a_strict_client_accepts_the_log,
    projects_share_nothing_and_refusals_are_told,
    words_to_the_runner_reach_it_and_only_it,
    a_session_that_stops_after_a_run_starts_again_with_the_next,
}

pub(crate) const VALIDATED: &[crate::Fact] = &[(
    "the_validators_rules_hold_for_what_is_logged",
    the_validators_rules_hold_for_what_is_logged,
)];

fn the_validators_rules_hold_for_what_is_logged() -> Outcome {
    let agents = Agents::start(json!({}))?;
    agents.wait_listener("streaming")?;
    for word in ["say", "pretty", "crlf", "error", "none"] {
        agents.run(word)?;
    }
    let before = agents.status()?["log"]["tail"].as_u64().unwrap_or(0);
    agents.runner("/push", "{\"type\":\"CUSTOM\",\"name\":\"hook\",\"value\":1}\n")?;
    // The event, and the run around it.
    agents.wait("closed by quiet", |s| {
        s["log"]["tail"].as_u64() >= Some(before + 3) && s["lane"]["open_run"] == Value::Null
    })?;
    agents.validate(false)?;
    for seed in 1..=10 {
        said(&agents, seed)?;
    }
    all_said(&agents)?;
    agents.validate(true)
}

/// Lets the runner say what `hostile` makes of a seed, as soon as it is its turn.
fn said(agents: &Agents, seed: u64) -> Outcome {
    let until = Instant::now() + LIMIT;
    loop {
        match agents.post(&format!("raw {seed}"), json!({ "events": hostile(seed) })) {
            Err(refused) if refused.contains("run_active") && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            answered => return answered.map(drop),
        }
    }
}

/// Waits until all that was posted has been said: one more run gets its turn behind it.
fn all_said(agents: &Agents) -> Outcome {
    let until = Instant::now() + LIMIT;
    loop {
        let done = agents.run("say")?;
        if done["failed"] == Value::Null {
            return Ok(());
        }
        must!(Instant::now() < until, "the last run never got its turn: {done}");
    }
}

fn an_agui_client_sees_what_the_runner_says_however_it_writes_it() -> Outcome {
    let agents = Agents::start(json!({}))?;
    for word in ["say", "pretty", "crlf"] {
        let done = agents.run(word)?;
        must!(done["failed"] == Value::Null, "{word}: {done}");
        let messages = done["messages"].as_array().cloned().unwrap_or_default();
        must!(messages.len() == 3, "{word}: {done}");
        must!(messages[1]["content"] == "Hello wörld…", "{word}: {done}");
        must!(messages[1]["toolCalls"][0]["function"]["arguments"] == "{\"at\":\"sky\"}", "{done}");
        must!(messages[2]["content"] == "blue", "{word}: {done}");
        must!(done["state"]["steps"].as_array().map(Vec::len) == Some(1), "{word}: {done}");
    }
    let failed = agents.run("error")?;
    must!(failed["failed"]["code"] == "LUCK", "{failed}");
    let missing = agents.run("none")?;
    must!(missing["failed"]["code"] == "RUNNER_HTTP_404", "{missing}");
    must!(missing["types"] == json!(["RUN_STARTED", "RUN_ERROR"]), "{missing}");
    agents.check()?;
    // What was said in other ways is in the log as it was said.
    let records = agents.records()?;
    let pretty = records.iter().filter(|r| r["data"].as_str().is_some_and(|d| d.contains('\n')));
    must!(pretty.count() == 12, "{records:?}");
    Ok(())
}

fn a_client_that_leaves_leaves_a_run_that_goes_on() -> Outcome {
    let agents = Agents::start(json!({}))?;
    let client = node("agui.mjs", &["abort", &agents.url("/agui")])?;
    client.finish(LIMIT)?;
    agents.wait("finished in the log", |s| s["agent"]["status"] == "idle")?;
    let types = agents.types()?;
    must!(types.last().is_some_and(|last| last == "RUN_FINISHED"), "{types:?}");
    let ticks = types.iter().filter(|kind| *kind == "CUSTOM").count();
    must!(ticks == 200, "only {ticks} of 200 events: {types:?}");
    agents.check()
}

fn events_between_runs_are_runs_and_a_subscriber_alone_starts_the_listener() -> Outcome {
    let agents = Agents::start(json!({}))?;
    agents.wait_listener("streaming")?;
    agents.runner("/push", "{\"type\":\"CUSTOM\",\"name\":\"hook\",\"value\":1}\nnonsense\n")?;
    let closed = |s: &Value| s["log"]["tail"] == 4 && s["lane"]["open_run"] == Value::Null;
    agents.wait("closed by quiet", closed)?;
    let expected = ["+RUN_STARTED(between)", "CUSTOM", "+RUN_FINISHED(between)"];
    must!(agents.types()? == expected, "{:?}", agents.types());
    let rejected = agents.records()?.into_iter().find(|r| r["kind"] == "rejected");
    let rejected = rejected.ok_or("the nonsense is gone")?;
    must!(rejected["reason"] == "not_json" && rejected["data"] == "nonsense", "{rejected}");
    must!(agents.status()?["agent"]["status"] == "new", "{:?}", agents.status());

    // A gateway that starts finds its sessions, and connects them again.
    let (base, state) = (agents.gateway.base().to_owned(), agents.gateway.state());
    let Agents { mut gateway, runner, port, trusted } = agents;
    gateway.signal(Signal::SIGTERM);
    let status = gateway.wait_exit(LIMIT)?;
    must!(status.success(), "ended with {status}:\n{}", gateway.log());
    let agents = Agents { gateway: again(&base, state)?, runner, port, trusted };
    let client = node("agui.mjs", &["follow", &agents.url("/agui/events"), "6"])?;
    client.wait_step("first", LIMIT)?;
    agents.wait_listener("streaming")?;
    agents.runner("/push", "{\"type\":\"CUSTOM\",\"name\":\"hook\",\"value\":2}\n")?;
    let followed = client.wait_step("followed", LIMIT)?;
    must!(followed["gaps"] == json!([]), "{followed}");
    // The runner was asked to go on behind what the log has.
    let seen = agents.runner("/seen", "")?;
    let asked = seen["headers"].as_array().and_then(|all| all.last().cloned());
    must!(asked.is_some_and(|h| h["last-event-id"] == "2"), "{seen}");
    agents.check()
}

fn an_event_source_sees_each_offset_once_over_cuts_and_a_killed_gateway() -> Outcome {
    let mut agents = Agents::start(json!({ "retry_min_ms": 100 }))?;
    agents.wait_listener("streaming")?;
    let (base, state) = (agents.gateway.base().to_owned(), agents.gateway.state());
    let client = node("agui.mjs", &["follow", &agents.url("/agui/events"), "300"])?;
    let mut pushed = 0;
    while pushed < 300 {
        for _ in 0..30 {
            pushed += 1;
            let event = json!({ "type": "CUSTOM", "name": "n", "value": pushed });
            agents.runner("/push", &format!("{event}\n"))?;
        }
        match pushed {
            90 | 180 => {
                agents.gateway.signal(Signal::SIGKILL);
                agents.gateway.wait_exit(LIMIT)?;
                agents.gateway = again(&base, state.clone())?;
            }
            _ => drop(agents.runner("/cut", "")?),
        }
    }
    let followed = client.wait_step("followed", Duration::from_secs(60))?;
    must!(followed["gaps"] == json!([]), "{followed}");
    let until = Instant::now() + LIMIT;
    // Every event that the runner said is in the log once, in order, whatever was cut.
    let values = loop {
        let records = agents.records()?;
        let custom = records.iter().filter(|r| r["type"] == "CUSTOM");
        let value = |r: &Value| -> Option<u64> {
            let event: Value = serde_json::from_str(r["data"].as_str()?).ok()?;
            event["value"].as_u64()
        };
        let values: Vec<u64> = custom.filter_map(value).collect();
        if values.len() >= 300 || Instant::now() > until {
            break values;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    must!(values == (1..=300).collect::<Vec<u64>>(), "{values:?}");
    let events = agents.records()?.into_iter().filter(|r| r["kind"] == "event");
    let logged: Vec<u64> = events.filter_map(|r| r["offset"].as_u64()).take(300).collect();
    let ids = followed["ids"].as_array().cloned().unwrap_or_default();
    let offset = |id: &Value| id.as_str()?.rsplit('-').next()?.parse().ok();
    let seen: Vec<u64> = ids.iter().filter_map(offset).collect();
    must!(seen == logged, "seen {seen:?}\nlogged {logged:?}");
    agents.check()
}

fn whatever_a_runner_says_a_strict_client_accepts_the_log() -> Outcome {
    let agents = Agents::start(json!({ "thread_id": "thread" }))?;
    for seed in 1..=40_u64 {
        said(&agents, seed)?;
    }
    all_said(&agents)?;
    let status = agents.status()?;
    must!(status["counters"]["rejected"]["not_open"].as_u64() > Some(50), "{status}");
    agents.check()
}

/// Events with ids from a small set, so that they collide, and some that are none.
pub(crate) fn hostile(seed: u64) -> Vec<Value> {
    const TYPES: [&str; 37] = [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "TEXT_MESSAGE_CHUNK",
        "TEXT_MESSAGE_CHUNK",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_CHUNK",
        "TOOL_CALL_RESULT",
        "REASONING_START",
        "REASONING_END",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_MESSAGE_CHUNK",
        "REASONING_ENCRYPTED_VALUE",
        "STEP_STARTED",
        "STEP_FINISHED",
        "SUBAGENT_STARTED",
        "SUBAGENT_FINISHED",
        "SUBAGENT_ERROR",
        "ACTIVITY_SNAPSHOT",
        "ACTIVITY_DELTA",
        "STATE_SNAPSHOT",
        "STATE_DELTA",
        "MESSAGES_SNAPSHOT",
        "RAW",
        "CUSTOM",
        "META",
        "RUN_STARTED",
        "RUN_FINISHED",
        "THINKING_START",
        "THINKING_END",
        "THINKING_TEXT_MESSAGE_START",
        "THINKING_TEXT_MESSAGE_CONTENT",
        "THINKING_TEXT_MESSAGE_END",
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut pick = move |of: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % of
    };
    let mut events = Vec::new();
    for at in 0..80 {
        let kind = TYPES[pick(TYPES.len())];
        let id = ["a", "b", "c"][pick(3)];
        let run = format!("{id}{seed}{at}");
        let mut event = json!({
            "type": kind, "messageId": id, "toolCallId": id, "toolCallName": "n", "stepName": id,
            "threadId": "one", "runId": run, "delta": "x", "message": "m", "name": "n", "value": 1,
            "event": 1, "snapshot": {}, "activityType": "t", "patch": [], "subtype": "message",
            "entityId": id, "encryptedValue": "e", "content": "x",
            "messages": [{ "id": id, "role": "user", "content": "x" }],
        });
        match kind {
            "STATE_DELTA" => event["delta"] = json!([]),
            "ACTIVITY_SNAPSHOT" => event["content"] = json!({}),
            "REASONING_MESSAGE_START" => event["role"] = "reasoning".into(),
            _ => {}
        }
        if kind.ends_with("CHUNK") && pick(2) == 0 {
            for field in ["messageId", "toolCallId", "toolCallName"] {
                event.as_object_mut().map(|fields| fields.remove(field));
            }
        }
        if kind.starts_with("SUBAGENT") || pick(4) == 0 {
            event["subagentRunId"] = ["a", "b"][pick(2)].into();
        }
        match pick(30) {
            0 => event["messageId"] = Value::Null,
            1 => event["delta"] = json!(7),
            2 => event["parentMessageId"] = Value::Null,
            3 => event = json!("{ broken"),
            _ => {}
        }
        events.push(event);
    }
    events
}

fn projects_share_nothing_and_refusals_are_told() -> Outcome {
    let agents = Agents::start(json!({}))?;
    let other = "/v1/projects/q/sessions/one";
    must!(agents.put(other, json!({}))?.0 == 201, "not made");
    agents.run("say")?;
    let theirs = agents.gateway.call("GET", &format!("{other}/status"), None)?.body;
    must!(theirs["log"]["tail"] == 0 && theirs["agent"]["status"] == "new", "{theirs}");
    for (method, path, body, status, code) in [
        ("GET", "/v1/projects/p/sessions/two", None, 404, "no_session"),
        ("GET", "/v1/projects/p/sessions/.two", None, 400, "session_name"),
        (
            "PUT",
            other,
            Some(json!({ "runner_url": "http://169.254.169.254/" })),
            403,
            "url_blocked",
        ),
        ("PUT", other, Some(json!({ "runner_url": "ftp://127.0.0.1/" })), 403, "url_blocked"),
        ("PUT", other, Some(json!({ "runner_url": "http://127.0.0.1", "x": 1 })), 400, "bad_body"),
        ("POST", "/v1/projects/p/sessions/one/agui", Some(json!({})), 400, "missing_field"),
        (
            "POST",
            "/v1/projects/p/sessions/one/agui",
            Some(json!({ "threadId": "other", "runId": "r", "messages": [] })),
            409,
            "thread_mismatch",
        ),
        ("GET", "/v1/projects/p/sessions/one/agui/events?after=x", None, 400, "bad_cursor"),
    ] {
        let answer = agents.gateway.call(method, path, body.as_ref())?;
        let told = (answer.status, answer.body["error"]["code"].as_str());
        must!(told == (status, Some(code)), "{method} {path}: {told:?} {}", answer.body);
    }
    agents.post("hang", json!({}))?;
    agents.wait_agent("working")?;
    let second = agents.post("hang", json!({})).err().unwrap_or_default();
    must!(second.contains("409") && second.contains("run_active"), "{second}");

    let gone = agents.gateway.call("DELETE", SESSION, None)?;
    must!(gone.status == 204, "{} {}", gone.status, gone.body);
    must!(agents.gateway.call("GET", SESSION, None)?.status == 404, "it is still there");
    must!(agents.gateway.call("GET", other, None)?.status == 200, "the other one is gone");
    // The name is free again, and a cursor of the old log is told so.
    must!(agents.put(SESSION, json!({}))?.0 == 201, "not made anew");
    let path = format!("{SESSION}/agui/events?follow=false&after=oldepoch-3");
    let stream = agents.gateway.call("GET", &path, None)?.body.to_string();
    must!(stream.contains("epoch_changed"), "{stream}");

    let closed = gateway().env("LOCKKEEPER_TOKEN", "a-long-secret-token").start()?;
    let refused = closed.call_with("GET", SESSION, &[("authorization", "Bearer no")], None)?;
    must!(refused.status == 401, "{} {}", refused.status, refused.body);
    must!(closed.call("GET", SESSION, None)?.status == 404, "the token is not taken");
    Ok(())
}

fn words_to_the_runner_reach_it_and_only_it() -> Outcome {
    let secret = "s3cret-header";
    let mut agents = Agents::start(json!({ "headers": { "x-key": secret } }))?;
    let call = |method: &str, rest: &str, body: Option<Value>| {
        agents.gateway.call(method, &format!("{SESSION}{rest}"), body.as_ref())
    };
    must!(call("POST", "/agui/interrupt", Some(json!({})))?.status == 200, "not interrupted");
    let feedback = call("POST", "/agui/feedback", Some(json!({ "good": true })))?;
    must!(feedback.body["status"] == "sent", "{} {}", feedback.status, feedback.body);
    agents.wait("the answer to the feedback logged", |s| s["log"]["tail"].as_u64() >= Some(3))?;
    must!(call("GET", "/agui/capabilities", None)?.body["tools"] == true, "no capabilities");
    let task = call("GET", "/agui/tasks/a%2F..%2F..%2Fx/output", None)?;
    must!(task.body["url"] == "/tasks/a%2F..%2F..%2Fx/output", "{}", task.body);
    must!(call("GET", "/agui/tasks/%2E%2E", None)?.status == 400, "a path of two dots");
    let seen = agents.runner("/seen", "")?;
    must!(seen["interrupts"] == 1 && seen["feedback"][0]["good"] == true, "{seen}");
    must!(seen["headers"][0]["x-key"] == secret, "{seen}");
    must!(seen["headers"][0].get("authorization").is_none(), "{seen}");

    // A runner that is away: feedback is kept, what it can do is remembered, the rest is told.
    let away = agents.runner.pid();
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(away), Signal::SIGKILL);
    agents.wait("away", |s| s["listener"]["state"] != "streaming")?;
    let stored = agents.gateway.call(
        "POST",
        &format!("{SESSION}/agui/feedback"),
        Some(&json!({ "good": false })),
    )?;
    must!(stored.status == 202 && stored.body["status"] == "stored", "{}", stored.body);
    let tasks = agents.gateway.call("GET", &format!("{SESSION}/agui/tasks"), None)?;
    must!(tasks.status == 502, "{} {}", tasks.status, tasks.body);
    let known = agents.gateway.call("GET", &format!("{SESSION}/agui/capabilities"), None)?;
    must!(known.status == 200 && known.headers.contains_key("age"), "{:?}", known.headers);
    let notes = agents.records()?.into_iter().filter(|r| r["reason"] == "feedback").count();
    must!(notes == 2, "{notes} notes");

    let shown = agents.gateway.call("GET", SESSION, None)?.body;
    must!(shown["headers"] == json!(["x-key"]), "{shown}");
    let told = format!("{shown}{}{:?}", agents.gateway.log(), agents.records());
    must!(!told.contains(secret), "a header's value is shown");
    agents.gateway.signal(Signal::SIGTERM);
    let status = agents.gateway.wait_exit(LIMIT)?;
    must!(status.success(), "ended with {status}:\n{}", agents.gateway.log());
    Ok(())
}

fn a_session_that_stops_after_a_run_starts_again_with_the_next() -> Outcome {
    let agents = Agents::start(json!({ "stop_on_run_finished": true }))?;
    agents.run("say")?;
    agents.wait("stopped", |s| s["agent"]["stopped"] == true)?;
    agents.wait_listener("cancelled")?;
    let seen = agents.runner("/seen", "")?;
    must!(seen["readers"] == 0, "the listener still reads: {seen}");
    agents.run("error")?;
    agents.wait("started again", |s| s["agent"]["stopped"] == false)?;
    agents.wait_listener("streaming")?;
    Ok(())
}
