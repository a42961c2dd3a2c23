//! Pure: what of a session's streams goes into its log, and in which order.
//!
//! A session has one lane: one run is open at a time, and only its stream adds to it. Each event is
//! taken, kept as rejected, counted as a duplicate, or asked to wait until the lane is free. What is
//! taken makes a log that a strict client accepts from its first event on.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::event::{Event, EventType};
use super::fold::Fold;
use super::order::Order;
use super::settings::Snapshots;
use super::status::Status;
use crate::log::{Envelope, FeedName, Kind, Origin};
use crate::sse::Item;

mod ends;
mod post;
mod replay;
mod snapshots;
mod take;

pub use ends::Failure;
pub(super) use post::is_ours;
pub use post::{Posted, Refused};

/// Where something came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The listener of this generation.
    Listen(u64),
    /// The answer to the posted run of this number.
    Run(u64),
}

impl Source {
    const fn name(self) -> FeedName {
        match self {
            Self::Listen(_) => FeedName::Listen,
            Self::Run(_) => FeedName::Run,
        }
    }

    const fn number(self) -> u64 {
        match self {
            Self::Listen(number) | Self::Run(number) => number,
        }
    }
}

/// The session's own times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long a run between runs stays open without an event. 2 s: a burst of events is one run.
    pub quiet: Duration,
    /// How long a run may bring nothing; none means for ever. 15 min: agents think for long.
    pub run_idle: Option<Duration>,
    /// How long a run may bring nothing while another waits for the lane. 10 min.
    pub lane: Duration,
    /// How long a run that was open when the daemon ended waits for its stream. 60 s.
    pub adopt: Duration,
    /// What a MESSAGES_SNAPSHOT of the runner holds.
    pub snapshots: Snapshots,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(2),
            run_idle: Some(Duration::from_secs(15 * 60)),
            lane: Duration::from_secs(10 * 60),
            adopt: Duration::from_secs(60),
            snapshots: Snapshots::Whole,
        }
    }
}

/// Who began a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Began {
    /// A client posted it.
    Client,
    /// The runner, by itself.
    Runner,
    /// Nobody: its events came outside of any run.
    Between,
}

/// Whose stream brings the open run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Listen,
    Run(u64),
    /// Nobody since the daemon started.
    Nobody,
}

impl Owner {
    const fn is(self, source: Source) -> bool {
        match (self, source) {
            (Self::Listen, Source::Listen(_)) => true,
            (Self::Run(own), Source::Run(other)) => own == other,
            (Self::Listen, Source::Run(_)) | (Self::Run(_), Source::Listen(_)) => false,
            (Self::Nobody, _) => false,
        }
    }
}

#[derive(Debug)]
struct Open {
    run: String,
    thread: String,
    began: Began,
    owner: Owner,
    order: Order,
    /// When its stream last brought anything.
    sound: Instant,
    /// When the last event came into it; a heartbeat is none.
    event: Instant,
}

/// What a stream brings that is not for the log now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shadow {
    /// Events of a run that is in the log, or comes on another stream.
    Duplicate,
    /// Events of a run that was closed before they came; the word says by what.
    Late(&'static str),
}

/// What is to be added to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What is known of it; the time and the form of the record are not in it yet.
    pub envelope: Envelope,
    /// Its bytes.
    pub data: Bytes,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is dealt with.
    Done,
    /// Another run is open: offer it again when the lane has changed.
    Wait,
}

/// What was not logged, and why what was logged is not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that stand in order.
    pub events: u64,
    /// Events that were in the log already or came twice.
    pub duplicates: u64,
    /// What was kept as rejected, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Events known to be lost.
    pub losses: u64,
}

/// The lane and what it knows of the log.
#[derive(Debug)]
pub struct Lane {
    rules: Rules,
    /// The thread that runs of ours name before the session has one.
    name: String,
    thread: Option<String>,
    /// What run ids of ours begin with; new for each start, so that none is used twice.
    prefix: String,
    runs: u64,
    open: Option<Open>,
    last_run: Option<String>,
    /// Runs that were open once.
    known_runs: HashSet<u64>,
    /// Runs that were ended from this side; what comes of them later is late.
    torn: HashSet<u64>,
    messages: HashSet<u64>,
    posted: BTreeMap<u64, Posted>,
    shadows: BTreeMap<Source, Shadow>,
    status: Status,
    counts: Counts,
    /// Whether a client or the runner has just finished a run without an error or an interrupt.
    finished: bool,
    /// All messages, where the runner's snapshots hold only some.
    conversation: Option<Fold>,
    /// When a run nobody owns is given up.
    adopt_until: Option<Instant>,
}

impl Lane {
    /// The lane of a session whose log is empty. `prefix` must be new for each start.
    pub fn new(name: &str, prefix: &str, thread: Option<String>, rules: Rules) -> Self {
        Self {
            rules,
            name: name.to_owned(),
            thread,
            prefix: prefix.to_owned(),
            runs: 0,
            open: None,
            last_run: None,
            known_runs: HashSet::new(),
            torn: HashSet::new(),
            messages: HashSet::new(),
            posted: BTreeMap::new(),
            shadows: BTreeMap::new(),
            status: Status::default(),
            counts: Counts::default(),
            finished: false,
            conversation: None,
            adopt_until: None,
        }
    }

    /// What the agent is doing.
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// What has been counted.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The open run: its id and who began it.
    pub fn open_run(&self) -> Option<(&str, Began)> {
        self.open.as_ref().map(|open| (open.run.as_str(), open.began))
    }

    /// The session's thread.
    pub fn thread(&self) -> Option<&str> {
        self.thread.as_deref()
    }

    /// Other times from now on, and a thread if there is none yet.
    pub fn configure(&mut self, thread: Option<String>, rules: Rules) {
        self.rules = rules;
        self.thread = self.thread.take().or(thread);
        self.forget();
    }

    /// Whether one has finished that nobody has asked for yet.
    pub const fn has_finished(&self) -> bool {
        self.finished
    }

    /// Whether a run of a client or the runner has finished since this was asked last.
    pub fn take_finished(&mut self) -> bool {
        std::mem::take(&mut self.finished)
    }

    fn thread_name(&self) -> String {
        self.thread.clone().unwrap_or_else(|| self.name.clone())
    }

    fn next_run(&mut self) -> String {
        self.runs += 1;
        format!("lk-{}-{}", self.prefix, self.runs)
    }

    /// An event of ours.
    fn ours(&mut self, fields: Value, kind: &str, from: Option<Source>, out: &mut Vec<Draft>) {
        let Value::Object(mut fields) = fields else { return };
        fields.insert("metadata".into(), json!({ "lockkeeper": { "kind": kind } }));
        let data = Value::Object(fields.clone()).to_string();
        let Ok(event) = Event::from_value(Value::Object(fields)) else { return };
        self.log(&event, Bytes::from(data), Origin::Gateway, kind == "run", from, None, out);
    }

    /// Adds an event that stands in order, and takes note of what it says.
    #[expect(clippy::too_many_arguments, reason = "one place that writes events")]
    fn log(
        &mut self,
        event: &Event,
        data: Bytes,
        origin: Origin,
        counts: bool,
        from: Option<Source>,
        sse: Option<&crate::sse::Event>,
        out: &mut Vec<Draft>,
    ) {
        self.note(event, counts);
        self.counts.events += 1;
        let envelope = self.envelope(Kind::Event, origin, from, sse);
        let envelope = Envelope { event_type: Some(event.name().to_owned()), ..envelope };
        self.follow(event, &envelope, &data);
        out.push(Draft { envelope, data });
    }

    /// What any event of the log tells, also when it is read back.
    fn note(&mut self, event: &Event, counts: bool) {
        self.status.apply(event, counts);
        match event.kind {
            EventType::MessagesSnapshot => self.know(event.field("messages")),
            EventType::RunStarted => {
                self.know(event.field("input").and_then(|input| input.get("messages")));
            }
            _ => {
                if let Some(id) = event.text("messageId") {
                    self.messages.insert(hash(id));
                }
            }
        }
    }

    fn know(&mut self, messages: Option<&Value>) {
        let messages = messages.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        self.messages.extend(messages.iter().filter_map(|m| m["id"].as_str()).map(hash));
    }

    fn reject(
        &mut self,
        reason: &'static str,
        from: Source,
        sse: &crate::sse::Event,
        kind: Option<&str>,
        out: &mut Vec<Draft>,
    ) {
        *self.counts.rejected.entry(reason).or_default() += 1;
        let envelope = self.envelope(Kind::Rejected, Origin::Runner, Some(from), Some(sse));
        let envelope = Envelope {
            event_type: kind.map(str::to_owned),
            reason: Some(reason.to_owned()),
            ..envelope
        };
        out.push(Draft { envelope, data: sse.data.clone().into_bytes() });
    }

    fn envelope(
        &self,
        kind: Kind,
        origin: Origin,
        from: Option<Source>,
        sse: Option<&crate::sse::Event>,
    ) -> Envelope {
        Envelope {
            feed: from.map(Source::name),
            feed_generation: from.map(Source::number),
            thread_id: self.open.as_ref().map(|open| open.thread.clone()),
            run_id: self.open.as_ref().map(|open| open.run.clone()),
            upstream_id: sse.and_then(|sse| sse.id.as_deref()).map(str::to_owned),
            sse_event: sse.and_then(|sse| sse.kind.as_deref()).map(str::to_owned),
            ..Envelope::new(kind, origin)
        }
    }
}

/// Ids are remembered by hash: a session may have very many, and a chance of one in 2^64 per pair
/// is less than that of a broken disk.
fn hash(id: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
