//! Pure: the order that the events of one run must have, as a strict client checks it.
//!
//! A client first turns chunks into starts, contents and ends, one open message per subagent, and
//! then checks the result. This does both, so that what it lets through a client lets through.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::event::{Event, EventType};

/// Most ids that are tracked in one run.
pub const TRACKED_MAX: usize = 16_384;

/// The subagent that something belongs to; none is the agent itself.
type Lane = Option<String>;

/// Why an event may not stand where it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// It opens what is open.
    #[error("it opens what is open already")]
    AlreadyOpen,
    /// It goes on with, or ends, what is not open.
    #[error("it goes on with something that is not open")]
    NotOpen,
    /// It speaks of another subagent than what it goes on with.
    #[error("its `subagentRunId` is not that of what it belongs to")]
    Subagent,
    /// A subagent's id was used before in this run.
    #[error("its `subagentRunId` was used before in this run")]
    Reused,
    /// A first chunk without an id or a name, or one that fits several messages.
    #[error("the chunk does not say what it belongs to")]
    Chunk,
    /// A run begins in itself.
    #[error("the run has begun already")]
    RunStarted,
    /// No run is open that it could end.
    #[error("there is no run that it could end")]
    NoRun,
    /// The run has too many ids.
    #[error("the run has more than {TRACKED_MAX} ids")]
    Limit,
}

impl Misplaced {
    /// A stable word for records and metric labels.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::AlreadyOpen => "already_open",
            Self::NotOpen => "not_open",
            Self::Subagent => "other_subagent",
            Self::Reused => "subagent_reused",
            Self::Chunk => "bad_chunk",
            Self::RunStarted => "run_started_twice",
            Self::NoRun => "no_run",
            Self::Limit => "limit",
        }
    }
}

/// What can be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Text,
    Tool,
    Span,
    Reasoning,
    Step,
    Subagent,
    ThinkingSpan,
    ThinkingText,
}

/// What can belong to a subagent. Text messages and tool results share their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owned {
    Message,
    Tool,
    Activity,
    Reasoning,
    Thinking,
}

/// Steps are told apart by subagent too; for all else the lane of a key is none.
type Key = (What, Lane, String);

/// A message that a chunk opened.
#[derive(Debug)]
struct Chunk {
    what: What,
    id: String,
    /// What its first chunk said of it; a later one may say the same or nothing.
    said: [Option<String>; 2],
}

/// What a chunk belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunked {
    /// The message or the call.
    pub id: String,
    /// Whether it begins with this chunk.
    pub opens: bool,
}

/// What is open in a run and what its ids belong to.
#[derive(Debug, Default)]
pub struct Order {
    /// With the place in the order of opening.
    open: HashMap<Key, u64>,
    opened: u64,
    owners: HashMap<(Owned, String), Lane>,
    /// Messages that were opened by a chunk, which the client ends by itself.
    chunks: HashMap<Lane, Chunk>,
    done: HashSet<String>,
}

impl Order {
    /// The order of a run whose RUN_STARTED this is.
    pub fn new(started: &Event) -> Self {
        let mut order = Self::default();
        let messages = started.field("input").and_then(|input| input.get("messages"));
        order.own_messages(messages, false);
        order
    }

    /// Whether nothing is open that had to be closed before the run may end.
    pub fn is_closed(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes an event of the run that neither begins nor ends it.
    ///
    /// # Errors
    /// [`Misplaced`]; nothing has changed then.
    pub fn admit(&mut self, event: &Event) -> Result<(), Misplaced> {
        let lane = event.subagent().map(str::to_owned);
        let id = |field| event.text(field).unwrap_or_default().to_owned();
        // A client ends the lane's chunk message before it looks at these.
        let ends_chunk = !matches!(
            event.kind,
            EventType::Raw
                | EventType::ActivitySnapshot
                | EventType::ActivityDelta
                | EventType::ReasoningEncryptedValue
                | EventType::SubagentStarted
                | EventType::TextChunk
                | EventType::ToolChunk
                | EventType::ReasoningMessageChunk
                | EventType::MessagesSnapshot
                | EventType::Unknown
        );
        let chunk = if ends_chunk { self.chunk_at(&lane) } else { None };
        // Some clients turn these into reasoning, which ends the lane's chunk message, and some drop
        // them. Only where there is no such message do both see the same stream.
        let retired = matches!(
            event.kind,
            EventType::ThinkingStart
                | EventType::ThinkingEnd
                | EventType::ThinkingTextStart
                | EventType::ThinkingTextContent
                | EventType::ThinkingTextEnd
        );
        if retired && chunk.is_some() {
            return Err(Misplaced::Chunk);
        }
        match event.kind {
            EventType::TextStart => {
                self.start(What::Text, Owned::Message, id("messageId"), &lane, &chunk)?;
            }
            EventType::TextContent => {
                self.goes_on(What::Text, Owned::Message, &id("messageId"), &lane, &chunk)?;
            }
            EventType::TextEnd => {
                self.end(What::Text, Owned::Message, id("messageId"), &lane, &chunk)?;
            }
            EventType::ToolStart => {
                self.start_tool(id("toolCallId"), event.text("parentMessageId"), &lane, &chunk)?;
            }
            EventType::ToolArgs => {
                self.goes_on(What::Tool, Owned::Tool, &id("toolCallId"), &lane, &chunk)?;
            }
            EventType::ToolEnd => {
                self.end(What::Tool, Owned::Tool, id("toolCallId"), &lane, &chunk)?;
            }
            EventType::ToolResult => {
                self.stays_with_its_chunk(&id("messageId"), &lane, &chunk)?;
                self.room(1)?;
                self.owners.insert((Owned::Message, id("messageId")), lane.clone());
            }
            EventType::ReasoningStart => {
                self.start(What::Span, Owned::Reasoning, id("messageId"), &lane, &chunk)?;
            }
            EventType::ReasoningEnd => {
                self.end(What::Span, Owned::Reasoning, id("messageId"), &lane, &chunk)?;
            }
            EventType::ReasoningMessageStart => {
                self.start(What::Reasoning, Owned::Reasoning, id("messageId"), &lane, &chunk)?;
            }
            EventType::ReasoningMessageContent => {
                self.goes_on(What::Reasoning, Owned::Reasoning, &id("messageId"), &lane, &chunk)?;
            }
            EventType::ReasoningMessageEnd => {
                self.end(What::Reasoning, Owned::Reasoning, id("messageId"), &lane, &chunk)?;
            }
            EventType::ThinkingStart => {
                self.start_thinking(What::ThinkingSpan, "span", &lane, &chunk)?;
            }
            EventType::ThinkingEnd => {
                self.end(What::ThinkingSpan, Owned::Thinking, "span".into(), &lane, &chunk)?;
            }
            EventType::ThinkingTextStart => {
                self.start_thinking(What::ThinkingText, "text", &lane, &chunk)?;
            }
            EventType::ThinkingTextContent => {
                self.goes_on(What::ThinkingText, Owned::Thinking, "text", &lane, &chunk)?;
            }
            EventType::ThinkingTextEnd => {
                self.end(What::ThinkingText, Owned::Thinking, "text".into(), &lane, &chunk)?;
            }
            EventType::StepStarted => {
                let key = (What::Step, lane.clone(), id("stepName"));
                if self.open.contains_key(&key) {
                    return Err(Misplaced::AlreadyOpen);
                }
                self.room(1)?;
                self.put(key);
            }
            EventType::StepFinished => {
                let key = (What::Step, lane.clone(), id("stepName"));
                self.open.remove(&key).ok_or(Misplaced::NotOpen)?;
            }
            EventType::SubagentStarted => self.start_subagent(event, &lane)?,
            EventType::SubagentFinished | EventType::SubagentError => {
                let name = lane.clone().unwrap_or_default();
                let key = (What::Subagent, None, name.clone());
                self.open.remove(&key).ok_or(Misplaced::NotOpen)?;
                self.done.insert(name);
            }
            EventType::ActivitySnapshot => {
                let key = (Owned::Activity, id("messageId"));
                let replaces = event.field("replace") != Some(&Value::Bool(false));
                if replaces || !self.owners.contains_key(&key) {
                    self.room(1)?;
                    self.owners.insert(key, lane.clone());
                }
            }
            EventType::ActivityDelta => self.owner(Owned::Activity, &id("messageId"), &lane)?,
            EventType::ReasoningEncryptedValue => self.encrypted(event, &lane)?,
            EventType::MessagesSnapshot => {
                let messages = event.field("messages");
                self.room(messages.and_then(Value::as_array).map_or(0, Vec::len))?;
                self.end_all_chunks();
                self.own_messages(messages, true);
            }
            EventType::TextChunk => self.chunk(What::Text, event, "messageId", &lane)?,
            EventType::ToolChunk => self.chunk(What::Tool, event, "toolCallId", &lane)?,
            EventType::ReasoningMessageChunk => {
                self.chunk(What::Reasoning, event, "messageId", &lane)?;
            }
            // The guard handles the borders of a run; the rest may stand anywhere in it.
            EventType::RunStarted
            | EventType::RunFinished
            | EventType::RunError
            | EventType::StateSnapshot
            | EventType::StateDelta
            | EventType::Raw
            | EventType::Custom
            | EventType::Unknown => {}
        }
        if ends_chunk {
            self.chunks.remove(&lane);
        }
        Ok(())
    }

    /// The events that close all that is open, newest first.
    pub fn closers(&self) -> Vec<Map<String, Value>> {
        let mut open: Vec<(&Key, &u64)> = self.open.iter().collect();
        open.sort_by_key(|(_, at)| std::cmp::Reverse(**at));
        open.into_iter().filter_map(|((what, lane, id), _)| closer(*what, lane, id)).collect()
    }
}

mod chunk;
mod close;
mod pair;

use close::closer;

#[cfg(test)]
mod tests;
