//! Pure: decodes a stream of server-sent events (WHATWG HTML, section 9.2.6) from chunks of bytes.
//!
//! Chunks may be cut anywhere. Memory is bounded by [`Limits`] and by a [`Budget`] that many
//! decoders share. An event whose `data` is one line inside one chunk is a slice of that chunk.

mod budget;
mod decoder;
mod fields;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

use bytestring::ByteString;

pub use budget::Budget;
pub use decoder::Decoder;

/// How much one decoder may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest line in bytes, without its line end. Comments are not held and so have no limit.
    pub max_line: usize,
    /// Most bytes of one event: the sum of its data, type and id.
    pub max_event: usize,
}

impl Default for Limits {
    /// 16 MiB each: sixteen times the largest event that common agent frameworks send.
    fn default() -> Self {
        Self { max_line: 16 << 20, max_event: 16 << 20 }
    }
}

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The last `event` field, absent when there was none or it was empty: then it is `message`.
    pub kind: Option<ByteString>,
    /// The `data` lines, joined by LF.
    pub data: ByteString,
    /// The stream's last event id at this event; absent when none was set or it was reset.
    pub id: Option<ByteString>,
}

impl Event {
    /// The event's type, `message` by default.
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("message")
    }
}

/// Which limit an event broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// [`Limits::max_line`].
    Line,
    /// [`Limits::max_event`].
    Event,
    /// The shared [`Budget`].
    Budget,
}

/// What a decoder yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// A comment line, usually a heartbeat: progress, never data.
    Comment {
        /// Its length in bytes without the colon.
        len: u64,
    },
    /// The server asks for this delay before a reconnect.
    Retry(Duration),
    /// An event was dropped because it broke a limit; the next event decodes normally.
    ///
    /// It comes at the event's blank line, once, and commits the event's id, so that a reconnect
    /// does not ask for the same event again.
    Oversize {
        /// Which limit.
        cap: Cap,
        /// That limit in bytes.
        limit: usize,
        /// How many bytes the event had.
        seen: u64,
    },
}
