//! Pure: closed runs folded into a base, which says in one run what they led to.
//!
//! A client that reads the base has the messages and the state that it would have had from the runs
//! themselves; that is held to the protocol's own client.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::event::{Event, EventType};
use super::lane::{Began, is_ours};
use super::order::{Chunked, Order};
use super::status::Status;
use crate::log::{FeedName, Kind, Origin, Stored};

mod base;
mod messages;
mod owned;

pub use base::{Base, BaseError, Dropped, Ending, Header, RunEntry};
use messages::Messages;

/// Most events that are kept as they are: those that are neither text, tools, state nor activity.
const KEPT_MAX: usize = 1_000;

/// Most bytes of them.
const KEPT_BYTES: usize = 1 << 20;

/// The fold.
#[derive(Debug)]
pub struct Fold {
    name: String,
    header: Header,
    status: Status,
    /// What is open in the run that is being read; it says where chunks belong.
    order: Order,
    messages: Messages,
    state: Option<Value>,
    kept: VecDeque<Stored>,
    kept_bytes: usize,
    open: Option<RunEntry>,
    ts_ms: i64,
    /// The message of a stream that gives its thoughts no id.
    thinking: Option<String>,
}

impl Fold {
    /// A fold of nothing. `name` stands for the thread while there is none.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            header: Header::default(),
            status: Status::default(),
            order: Order::default(),
            messages: Messages::default(),
            state: None,
            kept: VecDeque::new(),
            kept_bytes: 0,
            open: None,
            ts_ms: 0,
            thinking: None,
        }
    }

    /// A fold of what begins with an offset; what was before is gone.
    pub fn behind(name: &str, first: u64) -> Self {
        let mut fold = Self::new(name);
        fold.header.from = first;
        fold
    }

    /// Goes on behind a base.
    pub fn resume(name: &str, base: &Base) -> Self {
        let mut fold = Self::new(name);
        fold.header = base.header.clone();
        fold.status = Status::resume(base.header.agent, base.header.last_error.clone());
        let mut kept_at = base.header.kept_at.iter();
        for stored in &base.events {
            fold.ts_ms = stored.envelope.ts_ms;
            let Some(event) = read(stored) else { continue };
            match event.kind {
                EventType::StateSnapshot => fold.state = event.into_fields().remove("snapshot"),
                EventType::MessagesSnapshot => {
                    fold.messages = base::messages(&event, &base.header.message_at);
                }
                kind if is_kept(kind) => {
                    let offset = kept_at.next().copied().unwrap_or(stored.offset);
                    fold.keep(Stored { offset, ..stored.clone() });
                }
                _ => {}
            }
        }
        fold
    }

    /// The last offset that was taken.
    pub const fn covers(&self) -> u64 {
        self.header.covers
    }

    /// Whether both lead to the same messages and the same state.
    pub fn same_outcome(&self, other: &Self) -> bool {
        self.messages() == other.messages() && self.state == other.state
    }

    /// Everything up to an offset was taken; what could not be read is covered as well.
    pub fn covered(&mut self, offset: u64) {
        self.header.covers = self.header.covers.max(offset);
    }

    /// The messages as a list for a snapshot.
    pub fn messages(&self) -> Value {
        let list = self.messages.list().iter();
        list.map(|message| Value::Object(message.fields.clone())).collect()
    }

    /// Takes the next record of the log.
    pub fn take(&mut self, record: &Stored) {
        self.header.covers = record.offset;
        self.ts_ms = record.envelope.ts_ms;
        if record.envelope.feed == Some(FeedName::Listen) {
            self.header.resume.clone_from(&record.envelope.upstream_id);
        }
        let dropped = &mut self.header.dropped;
        match record.envelope.kind {
            Kind::Event => {}
            Kind::Rejected => return dropped.rejected += 1,
            Kind::Loss => return dropped.losses += 1,
            Kind::Note => return dropped.notes += 1,
            Kind::Part => return,
        }
        let Some(event) = read(record) else { return };
        self.event(record, &event);
    }

    /// Takes an event that has been read already.
    pub fn follow(&mut self, record: &Stored, event: &Event) {
        self.event(record, event);
    }

    /// Takes a snapshot that holds only some messages: those that it has are as it says.
    pub fn merge(&mut self, event: &Event) {
        self.messages.merge(event, self.header.covers);
    }

    fn event(&mut self, record: &Stored, event: &Event) {
        let at = record.offset;
        let ours = record.envelope.origin == Origin::Gateway && is_ours(event);
        self.status.apply(event, !ours);
        let chunk = self.order.chunked(event);
        match event.kind {
            EventType::RunStarted => self.begin(record, event, ours),
            EventType::RunFinished | EventType::RunError => self.end(record, event),
            EventType::StateSnapshot => self.state = event.clone().into_fields().remove("snapshot"),
            EventType::StateDelta => {
                let mut state = self.state.take();
                let applied = patch(state.get_or_insert_with(|| json!({})), event.field("delta"));
                self.state = state;
                self.header.dropped.patches += u64::from(!applied);
            }
            EventType::ActivityDelta => {
                let applied = self.messages.activity_delta(event);
                self.header.dropped.patches += u64::from(!applied);
            }
            EventType::TextChunk | EventType::ToolChunk | EventType::ReasoningMessageChunk => {
                self.chunk(event, chunk, at);
            }
            kind if is_kept(kind) => self.keep(record.clone()),
            _ => self.message(event, at),
        }
        if !matches!(event.kind, EventType::RunStarted) && !event.kind.is_terminal() {
            // It was let in when it was logged.
            let _ = self.order.admit(event);
        }
    }

    /// What makes or goes on with a message.
    fn message(&mut self, event: &Event, at: u64) {
        let text = |field| event.text(field).unwrap_or_default();
        let (id, call) = (text("messageId"), text("toolCallId"));
        let messages = &mut self.messages;
        match event.kind {
            EventType::TextStart => messages.text_start(event, id, at),
            EventType::ReasoningMessageStart => messages.reasoning_start(event, id, at),
            EventType::TextContent | EventType::ReasoningMessageContent => {
                messages.content(event, id, event.text("delta"));
            }
            EventType::TextEnd | EventType::ReasoningMessageEnd => {
                messages.content(event, id, None)
            }
            EventType::ToolStart => messages.call_start(event, call, at),
            EventType::ToolArgs => messages.call_goes_on(event, call, event.text("delta")),
            EventType::ToolEnd => messages.call_goes_on(event, call, None),
            EventType::ToolResult => messages.result(event, at),
            EventType::MessagesSnapshot => messages.snapshot(event, at),
            EventType::ActivitySnapshot => messages.activity(event, at),
            EventType::ReasoningEncryptedValue => messages.encrypted(event),
            EventType::ThinkingTextStart => {
                let id = format!("lk-thinking-{at}");
                messages.reasoning_start(event, &id, at);
                self.thinking = Some(id);
            }
            EventType::ThinkingTextContent => {
                if let Some(id) = &self.thinking {
                    messages.content(event, id, event.text("delta"));
                }
            }
            // Steps, spans and subagents leave nothing behind them; the rest was dealt with.
            _ => {}
        }
    }

    /// A chunk opens its message, says more of it, or both.
    fn chunk(&mut self, event: &Event, chunk: Option<Chunked>, at: u64) {
        let Some(Chunked { id, opens }) = chunk else { return };
        let messages = &mut self.messages;
        let delta = event.text("delta");
        let more = delta.is_some() || !opens;
        match event.kind {
            EventType::ToolChunk => {
                if opens {
                    messages.call_start(event, &id, at);
                }
                if more {
                    messages.call_goes_on(event, &id, delta);
                }
            }
            kind => {
                match kind {
                    EventType::TextChunk if opens => messages.text_start(event, &id, at),
                    _ if opens => messages.reasoning_start(event, &id, at),
                    _ => {}
                }
                if more {
                    messages.content(event, &id, delta);
                }
            }
        }
    }

    fn begin(&mut self, record: &Stored, event: &Event, ours: bool) {
        self.order = Order::new(event);
        self.thinking = None;
        let input = event.field("input").and_then(|input| input.get("messages"));
        self.messages.add_absent(input, record.offset);
        self.open = None;
        if ours {
            return;
        }
        let thread = event.text("threadId").unwrap_or_default();
        if !thread.is_empty() {
            self.header.thread.get_or_insert_with(|| thread.to_owned());
        }
        self.open = Some(RunEntry {
            id: event.text("runId").unwrap_or_default().to_owned(),
            began: match record.envelope.feed {
                Some(FeedName::Run) => Began::Client,
                Some(FeedName::Listen) | None => Began::Runner,
            },
            first: record.offset,
            last: record.offset,
            started_ms: record.envelope.ts_ms,
            ended_ms: record.envelope.ts_ms,
            ending: Ending::Finished,
        });
    }

    fn end(&mut self, record: &Stored, event: &Event) {
        self.order = Order::default();
        let Some(mut run) = self.open.take() else { return };
        (run.last, run.ended_ms) = (record.offset, record.envelope.ts_ms);
        if event.kind == EventType::RunError {
            run.ending = Ending::Failed {
                code: event.text("code").map(str::to_owned),
                ours: record.envelope.origin == Origin::Gateway,
            };
        }
        self.header.last_run = Some(run.id.clone());
        self.header.runs.push(run);
    }

    fn keep(&mut self, record: Stored) {
        self.kept_bytes += record.data.len();
        self.kept.push_back(record);
        while self.kept.len() > KEPT_MAX || self.kept_bytes > KEPT_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.data.len();
            self.header.dropped.events += 1;
        }
    }
}

/// What is neither text, tools, state nor activity.
const fn is_kept(kind: EventType) -> bool {
    matches!(kind, EventType::Custom | EventType::Raw | EventType::Unknown)
}

fn read(stored: &Stored) -> Option<Event> {
    std::str::from_utf8(&stored.data).ok().and_then(|text| Event::parse(text).ok())
}

/// Applies a patch whole or not at all.
fn patch(target: &mut Value, patch: Option<&Value>) -> bool {
    let patch = patch.cloned().map(serde_json::from_value::<json_patch::Patch>);
    matches!(patch, Some(Ok(patch)) if json_patch::patch(target, &patch).is_ok())
}

#[cfg(test)]
mod tests;
