//! Pure: a record is an envelope, a line feed and the event's bytes as they came.
//!
//! The log's own records are smaller than the largest event. What is longer than [`PART_MAX`] is cut
//! into parts; the last one carries the envelope, so an event is in the log once its last part is.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Most bytes of an event in one record of the log: under [`eventlog::PAYLOAD_MAX`] with room for
/// the envelope.
pub const PART_MAX: usize = 900_000;

/// Most bytes of parts that belong to one event: the largest event, and some.
const ASSEMBLY_MAX: usize = 300 << 20;

/// The newest form of records that is written and read.
pub const VERSION: u32 = 1;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An event that stands in order.
    Event,
    /// Something came that is out of order or no event; the reason says why.
    Rejected,
    /// Something is known to be lost.
    Loss,
    /// Nothing that came from a runner: feedback, a stop.
    Note,
    /// The beginning of what a later record ends.
    Part,
}

/// Who wrote the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The runner.
    Runner,
    /// This side.
    Gateway,
}

/// Which kind of stream brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedName {
    /// The listener's.
    Listen,
    /// The answer to a posted run.
    Run,
}

/// What is known of an event beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The form of the record.
    pub v: u32,
    /// Milliseconds since 1970 UTC, by our clock.
    pub ts_ms: i64,
    /// What the record says.
    pub kind: Kind,
    /// Who wrote the event.
    pub origin: Origin,
    /// The stream that brought it; absent for what no stream brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedName>,
    /// The listener's generation, or the number of the posted run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_generation: Option<u64>,
    /// The thread of the open run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The open run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The event's type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// The stream's last event id at this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<String>,
    /// The stream's name of the event, if it was not `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sse_event: Option<String>,
    /// Why it was rejected, or what was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many records before this one are its parts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parts: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Envelope {
    /// An envelope with nothing in it but what each has.
    pub const fn new(kind: Kind, origin: Origin) -> Self {
        Self {
            v: VERSION,
            ts_ms: 0,
            kind,
            origin,
            feed: None,
            feed_generation: None,
            thread_id: None,
            run_id: None,
            event_type: None,
            upstream_id: None,
            sse_event: None,
            reason: None,
            parts: 0,
        }
    }
}

/// A record as it was read from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place; that of its last part if it has several.
    pub offset: u64,
    /// What is known of it.
    pub envelope: Envelope,
    /// Its bytes as they came.
    pub data: Bytes,
}

/// The payloads of one record: all but the last are parts.
pub fn encode(envelope: &Envelope, data: &[u8]) -> Vec<Bytes> {
    let whole = data.len().saturating_sub(1) / PART_MAX;
    let mut payloads = Vec::with_capacity(whole + 1);
    for part in 0..whole {
        let head = Envelope { ts_ms: envelope.ts_ms, ..Envelope::new(Kind::Part, envelope.origin) };
        payloads.push(payload(&head, &data[part * PART_MAX..(part + 1) * PART_MAX]));
    }
    if whole == 0 {
        payloads.push(payload(envelope, data));
    } else {
        let parts = u32::try_from(whole).unwrap_or(u32::MAX);
        let last = Envelope { parts, ..envelope.clone() };
        payloads.push(payload(&last, &data[whole * PART_MAX..]));
    }
    payloads
}

fn payload(envelope: &Envelope, data: &[u8]) -> Bytes {
    let mut bytes = serde_json::to_vec(envelope).unwrap_or_default();
    bytes.reserve_exact(1 + data.len());
    bytes.push(b'\n');
    bytes.extend_from_slice(data);
    bytes.into()
}

/// Puts records together from the payloads of a log, in order.
///
/// Parts that no last one follows are left out: their event was never whole in the log.
#[derive(Debug, Default)]
pub struct Assembler {
    parts: BytesMut,
    next: u64,
}

impl Assembler {
    /// Takes the next payload; gives a record when it is whole.
    ///
    /// # Errors
    /// [`BadRecord`]: this offset holds nothing that can be read.
    pub fn take(&mut self, offset: u64, payload: Bytes) -> Result<Option<Stored>, BadRecord> {
        if offset != self.next {
            self.parts.clear();
        }
        self.next = offset + 1;
        let end = memchr::memchr(b'\n', &payload).ok_or(BadRecord)?;
        let envelope: Envelope = serde_json::from_slice(&payload[..end]).map_err(|_| BadRecord)?;
        let data = payload.slice(end + 1..);
        if envelope.kind == Kind::Part {
            if self.parts.len() + data.len() > ASSEMBLY_MAX {
                self.parts = BytesMut::new();
                return Err(BadRecord);
            }
            self.parts.extend_from_slice(&data);
            return Ok(None);
        }
        let mut held = std::mem::take(&mut self.parts);
        if envelope.parts == 0 {
            return Ok(Some(Stored { offset, envelope, data }));
        }
        // Parts that were left without a last one may stand before those of this record.
        let own = envelope.parts as usize * PART_MAX;
        let orphans = held.len().checked_sub(own).ok_or(BadRecord)?;
        let mut whole = held.split_off(orphans);
        whole.extend_from_slice(&data);
        Ok(Some(Stored {
            offset,
            envelope: Envelope { parts: 0, ..envelope },
            data: whole.freeze(),
        }))
    }
}

/// A payload that is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log holds something that is no record of a session")]
pub struct BadRecord;

#[cfg(test)]
mod tests;
