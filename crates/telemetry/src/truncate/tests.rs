use serde_json::json;

use super::*;

const LIMIT: usize = 1_000_000;

fn fitted(mut envelope: Value) -> Value {
    assert!(json_len(&envelope) > LIMIT, "too short for a test");
    fit(&mut envelope, LIMIT);
    let bytes = serde_json::to_vec(&envelope).unwrap();
    assert!(bytes.len() <= LIMIT, "{} bytes", bytes.len());
    assert_eq!(envelope["truncated"], true);
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), envelope);
    envelope
}

#[test]
fn the_largest_string_goes_first_and_short_ones_stay() {
    let cut = fitted(json!({
        "ts": 1,
        "data": {"a": "x".repeat(900_000), "b": "y".repeat(200_000), "c": "z".repeat(256), "n": 7},
    }));
    assert_eq!(cut["data"]["a"], "x".repeat(256));
    assert_eq!(cut["data"]["b"], "y".repeat(200_000), "it fits without cutting this one");
    assert_eq!(cut["data"]["c"], "z".repeat(256));
    assert_eq!(cut["data"]["n"], 7);
    assert_eq!(cut["truncated_fields"], json!(["/data/a"]));
}

#[test]
fn strings_are_cut_at_a_character_boundary_at_any_depth() {
    let cut = fitted(json!({
        "data": {"deep": [{"a/b": "é".repeat(550_000)}, {"m~n": "€".repeat(400_000)}]},
    }));
    assert_eq!(cut["data"]["deep"][0]["a/b"], "é".repeat(128));
    assert_eq!(cut["data"]["deep"][1]["m~n"], "€".repeat(85));
    assert_eq!(cut["truncated_fields"], json!(["/data/deep/1/m~0n", "/data/deep/0/a~1b"]));
}

#[test]
fn long_lists_are_cut_when_strings_are_not_enough() {
    let list: Vec<_> = (0..10_000).map(|n| format!("{n:0200}")).collect();
    let cut = fitted(json!({"data": {"list": list, "text": "x".repeat(1000), "ok": true}}));
    assert_eq!(cut["data"]["list"].as_array().unwrap().len(), 32);
    assert_eq!(cut["data"]["text"], "x".repeat(256));
    assert_eq!(cut["data"]["ok"], true);
    assert_eq!(cut["truncated_fields"], json!(["/data/text", "/data/list"]));
}

#[test]
fn whole_members_go_when_lists_are_not_enough() {
    let wide: serde_json::Map<_, _> =
        (0..100_000).map(|n| (format!("k{n}"), Value::from(n))).collect();
    let cut = fitted(json!({"data": {"wide": wide, "number": 1.5, "text": "short"}}));
    assert_eq!(cut["data"], json!({"number": 1.5, "text": "short"}));
    assert_eq!(cut["truncated_fields"], json!(["/data/wide"]));
}

#[test]
fn even_endless_short_members_end_below_the_limit() {
    let data: serde_json::Map<_, _> =
        (0..100_000).map(|n| (format!("key{n:05}"), Value::from(n))).collect();
    let cut = fitted(json!({"type": "custom", "data": data}));
    assert_eq!(cut["data"]["key00000"], 0);
    assert_eq!(cut["truncated_fields"].as_array().unwrap().len(), NAMED_CUTS);
}

#[test]
fn metadata_is_cut_last() {
    let pairs: serde_json::Map<_, _> =
        (0..16).map(|n| (format!("k{n}"), Value::from("\u{1}".repeat(256)))).collect();
    let mut envelope = json!({"source": {"metadata": pairs}, "data": {"a": 1}});
    fit(&mut envelope, MARK_ROOM + 10_000);
    assert!(json_len(&envelope) <= MARK_ROOM + 10_000);
    assert_eq!(envelope["data"]["a"], 1);
    assert_eq!(envelope["source"]["metadata"]["k0"].as_str().unwrap().len(), 32);
}

#[test]
fn a_long_name_of_a_member_does_not_make_the_marks_too_long() {
    let name = "\u{1}".repeat(100_000);
    let cut = fitted(json!({"data": {name: ["x".repeat(900_000)]}}));
    assert!(cut["truncated_fields"][0].as_str().unwrap().len() <= 128);
}
