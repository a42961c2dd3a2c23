//! Pure: spans as an OTLP request in its JSON encoding.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, Status};
use opentelemetry::{KeyValue, Value as Attribute};
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};

/// `SPAN_KIND_INTERNAL` and `SPAN_KIND_SERVER` of the protocol.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;

/// The body of a request.
pub(super) fn request(service: &str, spans: &[SpanData]) -> Vec<u8> {
    let spans: Vec<_> = spans.iter().map(span).collect();
    let name = json!({"key": "service.name", "value": {"stringValue": service}});
    let scope = json!({"name": "lockkeeper", "version": env!("CARGO_PKG_VERSION")});
    let traces = json!({"resourceSpans": [{
        "resource": {"attributes": [name]},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]});
    traces.to_string().into_bytes()
}

fn span(span: &SpanData) -> Value {
    let context = &span.span_context;
    // A span that has no parent in this process serves somebody outside it.
    let root = span.parent_span_id == SpanId::INVALID;
    let serves = span.parent_span_is_remote || root;
    let attribute = |pair: &KeyValue| json!({"key": pair.key.as_str(), "value": any(&pair.value)});
    let attributes: Vec<_> = span.attributes.iter().map(attribute).collect();
    let mut json = json!({
        "traceId": context.trace_id().to_string(),
        "spanId": context.span_id().to_string(),
        "name": span.name,
        "kind": if serves { SERVER } else { INTERNAL },
        "startTimeUnixNano": nanos(span.start_time),
        "endTimeUnixNano": nanos(span.end_time),
        "attributes": attributes,
    });
    if !root {
        json["parentSpanId"] = span.parent_span_id.to_string().into();
    }
    if let Status::Error { description } = &span.status {
        json["status"] = json!({"code": 2, "message": description});
    }
    json
}

/// 64-bit numbers are strings in this encoding.
fn nanos(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

/// A value as OTLP's `AnyValue`.
fn any(value: &Attribute) -> Value {
    match value {
        Attribute::Bool(flag) => json!({"boolValue": flag}),
        Attribute::I64(number) => json!({"intValue": number.to_string()}),
        Attribute::F64(number) => json!({"doubleValue": number}),
        other => json!({"stringValue": other.as_str()}),
    }
}
