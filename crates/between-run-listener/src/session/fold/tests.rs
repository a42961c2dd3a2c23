use serde_json::json;

use super::*;
use crate::log::Envelope;

/// A fold of events that the runner sent on its own stream, from offset 1.
fn fold(events: &[Value]) -> Fold {
    let mut fold = Fold::new("s");
    for (at, event) in events.iter().enumerate() {
        fold.take(&stored(at as u64 + 1, event));
    }
    fold
}

fn stored(offset: u64, event: &Value) -> Stored {
    let envelope = Envelope {
        ts_ms: 1_000 + i64::try_from(offset).unwrap(),
        feed: Some(FeedName::Listen),
        upstream_id: Some(format!("u{offset}")),
        event_type: event["type"].as_str().map(str::to_owned),
        ..Envelope::new(Kind::Event, Origin::Runner)
    };
    Stored { offset, envelope, data: event.to_string().into() }
}

fn started(run: &str) -> Value {
    json!({ "type": "RUN_STARTED", "threadId": "t", "runId": run })
}

fn finished(run: &str) -> Value {
    json!({ "type": "RUN_FINISHED", "threadId": "t", "runId": run })
}

/// An event of a type with more fields.
fn event(kind: &str, more: Value) -> Value {
    let mut event = json!({ "type": kind });
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// The messages that events inside of one run lead to.
fn messages(inside: &[Value]) -> Value {
    let mut events = vec![started("r")];
    events.extend_from_slice(inside);
    events.push(finished("r"));
    fold(&events).messages()
}

fn text(what: &str, id: &str) -> Value {
    event(&format!("TEXT_MESSAGE_{what}"), json!({ "messageId": id, "delta": "x" }))
}

#[test]
fn text_is_joined_by_id_and_an_id_that_is_opened_again_goes_on() {
    let told = messages(&[
        text("START", "a"),
        text("START", "b"),
        text("CONTENT", "a"),
        text("CONTENT", "b"),
        text("CONTENT", "a"),
        text("END", "a"),
        text("START", "a"),
        text("CONTENT", "a"),
    ]);
    let message = |id, content| json!({ "id": id, "role": "assistant", "content": content });
    assert_eq!(told, json!([message("a", "xxx"), message("b", "x")]));
}

#[test]
fn a_run_that_failed_keeps_its_text_and_deltas_behind_a_snapshot_count() {
    let snapshot = json!({ "messages": [{ "id": "u", "role": "user", "content": "hi" }] });
    let error = json!({ "type": "RUN_ERROR", "message": "m" });
    let events = [
        started("r"),
        text("START", "a"),
        text("CONTENT", "a"),
        event("MESSAGES_SNAPSHOT", snapshot),
        event("TEXT_MESSAGE_START", json!({ "messageId": "b" })),
        text("CONTENT", "b"),
        error,
    ];
    let mut fold = fold(&events);
    let contents: Vec<_> =
        fold.messages().as_array().unwrap().iter().map(|m| m["content"].clone()).collect();
    assert_eq!(contents, ["hi", "x"]);
    let base = fold.finish(u64::MAX);
    assert_eq!(base.header.runs[0].ending, Ending::Failed { code: None, ours: false });
    assert_eq!(base.header.last_error.as_ref().map(|e| e.message.as_str()), Some("m"));
}

#[test]
fn chunks_open_their_messages_and_go_on_without_an_id() {
    let told = messages(&[
        event("TEXT_MESSAGE_CHUNK", json!({ "messageId": "a", "delta": "x" })),
        event("TEXT_MESSAGE_CHUNK", json!({ "delta": "y", "metadata": { "k": 1 } })),
        event("TOOL_CALL_CHUNK", json!({ "toolCallId": "c", "toolCallName": "n", "delta": "{" })),
        event("TOOL_CALL_CHUNK", json!({ "delta": "}" })),
        event("REASONING_MESSAGE_CHUNK", json!({ "messageId": "r", "delta": "z" })),
    ]);
    assert_eq!(told[0]["content"], "xy");
    assert_eq!(told[0]["metadata"], json!({ "k": 1 }));
    assert_eq!(told[1]["toolCalls"][0]["function"], json!({ "name": "n", "arguments": "{}" }));
    assert_eq!((&told[2]["role"], &told[2]["content"]), (&json!("reasoning"), &json!("z")));
}

#[test]
fn calls_go_to_their_parents_and_results_stand_behind_them() {
    let call = |id: &str, parent: Value| {
        event(
            "TOOL_CALL_START",
            json!({ "toolCallId": id, "toolCallName": "n", "parentMessageId": parent }),
        )
    };
    let result = |id: &str, call: &str| {
        event("TOOL_CALL_RESULT", json!({ "messageId": id, "toolCallId": call, "content": "c" }))
    };
    let told = messages(&[
        text("START", "a"),
        text("END", "a"),
        call("c1", json!("a")),
        event("TOOL_CALL_END", json!({ "toolCallId": "c1" })),
        call("c2", Value::Null),
        event("TOOL_CALL_END", json!({ "toolCallId": "c2" })),
        call("c3", json!("new")),
        event("TOOL_CALL_END", json!({ "toolCallId": "c3" })),
        text("START", "late"),
        result("r2", "c2"),
        result("r1", "c1"),
        result("r3", "nobody's"),
        result("r1b", "c1"),
    ]);
    let ids: Vec<_> = told.as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "r1", "r1b", "c2", "r2", "new", "late", "r3"]);
}

#[test]
fn a_snapshot_replaces_but_leaves_activities_and_reasoning_that_it_does_not_know() {
    let activity = |id: &str| {
        event(
            "ACTIVITY_SNAPSHOT",
            json!({ "messageId": id, "activityType": "plan", "content": { "n": 1 } }),
        )
    };
    let snapshot = |messages: Value| event("MESSAGES_SNAPSHOT", json!({ "messages": messages }));
    let said = json!({ "id": "u", "role": "user", "content": "hi" });
    let ids = |told: Value| -> Vec<String> {
        told.as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
    };
    let told = messages(&[activity("p"), text("START", "a"), snapshot(json!([said.clone()]))]);
    assert_eq!(ids(told), ["p", "u"]);
    let own = json!({ "id": "q", "role": "activity", "activityType": "plan", "content": {} });
    let told = messages(&[activity("p"), snapshot(json!([said, own]))]);
    assert_eq!(ids(told), ["u", "q"], "one that has activities has them all");
}

#[test]
fn state_and_activities_take_patches_whole_or_not_at_all() {
    let patch = |field: &str, ops: Value| {
        event(
            if field == "delta" { "STATE_DELTA" } else { "ACTIVITY_DELTA" },
            json!({ "messageId": "p", "activityType": "plan", field: ops }),
        )
    };
    let good = json!([{ "op": "add", "path": "/b", "value": 2 }]);
    let torn =
        json!([{ "op": "add", "path": "/c", "value": 3 }, { "op": "remove", "path": "/none" }]);
    let content = json!({ "messageId": "p", "activityType": "plan", "content": { "a": 1 } });
    let mut fold = fold(&[
        started("r"),
        event("STATE_SNAPSHOT", json!({ "snapshot": { "a": 1 } })),
        event("ACTIVITY_SNAPSHOT", content.clone()),
        patch("delta", good.clone()),
        patch("delta", torn.clone()),
        patch("patch", good),
        patch("patch", torn),
        event(
            "ACTIVITY_SNAPSHOT",
            json!({ "replace": false, "messageId": "p", "activityType": "other", "content": {} }),
        ),
        finished("r"),
    ]);
    assert_eq!(fold.state, Some(json!({ "a": 1, "b": 2 })));
    assert_eq!(fold.messages()[0]["content"], json!({ "a": 1, "b": 2 }));
    assert_eq!(fold.finish(u64::MAX).header.dropped.patches, 2);
}

#[test]
fn other_events_are_kept_as_they_are_and_the_oldest_are_counted() {
    let custom = |at: usize| event("CUSTOM", json!({ "name": "n", "value": at }));
    let mut events = vec![started("r"), json!({ "type": "META", "x": 1 })];
    events.extend((0..1_200).map(custom));
    events.push(finished("r"));
    let base = fold(&events).finish(u64::MAX);
    assert_eq!(base.events.len(), 1_000 + 3);
    assert_eq!(base.header.dropped.events, 201);
    assert_eq!(base.events[2].data, custom(200).to_string());
    let large = event("RAW", json!({ "event": "x".repeat(600_000) }));
    let base = fold(&[started("r"), large.clone(), large, finished("r")]).finish(u64::MAX);
    assert_eq!((base.events.len(), base.header.dropped.events), (4, 1));
}

#[test]
fn the_index_says_of_each_run_how_it_was() {
    let mut fold = fold(&[started("r1"), finished("r1"), started("r2"), finished("r2")]);
    let base = fold.finish(u64::MAX);
    let run = &base.header.runs[1];
    assert_eq!((run.id.as_str(), run.first, run.last), ("r2", 3, 4));
    assert_eq!((run.started_ms, run.ended_ms), (1_003, 1_004));
    assert_eq!((run.began, &run.ending), (Began::Runner, &Ending::Finished));
    assert_eq!(base.header.last_run.as_deref(), Some("r2"));
    assert_eq!(base.header.resume.as_deref(), Some("u4"));
    assert_eq!((base.header.from, base.header.covers), (1, 4));
}

#[test]
fn a_base_is_gone_on_with_as_if_the_runs_were_there() {
    let mut first =
        fold(&[started("r1"), text("START", "a"), text("CONTENT", "a"), finished("r1")]);
    let base = first.finish(u64::MAX);
    first.check(&base).unwrap();
    let mut second = Fold::resume("s", &base);
    for (at, event) in
        [started("r2"), text("START", "a"), text("CONTENT", "a"), finished("r2")].iter().enumerate()
    {
        second.take(&stored(at as u64 + 5, event));
    }
    assert_eq!(second.messages()[0]["content"], "xx");
    let base = second.finish(u64::MAX);
    assert_eq!(base.header.message_at, [2]);
    assert_eq!(base.header.runs.len(), 2);
    second.check(&base).unwrap();
}

#[test]
fn a_base_that_was_changed_is_not_believed() {
    let mut fold = fold(&[started("r"), text("START", "a"), text("CONTENT", "a"), finished("r")]);
    let good = fold.finish(u64::MAX);
    let changed = |change: &dyn Fn(&mut Base)| {
        let mut base = good.clone();
        change(&mut base);
        fold.check(&base)
    };
    assert_eq!(changed(&|_| {}), Ok(()));
    assert_eq!(changed(&|base| drop(base.events.pop())), Err(BaseError::NotClosed));
    assert_eq!(changed(&|base| base.events[1].data = "{".into()), Err(BaseError::NoEvent));
    assert_eq!(changed(&|base| base.header.runs.clear()), Err(BaseError::Differs));
    assert_eq!(changed(&|base| drop(base.events.remove(1))), Err(BaseError::Differs));
    let stray = stored(4, &text("START", "b"));
    assert_eq!(changed(&|base| base.events.insert(1, stray.clone())), Err(BaseError::NotClosed));
}

#[test]
fn the_oldest_runs_leave_a_base_that_is_too_large_and_the_newest_never_does() {
    let mut events = Vec::new();
    for run in 0..10 {
        let (run, id) = (format!("r{run}"), format!("m{run}"));
        let words =
            event("TEXT_MESSAGE_CONTENT", json!({ "messageId": id, "delta": "x".repeat(1_000) }));
        events.extend([started(&run), text("START", &id), words, finished(&run)]);
    }
    let mut small = fold(&events);
    let base = small.finish(4_000);
    let ids: Vec<_> = base.header.runs.iter().map(|run| run.id.as_str()).collect();
    assert_eq!(ids, ["r7", "r8", "r9"]);
    assert_eq!(small.messages().as_array().unwrap().len(), 3);
    assert_eq!(
        (base.header.from, base.header.dropped.runs, base.header.dropped.messages),
        (29, 7, 7)
    );
    small.check(&base).unwrap();
    let base = fold(&events).finish(1);
    assert_eq!(base.header.runs.len(), 1);
}
