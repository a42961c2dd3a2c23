//! Pure: the JSON Schema of events.

use serde_json::{Map, Value, json};

use crate::commands::method_schemas;
use crate::events::{CATALOGUE, EventType, FieldType};
use crate::value::{Shape, TEXT_MAX};
use crate::words::{Category, SourceKind};

/// The JSON Schema (draft 2020-12) of an event as it is delivered.
///
/// Members may be added to an event at any time, so none is forbidden.
#[must_use]
pub fn schema() -> Value {
    let types = CATALOGUE.iter().map(|known| (known.name.to_owned(), data(known)));
    let mut definitions: Map<String, Value> = types.collect();
    definitions.insert("cdp_command".into(), method_schemas());
    let by_type: Vec<_> = CATALOGUE.iter().map(when).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lockkeeper event",
        "type": "object",
        "properties": envelope(),
        "required": ["epoch", "offset", "ts", "type", "category", "source", "node", "data"],
        "allOf": by_type,
        "$defs": definitions,
    })
}

fn envelope() -> Value {
    json!({
        "epoch": {"type": "string", "pattern": "^[a-z0-9]{8,16}$",
            "description": "The incarnation of the log."},
        "offset": {"type": "integer", "minimum": 1, "description": "The place in the log."},
        "ts": {"type": "integer",
            "description": "When it happened, in microseconds since 1970 UTC."},
        "type": {"type": "string", "maxLength": TEXT_MAX, "description": "What happened."},
        "category": {"enum": Category::WORDS, "description": "The group that is on or off as one."},
        "source": {
            "type": "object",
            "properties": {
                "kind": {"enum": SourceKind::WORDS},
                "event": {"type": "string", "maxLength": TEXT_MAX},
                "metadata": {"type": "object", "maxProperties": 16,
                    "additionalProperties": {"type": "string", "maxLength": 256}},
            },
            "required": ["kind"],
            "description": "The part that reports it.",
        },
        "node": {"type": "string", "maxLength": TEXT_MAX, "description": "The node."},
        "sandbox": {"type": "string", "maxLength": TEXT_MAX,
            "description": "The sandbox, where one applies."},
        "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$",
            "description": "The trace of the request that led to it, if that named one."},
        "data": {"type": "object"},
        "truncated": {"const": true, "description": "Something was cut."},
        "truncated_fields": {"type": "array", "maxItems": 16, "items": {"type": "string"},
            "description": "What was cut, as JSON pointers."},
        "lost": {"type": "integer", "minimum": 1,
            "description": "Events lost before they got an offset, since the one before."},
    })
}

fn when(known: &EventType) -> Value {
    json!({
        "if": {"properties": {
            "type": {"const": known.name},
            "source": {"properties": {"kind": {"const": known.source}}},
        }},
        "then": {"properties": {
            "category": {"const": known.category},
            "data": {"$ref": format!("#/$defs/{}", known.name)},
        }},
    })
}

fn data(known: &EventType) -> Value {
    let members = known.fields.iter().map(|field| (field.name.to_owned(), member(field)));
    let required: Vec<_> =
        known.fields.iter().filter(|field| !field.optional).map(|field| field.name).collect();
    json!({
        "description": joined(known.doc),
        "type": "object",
        "properties": members.collect::<Map<_, _>>(),
        "required": required,
    })
}

pub(crate) fn member(field: &FieldType) -> Value {
    let mut schema = shape(field.shape);
    schema["description"] = joined(field.doc).into();
    schema
}

fn shape(shape: Shape) -> Value {
    let text = || json!({"type": "string", "maxLength": TEXT_MAX});
    match shape {
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Unsigned => json!({"type": "integer", "minimum": 0}),
        Shape::Signed => json!({"type": "integer"}),
        Shape::Number => json!({"type": "number"}),
        Shape::Millis => json!({"type": "number", "minimum": 0}),
        Shape::Text => text(),
        Shape::Word(words) => json!({"enum": words}),
        Shape::Texts => json!({"type": "array", "items": text()}),
        Shape::Exit(kinds) => json!({
            "type": "object",
            "properties": {
                "kind": {"enum": kinds},
                "code": {"type": "integer"},
                "signal": {"type": "integer"},
            },
            "required": ["kind"],
        }),
    }
}

/// Comment lines as one text.
pub(super) fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
