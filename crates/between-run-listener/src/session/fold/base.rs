//! Pure: what a fold leaves, as records, and how it is checked.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::messages::{Message, Messages};
use super::{Fold, is_kept, read};
use crate::log::{Envelope, Kind, Origin, Stored};
use crate::session::event::{Event, EventType};
use crate::session::lane::Began;
use crate::session::order::{Misplaced, Order};
use crate::session::status::{Agent, LastError};

/// The form of bases that is written and read.
const VERSION: u32 = 1;

/// What is known of the runs in a base beside what they led to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The form.
    pub v: u32,
    /// The first offset of which something is left; what was before left the base for want of room.
    pub from: u64,
    /// The last offset that it covers.
    pub covers: u64,
    /// The session's thread.
    pub thread: Option<String>,
    /// The last run of a client or the runner.
    pub last_run: Option<String>,
    /// What the agent was doing at its end.
    pub agent: Agent,
    /// The error of the last run.
    pub last_error: Option<LastError>,
    /// The id that the listener goes on from, as of its end.
    pub resume: Option<String>,
    /// The runs of clients and the runner, oldest first.
    pub runs: Vec<RunEntry>,
    /// The offset that each message came from.
    pub message_at: Vec<u64>,
    /// The offset that each event that is kept as it was came from.
    pub kept_at: Vec<u64>,
    /// What is in it no more.
    pub dropped: Dropped,
}

/// A closed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    /// Its id.
    pub id: String,
    /// Who began it.
    pub began: Began,
    /// The offset of its start.
    pub first: u64,
    /// The offset of its end.
    pub last: u64,
    /// When it began, in milliseconds since 1970 UTC.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: i64,
    /// How it ended.
    pub ending: Ending,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With RUN_FINISHED.
    Finished,
    /// With RUN_ERROR.
    Failed {
        /// Its code.
        code: Option<String>,
        /// Whether the gateway wrote it.
        ours: bool,
    },
}

/// How many of each have been left out since the log began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Events that are kept as they are, for want of room.
    pub events: u64,
    /// Records that were kept as rejected.
    pub rejected: u64,
    /// Records of losses.
    pub losses: u64,
    /// Notes.
    pub notes: u64,
    /// Patches that did not apply.
    pub patches: u64,
    /// Runs, for want of room.
    pub runs: u64,
    /// Messages, for want of room.
    pub messages: u64,
}

/// A fold as records: one closed run of ours. Their offset is the last that the base covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// What is not in the events.
    pub header: Header,
    /// The events.
    pub events: Vec<Stored>,
}

/// Why a base is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// An event in it is none.
    #[error("a record of the base is no event")]
    NoEvent,
    /// A strict client would refuse it.
    #[error("the base is out of order: {0}")]
    Order(Misplaced),
    /// It is not one closed run.
    #[error("the base is not one closed run")]
    NotClosed,
    /// It says something else than what was folded.
    #[error("the base differs from what was folded")]
    Differs,
}

impl Fold {
    /// The base, of at most about `limit` bytes: the oldest runs leave it first, never the newest.
    pub fn finish(&mut self, limit: u64) -> Base {
        self.make_room(limit);
        let header = Header {
            v: VERSION,
            from: self.header.from.max(1),
            agent: self.status.agent(),
            last_error: self.status.last_error().cloned(),
            message_at: self.messages.list().iter().map(|message| message.at).collect(),
            kept_at: self.kept.iter().map(|kept| kept.offset).collect(),
            ..self.header.clone()
        };
        self.header = header.clone();
        let thread = header.thread.as_deref().filter(|thread| !thread.is_empty());
        let thread = thread.unwrap_or(&self.name).to_owned();
        let run = format!("lk-base-{}", header.covers);
        let ours = |fields: Value| self.ours(fields, &thread, &run);
        let mut events =
            vec![ours(json!({ "type": "RUN_STARTED", "threadId": thread, "runId": run }))];
        if let Some(state) = &self.state {
            events.push(ours(json!({ "type": "STATE_SNAPSHOT", "snapshot": state })));
        }
        events.push(ours(json!({ "type": "MESSAGES_SNAPSHOT", "messages": self.messages() })));
        let kept = self.kept.iter().cloned();
        events.extend(kept.map(|kept| Stored { offset: header.covers, ..kept }));
        events.push(ours(json!({ "type": "RUN_FINISHED", "threadId": thread, "runId": run })));
        Base { header, events }
    }

    fn ours(&self, mut fields: Value, thread: &str, run: &str) -> Stored {
        fields["metadata"] = json!({ "lockkeeper": { "kind": "base" } });
        let envelope = Envelope {
            ts_ms: self.ts_ms,
            thread_id: Some(thread.to_owned()),
            run_id: Some(run.to_owned()),
            event_type: fields["type"].as_str().map(str::to_owned),
            ..Envelope::new(Kind::Event, Origin::Gateway)
        };
        let data = Bytes::from(fields.to_string());
        Stored { offset: self.header.covers, envelope, data }
    }

    /// Drops the oldest runs until the rest fits.
    fn make_room(&mut self, limit: u64) {
        let mut sizes: Vec<(u64, u64)> = Vec::new();
        let messages = self.messages.list().iter();
        sizes.extend(messages.map(|message| (message.at, length(&message.fields))));
        sizes.extend(self.kept.iter().map(|kept| (kept.offset, kept.data.len() as u64)));
        // An entry of the index is this long, about, and its id comes to it.
        let runs = self.header.runs.iter();
        sizes.extend(runs.map(|run| (run.last, 160 + run.id.len() as u64)));
        let mut total: u64 = sizes.iter().map(|(_, size)| size).sum();
        if total <= limit {
            return;
        }
        sizes.sort_unstable();
        let newest = self.header.runs.last().map_or(0, |run| run.first);
        let mut until = 0;
        for (at, size) in sizes {
            // Only whole runs leave: a border is where a run has ended.
            if total <= limit || at >= newest {
                break;
            }
            total -= size;
            let run = self.header.runs.iter().find(|run| run.first <= at && at <= run.last);
            until = run.map_or(at, |run| run.last).max(until);
        }
        let dropped = &mut self.header.dropped;
        dropped.messages += self.messages.drop_until(until) as u64;
        let before = (self.header.runs.len(), self.kept.len());
        self.header.runs.retain(|run| run.last > until);
        dropped.runs += (before.0 - self.header.runs.len()) as u64;
        self.kept.retain(|kept| kept.offset > until);
        dropped.events += (before.1 - self.kept.len()) as u64;
        self.kept_bytes = self.kept.iter().map(|kept| kept.data.len()).sum();
        self.header.from = self.header.from.max(until + 1);
    }

    /// Whether a base that was read back says what this fold says, and a strict client takes it.
    ///
    /// # Errors
    /// [`BaseError`].
    pub fn check(&self, base: &Base) -> Result<(), BaseError> {
        base.check()?;
        let other = Self::resume(&self.name, base);
        let same = other.messages == self.messages
            && other.state == self.state
            && other.kept == self.kept
            && other.header == self.header;
        if same { Ok(()) } else { Err(BaseError::Differs) }
    }
}

impl Base {
    /// Whether it is one closed run in order.
    ///
    /// # Errors
    /// [`BaseError`].
    pub fn check(&self) -> Result<(), BaseError> {
        let [started, inside @ .., finished] = self.events.as_slice() else {
            return Err(BaseError::NotClosed);
        };
        let started = read(started).ok_or(BaseError::NoEvent)?;
        let finished = read(finished).ok_or(BaseError::NoEvent)?;
        if started.kind != EventType::RunStarted || finished.kind != EventType::RunFinished {
            return Err(BaseError::NotClosed);
        }
        let mut order = Order::new(&started);
        for stored in inside {
            let event = read(stored).ok_or(BaseError::NoEvent)?;
            let fits = is_kept(event.kind)
                || matches!(event.kind, EventType::StateSnapshot | EventType::MessagesSnapshot);
            if !fits {
                return Err(BaseError::NotClosed);
            }
            match order.admit(&event) {
                // The limit is on what a runner may open in one run.
                Ok(()) | Err(Misplaced::Limit) => {}
                Err(misplaced) => return Err(BaseError::Order(misplaced)),
            }
        }
        if order.is_closed() { Ok(()) } else { Err(BaseError::NotClosed) }
    }
}

/// The messages of a base's snapshot, with the offsets that they came from.
pub(super) fn messages(event: &Event, at: &[u64]) -> Messages {
    let list = event.field("messages").and_then(Value::as_array).map(Vec::as_slice);
    let list = list.unwrap_or_default().iter().filter_map(Value::as_object);
    let at = at.iter().copied().chain(std::iter::repeat(0));
    Messages::of(list.zip(at).map(|(fields, at)| Message { at, fields: fields.clone() }).collect())
}

/// Bytes of it as JSON.
fn length(fields: &serde_json::Map<String, Value>) -> u64 {
    struct Count(u64);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting fails never.
    let _ = serde_json::to_writer(&mut count, fields);
    count.0
}
