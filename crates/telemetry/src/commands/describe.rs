//! Pure: what is kept of each command, as rows for a page and as a schema.

use serde_json::{Map, Value, json};

use super::event::CdpCommand;
use super::table::{Keep, METHODS};
use crate::catalogue::member;
use crate::value::TEXT_MAX;

/// Each command with the members that it adds to its event.
pub(crate) fn method_rows() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    METHODS.iter().map(|method| {
        let added = method.arguments.iter().flat_map(|(name, keep)| added(name, *keep));
        (method.name, added.map(|(name, _)| name).collect())
    })
}

/// The schema of `data` of a command's event.
pub(crate) fn method_schemas() -> Value {
    let common = CdpCommand::TYPE.fields;
    let members: Map<_, _> =
        common.iter().map(|field| (field.name.to_owned(), member(field))).collect();
    let required: Vec<_> =
        common.iter().filter(|field| !field.optional).map(|field| field.name).collect();
    let each: Vec<_> = METHODS
        .iter()
        .map(|method| {
            let kept = method.arguments.iter().flat_map(|(name, keep)| added(name, *keep));
            let mut members: Map<_, _> =
                kept.map(|(name, schema)| (name.to_owned(), schema)).collect();
            members.insert("method".into(), json!({"const": method.name}));
            json!({"properties": members})
        })
        .collect();
    json!({
        "description": "A client's command was forwarded to its browser.",
        "type": "object",
        "properties": members,
        "required": required,
        "oneOf": each,
    })
}

/// The members that an argument becomes, with their schemas.
fn added(name: &'static str, keep: Keep) -> Vec<(&'static str, Value)> {
    let number = || json!({"type": "number"});
    let count = || json!({"type": "integer", "minimum": 0});
    let flag = || json!({"type": "boolean"});
    let word = || json!({"type": "string", "maxLength": TEXT_MAX});
    let or_other = |words: &[&str]| {
        let other = if words.contains(&"other") { None } else { Some("other") };
        json!({"enum": words.iter().copied().chain(other).collect::<Vec<_>>()})
    };
    match keep {
        Keep::Drop => vec![],
        Keep::Number => vec![(name, number())],
        Keep::Flag => vec![(name, flag())],
        Keep::Word(words) => vec![(name, or_other(words))],
        Keep::Id => vec![(name, word())],
        Keep::Has(field) => vec![(field, flag())],
        Keep::Len(field) | Keep::Count(field) => vec![(field, count())],
        Keep::Key => vec![("key_name", word())],
        Keep::Scheme => vec![("url_scheme", word())],
        Keep::Points => {
            let point = json!({"type": "object", "properties": {"x": number(), "y": number()}});
            let points = json!({"type": "array", "maxItems": 10, "items": point});
            vec![("touch_count", count()), ("points", points)]
        }
        Keep::Drag => vec![
            ("item_count", count()),
            ("mime_groups", json!({"type": "array", "maxItems": 10, "items": word()})),
            ("file_count", count()),
            ("dragOperationsMask", number()),
        ],
        Keep::Bounds => vec![
            ("left", number()),
            ("top", number()),
            ("width", number()),
            ("height", number()),
            ("windowState", or_other(super::table::WINDOW)),
        ],
    }
}
