use super::*;

fn kind(text: &str) -> &'static str {
    Event::parse(text).map_or_else(|invalid| invalid.kind(), |_| "fits")
}

#[test]
fn what_is_no_event_is_told_apart() {
    assert_eq!(kind("{"), "not_json");
    assert_eq!(kind("[1]"), "not_object");
    assert_eq!(kind("{}"), "no_type");
    assert_eq!(kind(r#"{"type":7}"#), "no_type");
    assert_eq!(kind(r#"{"type":"TEXT_MESSAGE_START"}"#), "missing_field");
    assert_eq!(kind(r#"{"type":"TEXT_MESSAGE_START","messageId":7}"#), "bad_field");
    assert_eq!(kind(r#"{"type":"TEXT_MESSAGE_START","messageId":"m","role":"tool"}"#), "bad_field");
    assert_eq!(kind(r#"{"type":"TEXT_MESSAGE_START","messageId":"m","role":null}"#), "bad_field");
}

#[test]
fn unknown_types_and_fields_pass() {
    assert_eq!(kind(r#"{"type":"META","anything":null}"#), "fits");
    assert_eq!(kind(r#"{"type":"TEXT_MESSAGE_END","messageId":"","mine":[null]}"#), "fits");
    assert_eq!(Event::parse(r#"{"type":"META"}"#).unwrap().kind, EventType::Unknown);
}

#[test]
fn nulls_pass_only_where_clients_read_them_as_absent() {
    let pass = [
        r#"{"type":"TOOL_CALL_START","toolCallId":"c","toolCallName":"n","parentMessageId":null}"#,
        r#"{"type":"RUN_FINISHED","threadId":"t","runId":"r","outcome":null,"result":null}"#,
        r#"{"type":"RAW","event":null,"rawEvent":null}"#,
        r#"{"type":"STATE_SNAPSHOT","snapshot":null}"#,
        r#"{"type":"CUSTOM","name":"n","value":null}"#,
    ];
    assert!(pass.iter().all(|text| kind(text) == "fits"));
    let fail = [
        r#"{"type":"RUN_STARTED","threadId":"t","runId":"r","parentRunId":null}"#,
        r#"{"type":"CUSTOM","name":"n","value":1,"timestamp":null}"#,
        r#"{"type":"CUSTOM","name":"n","value":1,"metadata":null}"#,
        r#"{"type":"CUSTOM","name":"n","value":1,"subagentRunId":null}"#,
        r#"{"type":"SUBAGENT_FINISHED","subagentRunId":"s","outcome":null}"#,
    ];
    assert!(fail.iter().all(|text| kind(text) == "bad_field"));
}

#[test]
fn nested_values_are_checked() {
    let patch = |op: &str| kind(&format!(r#"{{"type":"STATE_DELTA","delta":[{op}]}}"#));
    assert_eq!(patch(r#"{"op":"add","path":"/a~0b/~1","value":null}"#), "fits");
    assert_eq!(patch(r#"{"op":"move","from":"","path":"/b"}"#), "fits");
    for op in [
        r#"{"op":"add","path":"/a"}"#,
        r#"{"op":"remove","path":"a"}"#,
        r#"{"op":"remove","path":"/a~2"}"#,
        r#"{"op":"grow","path":"/a"}"#,
    ] {
        assert_eq!(patch(op), "bad_field", "{op}");
    }
    let message = |m: &str| kind(&format!(r#"{{"type":"MESSAGES_SNAPSHOT","messages":[{m}]}}"#));
    assert_eq!(
        message(r#"{"id":"1","role":"user","content":[{"type":"text","text":""}]}"#),
        "fits"
    );
    let call = r#"{"id":"c","type":"function","function":{"name":"n","arguments":""}}"#;
    let calls = format!(r#"{{"id":"1","role":"assistant","toolCalls":[{call}]}}"#);
    assert_eq!(message(&calls), "fits");
    assert_eq!(message(r#"{"id":"1","role":"user"}"#), "bad_field");
    assert_eq!(message(r#"{"id":"1","role":"wizard","content":""}"#), "bad_field");
    let finished = r#"{"type":"RUN_FINISHED","threadId":"t","runId":"r","outcome":"#;
    assert_eq!(
        kind(&format!(r#"{finished}{{"type":"interrupt","interrupts":[]}}}}"#)),
        "bad_field"
    );
    assert_eq!(kind(r#"{"type":"RAW","event":1,"timestamp":1.5}"#), "bad_field");
}
