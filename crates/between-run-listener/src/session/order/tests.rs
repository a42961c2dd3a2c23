use serde_json::json;

use super::*;

fn event(fields: &Value) -> Event {
    Event::from_value(fields.clone()).unwrap()
}

/// Feeds events to the order of a fresh run; gives the words of those that were refused.
fn refused(events: &[Value]) -> Vec<&'static str> {
    let mut order = Order::default();
    events
        .iter()
        .map(|fields| order.admit(&event(fields)).map_or_else(Misplaced::kind, |()| ""))
        .collect()
}

fn text(what: &str, id: &str) -> Value {
    json!({ "type": format!("TEXT_MESSAGE_{what}"), "messageId": id, "delta": "x" })
}

#[test]
fn a_message_is_opened_once_and_closed_once() {
    let steps = [
        text("CONTENT", "a"),
        text("START", "a"),
        text("START", "a"),
        text("CONTENT", "a"),
        text("END", "a"),
        text("END", "a"),
        text("START", "a"),
    ];
    assert_eq!(refused(&steps), ["not_open", "", "already_open", "", "", "not_open", ""]);
}

#[test]
fn tools_spans_and_reasoning_messages_pair_apart() {
    let of =
        |what: &str| json!({ "type": what, "messageId": "a", "role": "reasoning", "delta": "" });
    let steps = [
        of("REASONING_START"),
        of("REASONING_MESSAGE_START"),
        of("REASONING_END"),
        of("REASONING_MESSAGE_CONTENT"),
        of("REASONING_MESSAGE_END"),
        of("REASONING_MESSAGE_CONTENT"),
    ];
    assert_eq!(refused(&steps), ["", "", "", "", "", "not_open"]);
}

#[test]
fn an_event_names_the_subagent_of_what_it_goes_on_with_or_none() {
    let mut other = text("CONTENT", "a");
    other["subagentRunId"] = "s".into();
    assert_eq!(
        refused(&[text("START", "a"), other, text("CONTENT", "a")]),
        ["", "other_subagent", ""]
    );
}

#[test]
fn steps_pair_by_subagent_and_name() {
    let step = |what: &str, sub: Option<&str>| {
        let mut step = json!({ "type": format!("STEP_{what}"), "stepName": "s" });
        if let Some(sub) = sub {
            step["subagentRunId"] = sub.into();
        }
        step
    };
    let steps = [
        step("STARTED", None),
        step("STARTED", Some("x")),
        step("STARTED", None),
        step("FINISHED", Some("y")),
        step("FINISHED", Some("x")),
        step("FINISHED", None),
        step("FINISHED", None),
    ];
    assert_eq!(refused(&steps), ["", "", "already_open", "not_open", "", "", "not_open"]);
}

#[test]
fn a_subagent_runs_once_and_inside_one_that_is_known() {
    let of = |what: &str, id: &str| json!({ "type": what, "subagentRunId": id, "name": "n", "message": "m" });
    let mut child = of("SUBAGENT_STARTED", "b");
    child["parentSubagentRunId"] = "nobody".into();
    let steps = [
        of("SUBAGENT_FINISHED", "a"),
        of("SUBAGENT_STARTED", "a"),
        child,
        of("SUBAGENT_ERROR", "a"),
        of("SUBAGENT_STARTED", "a"),
    ];
    assert_eq!(refused(&steps), ["not_open", "", "not_open", "", "subagent_reused"]);
}

#[test]
fn chunks_open_by_themselves_and_end_with_the_next_thing_of_their_lane() {
    let chunk = |id: Option<&str>| {
        let mut chunk = json!({ "type": "TEXT_MESSAGE_CHUNK", "delta": "x" });
        if let Some(id) = id {
            chunk["messageId"] = id.into();
        }
        chunk
    };
    let state = json!({ "type": "STATE_SNAPSHOT", "snapshot": 1 });
    let raw = json!({ "type": "RAW", "event": 1 });
    let steps = [
        chunk(None),
        chunk(Some("a")),
        chunk(None),
        raw,
        chunk(None),
        state,
        chunk(None),
        text("START", "b"),
        chunk(Some("b")),
        text("END", "b"),
        chunk(Some("b")),
        text("CONTENT", "b"),
    ];
    let expected =
        ["bad_chunk", "", "", "", "", "", "bad_chunk", "", "already_open", "", "", "not_open"];
    assert_eq!(refused(&steps), expected);
}

#[test]
fn what_is_open_is_closed_newest_first() {
    let mut order = Order::default();
    for fields in [
        json!({ "type": "SUBAGENT_STARTED", "subagentRunId": "s", "name": "n" }),
        text("START", "m"),
        json!({ "type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "n" }),
        json!({ "type": "STEP_STARTED", "stepName": "p", "subagentRunId": "s" }),
    ] {
        order.admit(&event(&fields)).unwrap();
    }
    let closers = order.closers();
    let kinds: Vec<_> = closers.iter().map(|fields| fields["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["STEP_FINISHED", "TOOL_CALL_END", "TEXT_MESSAGE_END", "SUBAGENT_ERROR"]);
    for fields in closers {
        order.admit(&event(&Value::Object(fields))).unwrap();
    }
    assert!(order.is_closed());
}

#[test]
fn a_run_has_a_bounded_number_of_ids() {
    let mut order = Order::default();
    let step = |at: usize| event(&json!({ "type": "STEP_STARTED", "stepName": at.to_string() }));
    for at in 0..TRACKED_MAX {
        order.admit(&step(at)).unwrap();
    }
    assert_eq!(order.admit(&step(TRACKED_MAX)), Err(Misplaced::Limit));
}

#[test]
fn retired_thinking_events_pair_as_the_reasoning_that_clients_make_of_them() {
    let of = |what: &str| json!({ "type": format!("THINKING_{what}"), "delta": "x" });
    let steps = [
        of("TEXT_MESSAGE_CONTENT"),
        of("START"),
        of("TEXT_MESSAGE_START"),
        of("TEXT_MESSAGE_START"),
        of("TEXT_MESSAGE_CONTENT"),
        of("TEXT_MESSAGE_END"),
        of("END"),
        of("END"),
    ];
    assert_eq!(refused(&steps), ["not_open", "", "", "already_open", "", "", "", "not_open"]);
}

#[test]
fn a_chunk_that_goes_on_says_the_same_of_its_message_or_nothing() {
    let chunk = |name: Option<&str>, parent: Option<&str>| {
        let mut chunk = json!({ "type": "TOOL_CALL_CHUNK", "toolCallId": "c", "delta": "" });
        for (field, value) in [("toolCallName", name), ("parentMessageId", parent)] {
            if let Some(value) = value {
                chunk[field] = value.into();
            }
        }
        chunk
    };
    let steps = [
        chunk(Some("n"), None),
        chunk(Some("n"), None),
        chunk(None, None),
        chunk(Some("other"), None),
        chunk(None, Some("m")),
    ];
    assert_eq!(refused(&steps), ["", "", "", "bad_chunk", "bad_chunk"]);
    let text = |role: &str| json!({ "type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "role": role });
    let first = json!({ "type": "TEXT_MESSAGE_CHUNK", "messageId": "m" });
    assert_eq!(refused(&[first, text("assistant"), text("user")]), ["", "", "bad_chunk"]);
}

#[test]
fn a_result_does_not_take_the_message_of_a_subagents_chunk() {
    let mut chunk = json!({ "type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "x" });
    chunk["subagentRunId"] = "s".into();
    let result = json!({
        "type": "TOOL_CALL_RESULT", "messageId": "m", "toolCallId": "c", "content": "",
    });
    let mut own = result.clone();
    own["subagentRunId"] = "s".into();
    assert_eq!(refused(&[chunk, result.clone(), own, result]), ["", "other_subagent", "", ""]);
}

#[test]
fn a_retired_event_does_not_stand_behind_a_chunk_of_its_lane() {
    let chunk = json!({ "type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "x" });
    let thinking = json!({ "type": "THINKING_START" });
    let state = json!({ "type": "STATE_SNAPSHOT", "snapshot": 1 });
    assert_eq!(refused(&[chunk, thinking.clone(), state, thinking]), ["", "bad_chunk", "", ""]);
}
