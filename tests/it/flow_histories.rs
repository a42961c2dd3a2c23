//! A hundred made-up histories of sessions, each held to what strict readers of the protocol ask for.

use std::collections::BTreeMap;
use std::time::Instant;

use lockkeeper_tests::{Outcome, must};
use serde_json::{Value, json};

use crate::agents::{Agents, LIMIT, check, validate};

crate::facts! {
    a_hundred_histories_of_runs_and_of_what_comes_between_are_valid_for_strict_readers,
}

/// Sessions, each with a history of its own.
const HISTORIES: u64 = 100;

/// What happens in each of them.
const STEPS: u64 = 7;

/// Runs that come to their end, fail, are cut, are cancelled, or are refused by the runner.
const RUNS: [&str; 8] = ["say", "pretty", "crlf", "error", "torn", "cancel", "none", "tick 30 2"];

fn path(at: u64) -> String {
    format!("/v1/projects/p/sessions/h{at}")
}

/// What the runner says between runs, by itself: a hook, a message, a run of its own, one that fails.
fn between(kind: u64, tag: &str) -> Vec<Value> {
    let started =
        json!({ "type": "RUN_STARTED", "threadId": "own", "runId": format!("own-{tag}") });
    let message = format!("between-{tag}");
    let text = [
        json!({ "type": "TEXT_MESSAGE_START", "messageId": message, "role": "assistant" }),
        json!({ "type": "TEXT_MESSAGE_CONTENT", "messageId": message, "delta": "done" }),
        json!({ "type": "TEXT_MESSAGE_END", "messageId": message }),
    ];
    match kind {
        0 => vec![json!({ "type": "CUSTOM", "name": "hook", "value": tag })],
        1 => text.into(),
        2 => {
            let finished =
                json!({ "type": "RUN_FINISHED", "threadId": "own", "runId": format!("own-{tag}") });
            [vec![started], text.into(), vec![finished]].concat()
        }
        3 => {
            let error = json!({ "type": "RUN_ERROR", "message": "no luck", "code": "LUCK" });
            [vec![started], text[..2].into(), vec![error]].concat()
        }
        _ => vec![json!({ "type": "RAW", "event": { "tag": tag } })],
    }
}

/// Waits until no run of a session is open and nothing waits for its turn.
fn quiet(agents: &Agents, at: u64) -> Outcome {
    let until = Instant::now() + LIMIT;
    loop {
        let status = agents.gateway.call("GET", &format!("{}/status", path(at)), None)?.body;
        if status["lane"] == json!({ "open_run": null, "held": 0 }) {
            return Ok(());
        }
        must!(Instant::now() < until, "history {at} never ends: {status}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn a_hundred_histories_of_runs_and_of_what_comes_between_are_valid_for_strict_readers() -> Outcome {
    let agents = Agents::start(json!({}))?;
    let settings = json!({ "events_path": "/events/{session}", "retry_min_ms": 100 });
    let mut chance: Vec<fastrand::Rng> = (0..HISTORIES).map(fastrand::Rng::with_seed).collect();
    for at in 0..HISTORIES {
        let put = agents.put(&path(at), settings.clone())?;
        must!(put.0 == 201, "{at}: {put:?}");
    }
    // One step in each of them after the other, so that they also meet each other.
    for step in 0..STEPS {
        for (at, chance) in (0..).zip(&mut chance) {
            let word = RUNS[chance.usize(..RUNS.len())];
            // Refused while another run of a client is open.
            if chance.bool()
                && let Err(refused) = agents.post_to(&path(at), word, json!({}))
            {
                must!(refused.contains("run_active"), "history {at}, step {step}: {refused}");
            }
            for event in between(chance.u64(..5), &format!("{at}-{step}")) {
                agents.runner(&format!("/push/h{at}"), &format!("{event}\n"))?;
            }
            if chance.u8(..4) == 0 {
                agents.runner(&format!("/cut/h{at}"), "")?;
            }
        }
    }
    let folder = agents.gateway.state().path().join("histories");
    let mut seen = BTreeMap::<String, usize>::new();
    for at in 0..HISTORIES {
        quiet(&agents, at)?;
        let name = format!("h{at}");
        let file = agents.export_of(&path(at), &folder, &name)?;
        validate(&file, &[]).map_err(|e| format!("history {at}: {e}"))?;
        let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for event in events {
            let word = match (event["type"].as_str(), event["code"].as_str()) {
                (Some("RUN_FINISHED"), _) => {
                    let ours = event["metadata"]["lockkeeper"]["kind"].as_str();
                    ours.or(event["outcome"]["type"].as_str()).unwrap_or("finished")
                }
                (Some("RUN_ERROR"), Some(code)) => code,
                _ => continue,
            };
            *seen.entry(word.to_owned()).or_default() += 1;
        }
    }
    for word in ["finished", "cancelled", "input", "between", "LUCK"] {
        must!(seen.get(word).is_some_and(|count| *count >= 20), "too few of {word}: {seen:?}");
    }
    for word in ["RUNNER_TRUNCATED", "RUNNER_HTTP_404"] {
        must!(seen.get(word).is_some_and(|count| *count >= 10), "too few of {word}: {seen:?}");
    }
    check(&folder.display().to_string())
}
