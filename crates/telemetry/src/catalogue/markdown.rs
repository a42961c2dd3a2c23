//! Pure: the catalogue of events and of metrics as pages for people.

use std::fmt::Write;

use super::schema::joined;
use crate::commands::method_rows;
use crate::events::{CATALOGUE, EventType, FieldType};
use crate::metrics;
use crate::value::Shape;
use crate::words::Category;

const EVENTS_INTRO: &str = "\
# Events

Generated from the code by `cargo run -p telemetry --example write_docs`; do not edit.

An event is one flat JSON object. Live (`GET /v1/telemetry/stream`), page by page
(`GET /v1/telemetry/events`) and in sinks it is the same bytes. A member that is not known or does
not apply is absent; `null` is never written. `GET /v1/telemetry/schema.json` is the JSON Schema.

| member | type | meaning |
| --- | --- | --- |
| `epoch`, `offset` | text, number | the place in the log; `<epoch>-<offset>` is the cursor to read on from |
| `ts` | microseconds since 1970 UTC | when it happened; events are ordered by `offset`, not by `ts` |
| `type`, `category` | text | what happened, and the group that is switched on or off as one |
| `source` | object | `kind`, the part that reports it; posted events may add `event` and `metadata` |
| `node`, `sandbox` | text | where; `sandbox` only where one applies |
| `trace_id` | text | 32 hexadecimal digits: the trace of the request that led to it, if its `traceparent` named one |
| `data` | object | see below |
| `truncated`, `truncated_fields` | `true`, list | only if the event was cut to 1,000,000 bytes: JSON pointers to what was cut |
| `lost` | number | only if events were lost before they got an offset: how many since the one before |

Durations are milliseconds with microseconds behind the point. Ids and texts have at most 128 bytes.

## Categories

| category | on by default |
| --- | --- |
";

/// The page of all events: `docs/events.md`.
#[must_use]
pub fn events_page() -> String {
    let mut page = EVENTS_INTRO.to_owned();
    for category in Category::ALL {
        let on = if category.on_by_default() { "yes" } else { "no" };
        add(&mut page, format_args!("| `{category}` | {on} |\n"));
    }
    for category in Category::ALL {
        add(&mut page, format_args!("\n## `{category}`\n"));
        for known in CATALOGUE.iter().filter(|known| known.category == *category) {
            add_event(&mut page, known);
        }
    }
    page
}

fn add_event(page: &mut String, known: &EventType) {
    add(page, format_args!("\n### `{}`\n\n{}\n\n", known.name, joined(known.doc)));
    page.push_str("| member | type | meaning |\n| --- | --- | --- |\n");
    for field in known.fields {
        add_field(page, field);
    }
    if known.name == "cdp_command" {
        page.push_str("\nOf each command only this is kept; all else is dropped:\n\n");
        page.push_str("| command | kept |\n| --- | --- |\n");
        for (method, kept) in method_rows() {
            let kept = kept.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let kept = if kept.is_empty() { "-" } else { &kept };
            add(page, format_args!("| `{method}` | {kept} |\n"));
        }
    }
}

fn add_field(page: &mut String, FieldType { name, shape, optional, doc }: &FieldType) {
    let optional = if *optional { ", optional" } else { "" };
    let shape = described(*shape);
    add(page, format_args!("| `{name}` | {shape}{optional} | {} |\n", joined(doc)));
}

fn described(shape: Shape) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
    match shape {
        Shape::Bool => "flag".into(),
        Shape::Unsigned | Shape::Signed | Shape::Number => "number".into(),
        Shape::Millis => "ms".into(),
        Shape::Text => "text".into(),
        Shape::Texts => "list of texts".into(),
        Shape::Word(list) => words(list).join(" "),
        Shape::Exit(kinds) => format!(
            "object: `kind` ({}), `code` if it exited, `signal` if one ended it",
            words(kinds).join(" ")
        ),
    }
}

const METRICS_INTRO: &str = "\
# Metrics

Generated from the code by `cargo run -p telemetry --example write_docs`; do not edit.

`GET /metrics` gives them in the text format of Prometheus. Units are in the names. No label is an
id, so the number of series does not grow with sandboxes or sessions.

| name | kind | labels | meaning |
| --- | --- | --- | --- |
";

/// The page of all metrics: `docs/metrics.md`.
#[must_use]
pub fn metrics_page() -> String {
    let mut page = METRICS_INTRO.to_owned();
    for metric in metrics::CATALOGUE {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>();
        let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
        add(
            &mut page,
            format_args!(
                "| `{}_{}` | {} | {labels} | {} |\n",
                metrics::PREFIX,
                metric.name,
                metric.kind.as_str(),
                metric.help
            ),
        );
    }
    page
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = page.write_fmt(text);
}
