use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::*;
use crate::events::{NodeStarted, Posted, samples};
use crate::words::{Category, SourceKind};

fn item(event: impl Into<Event>) -> Item {
    Item::new(UNIX_EPOCH + Duration::from_micros(1_500_000), Some("box"), event.into())
}

fn text(rendered: &Rendered) -> &str {
    std::str::from_utf8(&rendered.payload).unwrap()
}

#[test]
fn an_envelope_is_flat_and_leaves_out_what_is_absent() {
    let rendered = render("n1", &item(NodeStarted { version: "1.2".into() }), 0).unwrap();
    assert_eq!(
        text(&rendered),
        concat!(
            r#"{"ts":1500000,"type":"node_started","category":"system","#,
            r#""source":{"kind":"service"},"node":"n1","sandbox":"box","#,
            r#""data":{"version":"1.2"}}"#,
        )
    );
    let lost = render("n1", &item(NodeStarted { version: "1.2".into() }), 3).unwrap();
    assert!(text(&lost).ends_with(r#","lost":3}"#), "{}", text(&lost));
}

#[test]
fn delivery_puts_epoch_and_offset_in_front_of_the_same_bytes() {
    let epoch: Epoch = "abcdefgh".parse().unwrap();
    let mut delivered = Vec::new();
    deliver(&epoch, 17, br#"{"ts":1}"#, &mut delivered);
    assert_eq!(delivered, br#"{"epoch":"abcdefgh","offset":17,"ts":1}"#);
}

#[test]
fn no_event_has_a_null() {
    fn no_null(value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Object(members) => members.values().all(no_null),
            Value::Array(items) => items.iter().all(no_null),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }
    for event in samples::all() {
        let rendered = render("n1", &item(event), 1).unwrap();
        let value: Value = serde_json::from_slice(&rendered.payload).unwrap();
        assert!(no_null(&value), "{value}");
    }
}

fn posted(data: Value, metadata: Vec<(String, String)>) -> Posted {
    let source = PostedSource { kind: SourceKind::Client, event: Some("tick".into()), metadata };
    let Value::Object(data) = data else { panic!("an object") };
    Posted::new("custom", Some(Category::Run), source, data).unwrap()
}

#[test]
fn a_posted_event_says_where_it_comes_from() {
    let event =
        posted(json!({"a": null, "b": [null, {"c": null}]}), vec![("k".into(), "v".into())]);
    let rendered = render("n1", &item(event), 0).unwrap();
    assert_eq!(
        text(&rendered),
        concat!(
            r#"{"ts":1500000,"type":"custom","category":"run","#,
            r#""source":{"kind":"client","event":"tick","metadata":{"k":"v"}},"#,
            r#""node":"n1","sandbox":"box","data":{"b":[{}]}}"#,
        )
    );
}

#[test]
fn an_event_of_more_than_a_million_bytes_is_cut_and_keeps_its_scalars() {
    let event = posted(
        json!({"text": "é".repeat(550_000), "n": -1.25, "flag": false, "short": "s"}),
        vec![("k".repeat(300), "v".repeat(300)); 20],
    );
    let rendered = render("n1", &item(event), 9).unwrap();
    assert!(rendered.truncated);
    assert!(rendered.payload.len() <= PAYLOAD_MAX);
    let value: Value = serde_json::from_slice(&rendered.payload).unwrap();
    assert_eq!(value["data"]["n"], -1.25);
    assert_eq!(value["data"]["flag"], false);
    assert_eq!(value["data"]["short"], "s");
    assert_eq!(value["data"]["text"], "é".repeat(128));
    assert_eq!((&value["lost"], &value["truncated"]), (&json!(9), &json!(true)));
    assert_eq!(value["truncated_fields"], json!(["/data/text"]));
    let (key, text) = value["source"]["metadata"].as_object().unwrap().iter().next().unwrap();
    assert_eq!((key.len(), text.as_str().unwrap().len()), (256, 256));
}
