//! No secret comes out, whatever a client puts where.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::table::METHODS;
use super::tests::kept_of;
use super::*;

/// What no event may have, in any part or spelling. Not hexadecimal, so no id of the browser's.
const SECRET: &str = "hunter2zq";

fn pinned() -> Map<String, Value> {
    serde_json::from_str(include_str!("protocol.json")).unwrap()
}

/// The event that a message makes, as it is written.
fn written(message: &[u8]) -> Option<String> {
    let Decoded::Command { method, command_id, session_id, kept } = decode(message) else {
        return None;
    };
    let event = CdpCommand {
        method: method.name,
        connection_id: "c1".into(),
        generation: 1,
        session_id,
        command_id,
        message_bytes: message.len() as u64,
        kept,
    };
    Some(serde_json::to_string(&event).unwrap())
}

fn gives_nothing_away(message: &Value) {
    let text = message.to_string();
    let event = written(text.as_bytes()).unwrap_or_else(|| panic!("no event: {text}"));
    let event = event.to_lowercase();
    for part in [SECRET, "hunter", "2zq", "68756e746572"] {
        assert!(!event.contains(part), "{event}\nof {text}");
    }
}

/// Values that hold the secret in every way that a JSON value can.
fn secrets() -> Vec<Value> {
    let nested = json!({"items": [{"mimeType": SECRET, "data": SECRET, SECRET: SECRET}],
        "files": [SECRET], "dragOperationsMask": SECRET, "x": SECRET, "left": SECRET,
        "windowState": SECRET, SECRET: {"a": SECRET}});
    vec![
        json!(SECRET),
        json!(format!("{SECRET}:{SECRET}")),
        json!(format!("https://{SECRET}@{SECRET}/{SECRET}?{SECRET}#{SECRET}")),
        json!(format!("{SECRET}/{SECRET}")),
        json!(format!(" {SECRET}")),
        json!(SECRET.repeat(1_000)),
        json!([SECRET, {"x": SECRET, "y": SECRET, "mimeType": format!("{SECRET}/{SECRET}")}]),
        json!({SECRET: SECRET}),
        nested,
    ]
}

#[test]
fn a_secret_in_any_argument_of_any_command_never_comes_out() {
    let mut tried = 0;
    for (method, arguments) in pinned() {
        let names = arguments.as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap());
        for name in names.chain([SECRET, "params", "method"]) {
            for secret in secrets() {
                gives_nothing_away(&json!({"id": 1, "method": method, "params": {name: secret}}));
                tried += 1;
            }
        }
        for secret in secrets() {
            gives_nothing_away(&json!({"id": secret, "method": method, "sessionId": secret}));
            gives_nothing_away(&json!({SECRET: secret, "method": method}));
        }
    }
    assert!(tried > 2_000, "{tried}");
}

/// Any JSON value, with the secret here and there.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(|text| Value::from(format!("{text}{SECRET}"))),
        Just(Value::from(SECRET)),
    ];
    let names = prop_oneof![
        4 => prop::sample::select(vec![
            "type", "x", "y", "button", "key", "text", "url", "targetId", "data", "items", "files",
            "mimeType", "bounds", "windowState", "touchPoints", "commands", "format", "nodeId",
            "browserContextId", "promptText", "transitionType", "dragOperationsMask",
        ])
        .prop_map(str::to_owned),
        1 => Just(SECRET.to_owned()),
    ];
    leaf.prop_recursive(4, 60, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..12)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn an_event_of_any_arguments_is_short_and_says_no_secret(
        method in 0..METHODS.len(),
        params in any_json(),
        more in any_json(),
    ) {
        let name = METHODS[method].name;
        let message = json!({"id": more, "sessionId": more, "method": name, "params": params,
            SECRET: more});
        let text = message.to_string();
        if let Some(event) = written(text.as_bytes()) {
            prop_assert!(event.len() < 4096, "{} bytes", event.len());
            prop_assert!(!event.contains(SECRET), "{event}");
            prop_assert!(!event.contains("null"), "{event}");
            let event: Value = serde_json::from_str(&event).unwrap();
            prop_assert_eq!(&event["method"], name);
        } else {
            prop_assert!(!params.is_object(), "{text}");
        }
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(
        start in 0..8usize,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        cut in 0..400usize,
    ) {
        let starts = [
            r#"{"method":"Input.insertText","params":{"text":""#,
            r#"{"method":"Page.navigate","params":{"url":""#,
            r#"{"method":"Input.dispatchTouchEvent","params":{"touchPoints":["#,
            r#"{"method":"Input.dispatchDragEvent","params":{"data":{"items":["#,
            r#"{"method":""#,
            "{",
            r#"{"params":"#,
            "",
        ];
        let mut message = starts[start].as_bytes().to_vec();
        message.extend(&bytes);
        message.extend(br#""}}"#);
        message.truncate(cut);
        if let Some(event) = written(&message) {
            prop_assert!(event.len() < 4096);
            serde_json::from_str::<Value>(&event).unwrap();
        }
    }
}

#[test]
fn the_longest_event_is_below_four_kilobytes() {
    let point = json!({"x": -1.234_567_890_123_456_7e-300, "y": -1.234_567_890_123_456_7e-300});
    let params = json!({"type": "touchCancel", "modifiers": u64::MAX,
        "touchPoints": vec![point; 1_000]});
    let id = "ab".repeat(500);
    let message = json!({"id": u64::MAX, "sessionId": id, "method": "Input.dispatchTouchEvent",
        "params": params});
    let event = written(message.to_string().as_bytes()).unwrap();
    assert!(event.len() < 4096, "{} bytes", event.len());
    assert_eq!(kept_of(message.to_string().as_bytes()).1["touch_count"], 1_000);
}
