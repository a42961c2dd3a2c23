use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[test]
fn names_are_unique_and_carry_the_prefix_of_their_category() {
    let names: BTreeSet<_> = CATALOGUE.iter().map(|known| known.name).collect();
    assert_eq!(names.len(), CATALOGUE.len());
    for known in CATALOGUE {
        let prefix = match known.category {
            Category::Connection => "cdp_",
            Category::Api => "api_",
            Category::System | Category::Control => continue,
            Category::Browser
            | Category::Sandbox
            | Category::Drain
            | Category::Listener
            | Category::Run => known.category.as_str(),
        };
        assert!(known.name.starts_with(prefix), "{} is in {}", known.name, known.category);
    }
}

/// `cause` and the like are words in one event and free text in another: both are strings.
fn json_type(shape: Shape) -> &'static str {
    match shape {
        Shape::Bool => "boolean",
        Shape::Unsigned | Shape::Signed => "integer",
        Shape::Number | Shape::Millis => "number",
        Shape::Text | Shape::Word(_) => "string",
        Shape::Texts => "array",
        Shape::Exit(_) => "object",
    }
}

#[test]
fn a_field_name_has_one_type_everywhere() {
    let mut seen = BTreeMap::new();
    for field in CATALOGUE.iter().flat_map(|known| known.fields) {
        let ty = json_type(field.shape);
        assert_eq!(*seen.entry(field.name).or_insert(ty), ty, "{}", field.name);
        assert_eq!(field.name.ends_with("_ms"), field.shape == Shape::Millis, "{}", field.name);
    }
}

#[test]
fn absent_fields_are_left_out_and_counts_of_zero_are_not() {
    let event: Event = samples::disconnect().into();
    assert_eq!(
        serde_json::to_string(&event).unwrap(),
        concat!(
            r#"{"connection_id":"c1","generation":2,"reason":"client_close","#,
            r#""detail":"client_vanished","ended_by":"client","first_close":"client","#,
            r#""upstream_cause":{"kind":"signalled","signal":9},"duration_ms":1.001,"#,
            r#""resolve_ms":0.0,"teardown_ms":0.0,"message_count":3,"messages_to_browser":2,"#,
            r#""messages_to_client":1,"bytes_to_browser":20,"bytes_to_client":10,"#,
            r#""mid_frame":false,"telemetry_dropped":0,"telemetry_excluded":0}"#,
        )
    );
    assert_eq!(event.type_name(), "cdp_disconnect");
}
