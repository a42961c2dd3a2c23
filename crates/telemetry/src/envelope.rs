//! Pure: one event as bytes, written once before the log takes it and never changed afterwards.

use bytes::Bytes;
use eventlog::{Epoch, PAYLOAD_MAX, micros};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::events::{Event, PostedSource};
use crate::handle::Item;
use crate::truncate;

#[cfg(test)]
mod tests;

/// What is stored: every member but `epoch` and `offset`, which the log decides.
#[derive(Serialize)]
struct Envelope<'a> {
    ts: i64,
    #[serde(rename = "type")]
    kind: &'a str,
    category: &'a str,
    source: Source<'a>,
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    data: &'a Event,
    #[serde(skip_serializing_if = "is_zero")]
    lost: u64,
}

#[derive(Serialize)]
struct Source<'a> {
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Pairs<'a>>,
}

/// Pairs as members of an object.
struct Pairs<'a>(&'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An event as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) payload: Bytes,
    /// Whether something was cut to fit the limit.
    pub(crate) truncated: bool,
}

/// Writes an event. `lost` counts the events that are missing before it.
pub(crate) fn render(node: &str, item: &Item, lost: u64) -> serde_json::Result<Rendered> {
    let posted = match &item.event {
        Event::Posted(posted) => Some(posted.source()),
        _ => None,
    };
    let envelope = Envelope {
        ts: micros(item.ts),
        kind: item.event.type_name(),
        category: item.event.category().as_str(),
        source: Source {
            kind: item.event.source().as_str(),
            event: posted.and_then(|source| source.event.as_ref()).map(AsRef::as_ref),
            metadata: posted.and_then(pairs),
        },
        node,
        sandbox: item.sandbox.as_ref().map(AsRef::as_ref),
        trace_id: item.trace.map(|id| id.to_string()),
        data: &item.event,
        lost,
    };
    let mut payload = Vec::with_capacity(512);
    serde_json::to_writer(&mut payload, &envelope)?;
    let truncated = payload.len() > PAYLOAD_MAX;
    if truncated {
        let mut value = serde_json::to_value(&envelope)?;
        truncate::fit(&mut value, PAYLOAD_MAX);
        payload = serde_json::to_vec(&value)?;
    }
    Ok(Rendered { payload: payload.into(), truncated })
}

fn pairs(source: &PostedSource) -> Option<Pairs<'_>> {
    (!source.metadata.is_empty()).then_some(Pairs(&source.metadata))
}

/// Puts `epoch` and `offset` in front of a stored event. `payload` is a JSON object with members.
pub(crate) fn deliver(epoch: &Epoch, offset: u64, payload: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"epoch\":\"");
    into.extend_from_slice(epoch.as_str().as_bytes());
    into.extend_from_slice(b"\",\"offset\":");
    into.extend_from_slice(offset.to_string().as_bytes());
    into.push(b',');
    into.extend_from_slice(payload.get(1..).unwrap_or_default());
}
