//! Pure: events as an OTLP request in its JSON encoding.

use serde_json::{Map, Value, json};

use crate::feed::Stored;
use crate::query::GapTold;
use crate::sinks::Batch;

/// How severe a record is (OTLP logs data model, `SeverityNumber`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Info = 9,
    Warn = 13,
    Error = 17,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// The body of a request.
pub(super) fn request(batch: &Batch) -> Vec<u8> {
    let gap = batch.gap.map(|gap| gap_record(&batch.epoch, gap));
    let records: Vec<_> = gap.into_iter().chain(batch.events.iter().map(|e| record(e))).collect();
    let resource = json!({"attributes": [attribute("service.name", text("lockkeeper"))]});
    let scope = json!({"name": "lockkeeper.telemetry", "version": env!("CARGO_PKG_VERSION")});
    let logs = json!({"resourceLogs": [{
        "resource": resource,
        "scopeLogs": [{"scope": scope, "logRecords": records}],
    }]});
    logs.to_string().into_bytes()
}

fn record(event: &Stored) -> Value {
    // It was read from the log as an event, so it is JSON.
    let envelope: Value = serde_json::from_slice(&event.envelope()).unwrap_or_default();
    let mut attributes = Vec::new();
    for name in ["category", "node", "sandbox", "epoch"] {
        if let Some(value) = envelope[name].as_str() {
            attributes.push(attribute(&format!("lockkeeper.{name}"), text(value)));
        }
    }
    attributes.push(attribute("lockkeeper.offset", any(&event.offset.into())));
    let severity = severity(&event.kind, &envelope["data"]);
    let mut record = json!({
        "timeUnixNano": nanos(event.ts),
        "severityNumber": severity as u8,
        "severityText": severity.as_str(),
        "eventName": &*event.kind,
        "body": any(&envelope["data"]),
        "attributes": attributes,
    });
    if let Some(trace) = envelope.get("trace_id") {
        record["traceId"] = trace.clone();
    }
    record
}

fn gap_record(epoch: &str, gap: GapTold) -> Value {
    let from = gap.from.map(|from| ("from".to_owned(), Value::from(from)));
    let rest = [("to".to_owned(), gap.to.into()), ("cause".to_owned(), gap.cause.as_str().into())];
    let body: Map<_, _> = from.into_iter().chain(rest).collect();
    json!({
        "severityNumber": Severity::Warn as u8,
        "severityText": Severity::Warn.as_str(),
        "eventName": "gap",
        "body": any(&body.into()),
        "attributes": [attribute("lockkeeper.epoch", text(epoch))],
    })
}

/// A browser or a sandbox that crashed, memory that ran out, and what failed are errors.
pub(super) fn severity(kind: &str, data: &Value) -> Severity {
    let says = |name: &str, words: &[&str]| data[name].as_str().is_some_and(|w| words.contains(&w));
    let crashed = || {
        let exit = &data["exit"];
        let by_itself = data["expected"] == false;
        let badly = exit["kind"] != "exited" || exit["code"] != 0;
        by_itself && badly
    };
    match kind {
        "oom_kill" | "log_degraded" => Severity::Error,
        "browser_exited" | "sandbox_runner_exited" if crashed() => Severity::Error,
        "sandbox_stopping" | "sandbox_stopped"
            if says("stop_reason", &["oom", "browser_crashed", "browser_gave_up"]) =>
        {
            Severity::Error
        }
        _ if kind.ends_with("_failed") => Severity::Error,
        "cdp_refused" | "drain_forced" => Severity::Warn,
        "cdp_disconnect" if says("reason", &["upstream_error"]) => Severity::Warn,
        _ if kind.ends_with("_degraded") => Severity::Warn,
        _ => Severity::Info,
    }
}

fn attribute(key: &str, value: Value) -> Value {
    json!({"key": key, "value": value})
}

fn text(text: &str) -> Value {
    json!({"stringValue": text})
}

/// 64-bit numbers are strings in this encoding.
fn nanos(micros: i64) -> String {
    (i128::from(micros) * 1_000).to_string()
}

/// A value as OTLP's `AnyValue`.
fn any(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!({"intValue": whole.to_string()}),
            None => json!({"doubleValue": number}),
        },
        Value::String(string) => text(string),
        Value::Array(items) => {
            let values: Vec<_> = items.iter().map(any).collect();
            json!({"arrayValue": {"values": values}})
        }
        Value::Object(members) => {
            let values: Vec<_> = members.iter().map(|(key, v)| attribute(key, any(v))).collect();
            json!({"kvlistValue": {"values": values}})
        }
    }
}
