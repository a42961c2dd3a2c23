use std::path::Path;

use serde_json::Value;

use super::*;
use crate::events::{CATALOGUE, samples};
use crate::testing::Bench;

/// What a value breaks of a schema. Knows the words that [`schema`] uses, and takes a member that
/// the schema does not have for a mistake.
fn mistakes(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let mut broken = |what: &str| found.push(format!("{place}: {what}: {value}"));
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(pointer) => root.pointer(&pointer[1..]).unwrap(),
        None => schema,
    };
    let right = match schema.get("type").and_then(Value::as_str) {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some(other) => panic!("the check does not know `{other}`"),
    };
    if !right {
        broken("type");
    }
    if schema.get("const").is_some_and(|only| only != value) {
        broken("const");
    }
    if schema.get("enum").is_some_and(|words| !words.as_array().unwrap().contains(value)) {
        broken("enum");
    }
    let longest = schema.get("maxLength").and_then(Value::as_u64);
    if longest.is_some_and(|most| value.as_str().is_some_and(|text| text.len() as u64 > most)) {
        broken("maxLength");
    }
    let least = schema.get("minimum").and_then(Value::as_f64);
    if least.is_some_and(|least| value.as_f64().is_some_and(|number| number < least)) {
        broken("minimum");
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            broken(&format!("lacks {name}"));
        }
    }
    if let (Some(known), Some(members)) = (schema.get("properties"), value.as_object()) {
        for (name, member) in members {
            let place = format!("{place}/{name}");
            match known.get(name) {
                Some(schema) => mistakes(root, schema, member, &place, found),
                None => found.push(format!("{place}: not in the schema")),
            }
        }
    }
    if let (Some(schema), Some(items)) = (schema.get("items"), value.as_array()) {
        for (index, item) in items.iter().enumerate() {
            mistakes(root, schema, item, &format!("{place}/{index}"), found);
        }
    }
}

#[tokio::test]
async fn every_type_of_event_matches_its_schema() {
    let bench = Bench::new().await;
    bench
        .call(
            "PUT",
            "/v1/telemetry",
            r#"{"categories": {"control": {"enabled": true},
        "connection": {"enabled": true}, "browser": {"enabled": true}, "sandbox": {"enabled": true},
        "drain": {"enabled": true}, "listener": {"enabled": true}, "run": {"enabled": true},
        "system": {"enabled": true}, "api": {"enabled": true}}}"#,
        )
        .await;
    let samples = samples::all();
    let names: Vec<_> = samples.iter().map(|event| event.type_name().to_owned()).collect();
    let known: Vec<_> = CATALOGUE.iter().map(|known| known.name).collect();
    assert_eq!(names, known, "one of each");
    for event in samples {
        bench.telemetry.publish(Some("box"), event);
    }
    bench.stored().await;
    let schema = bench.call("GET", "/v1/telemetry/schema.json", "").await.json();
    assert_eq!(schema, super::schema());
    let events = bench.call("GET", "/v1/telemetry/events?limit=1000", "").await.json();
    assert_eq!(events.as_array().unwrap().len(), known.len() + 1, "and the change before");
    for event in events.as_array().unwrap() {
        let mut found = Vec::new();
        mistakes(&schema, &schema, event, "", &mut found);
        let rule = schema["allOf"].as_array().unwrap().iter();
        let mut rules =
            rule.filter(|rule| rule["if"]["properties"]["type"]["const"] == event["type"]);
        let rule = rules.next().unwrap();
        let then = &rule["then"]["properties"];
        mistakes(&schema, &then["category"], &event["category"], "/category", &mut found);
        mistakes(&schema, &then["data"], &event["data"], "/data", &mut found);
        let kind = &rule["if"]["properties"]["source"]["properties"]["kind"];
        mistakes(&schema, kind, &event["source"]["kind"], "/source/kind", &mut found);
        assert!(found.is_empty(), "{}: {found:#?}", event["type"]);
    }
}

/// Every command's event matches the part of the schema that is its own.
#[test]
fn every_command_has_a_schema() {
    let schema = super::schema();
    let each = schema["$defs"]["cdp_command"]["oneOf"].as_array().unwrap();
    assert_eq!(each.len(), 38);
    let click =
        each.iter().find(|one| one["properties"]["method"]["const"] == "Input.dispatchMouseEvent");
    let members: Vec<_> = click.unwrap()["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "type",
            "x",
            "y",
            "modifiers",
            "button",
            "buttons",
            "clickCount",
            "deltaX",
            "deltaY",
            "pointerType",
            "method"
        ]
    );
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_pages_say_what_the_code_does() {
    let remedy = "run `cargo run -p telemetry --example write_docs`";
    assert!(page("events.md") == events_page(), "docs/events.md is old: {remedy}");
    assert!(page("metrics.md") == metrics_page(), "docs/metrics.md is old: {remedy}");
}
