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

/// What is open in a run and what its ids belong to.
#[derive(Debug, Default)]
pub struct Order {
    /// With the place in the order of opening.
    open: HashMap<Key, u64>,
    opened: u64,
    owners: HashMap<(Owned, String), Lane>,
    /// Messages that were opened by a chunk, which the client ends by itself.
    chunks: HashMap<Lane, (What, String)>,
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
        let ends_chunk = match event.kind {
            EventType::Raw
            | EventType::ActivitySnapshot
            | EventType::ActivityDelta
            | EventType::ReasoningEncryptedValue
            | EventType::SubagentStarted
            | EventType::TextChunk
            | EventType::ToolChunk
            | EventType::ReasoningMessageChunk
            | EventType::MessagesSnapshot
            | EventType::Unknown => false,
            _ => true,
        };
        let chunk = if ends_chunk { self.chunk_at(&lane) } else { None };
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

    fn chunk_at(&self, lane: &Lane) -> Option<(What, String)> {
        self.chunks.get(lane).cloned()
    }

    fn end_all_chunks(&mut self) {
        self.chunks.clear();
    }

    /// Whether an id is open: by its start, or by a chunk that the event in hand does not end.
    fn is_open(&self, what: What, id: &str, ended: &Option<(What, String)>) -> bool {
        if ended.as_ref().is_some_and(|(kind, name)| *kind == what && name == id) {
            return false;
        }
        self.open.contains_key(&(what, None, id.to_owned()))
            || self.chunks.values().any(|(kind, name)| *kind == what && name == id)
    }

    fn room(&self, more: usize) -> Result<(), Misplaced> {
        let tracked = self.open.len() + self.owners.len() + self.done.len() + self.chunks.len();
        if tracked + more > TRACKED_MAX { Err(Misplaced::Limit) } else { Ok(()) }
    }

    fn put(&mut self, key: Key) {
        self.opened += 1;
        self.open.insert(key, self.opened);
    }

    /// An event that names a subagent must name that of what it belongs to.
    fn owner(&self, owned: Owned, id: &str, lane: &Lane) -> Result<(), Misplaced> {
        let owner = self.owners.get(&(owned, id.to_owned()));
        match owner {
            Some(owner) if lane.is_some() && owner != lane => Err(Misplaced::Subagent),
            Some(_) | None => Ok(()),
        }
    }

    fn start(
        &mut self,
        what: What,
        owned: Owned,
        id: String,
        lane: &Lane,
        ended: &Option<(What, String)>,
    ) -> Result<(), Misplaced> {
        if self.is_open(what, &id, ended) {
            return Err(Misplaced::AlreadyOpen);
        }
        self.owner(owned, &id, lane)?;
        self.room(2)?;
        self.owners.entry((owned, id.clone())).or_insert_with(|| lane.clone());
        self.put((what, None, id));
        Ok(())
    }

    /// Clients give each of these a new id, so nothing owns it from before.
    fn start_thinking(
        &mut self,
        what: What,
        id: &str,
        lane: &Lane,
        ended: &Option<(What, String)>,
    ) -> Result<(), Misplaced> {
        if !self.is_open(what, id, ended) {
            self.owners.remove(&(Owned::Thinking, id.to_owned()));
        }
        self.start(what, Owned::Thinking, id.to_owned(), lane, ended)
    }

    fn start_tool(
        &mut self,
        id: String,
        parent: Option<&str>,
        lane: &Lane,
        ended: &Option<(What, String)>,
    ) -> Result<(), Misplaced> {
        let owner = self.tool_owner(&id, parent, lane, ended)?;
        self.room(2)?;
        self.owners.entry((Owned::Tool, id.clone())).or_insert(owner);
        self.put((What::Tool, None, id));
        Ok(())
    }

    /// A tool call belongs to whoever owns the message that carries it.
    fn tool_owner(
        &self,
        id: &str,
        parent: Option<&str>,
        lane: &Lane,
        ended: &Option<(What, String)>,
    ) -> Result<Lane, Misplaced> {
        if self.is_open(What::Tool, id, ended) {
            return Err(Misplaced::AlreadyOpen);
        }
        let carrier =
            parent.and_then(|parent| self.owners.get(&(Owned::Message, parent.to_owned())));
        if carrier.is_some_and(|carrier| lane.is_some() && carrier != lane) {
            return Err(Misplaced::Subagent);
        }
        self.owner(Owned::Tool, id, lane)?;
        let known = self.owners.get(&(Owned::Tool, id.to_owned()));
        if let (None, Some(carrier), Some(known)) = (lane, carrier, known)
            && carrier != known
        {
            return Err(Misplaced::Subagent);
        }
        Ok(lane.clone().or_else(|| carrier.cloned().flatten()))
    }

    fn goes_on(
        &self,
        what: What,
        owned: Owned,
        id: &str,
        lane: &Lane,
        ended: &Option<(What, String)>,
    ) -> Result<(), Misplaced> {
        if !self.is_open(what, id, ended) {
            return Err(Misplaced::NotOpen);
        }
        self.owner(owned, id, lane)
    }

    fn end(
        &mut self,
        what: What,
        owned: Owned,
        id: String,
        lane: &Lane,
        ended: &Option<(What, String)>,
    ) -> Result<(), Misplaced> {
        self.goes_on(what, owned, &id, lane, ended)?;
        // An end of what a chunk of another lane opened would make the client end it twice.
        self.open.remove(&(what, None, id)).map(|_| ()).ok_or(Misplaced::NotOpen)
    }

    fn start_subagent(&mut self, event: &Event, lane: &Lane) -> Result<(), Misplaced> {
        let name = lane.clone().unwrap_or_default();
        let is_open = |name: &str| self.open.contains_key(&(What::Subagent, None, name.to_owned()));
        if is_open(&name) {
            return Err(Misplaced::AlreadyOpen);
        }
        if self.done.contains(&name) {
            return Err(Misplaced::Reused);
        }
        let parent = event.text("parentSubagentRunId");
        if parent.is_some_and(|parent| !is_open(parent) && !self.done.contains(parent)) {
            return Err(Misplaced::NotOpen);
        }
        self.room(1)?;
        self.put((What::Subagent, None, name));
        Ok(())
    }

    fn encrypted(&self, event: &Event, lane: &Lane) -> Result<(), Misplaced> {
        let entity = event.text("entityId").unwrap_or_default();
        if event.text("subtype") == Some("tool-call") {
            return self.owner(Owned::Tool, entity, lane);
        }
        let message = self.owners.contains_key(&(Owned::Message, entity.to_owned()));
        self.owner(if message { Owned::Message } else { Owned::Reasoning }, entity, lane)
    }

    fn own_messages(&mut self, messages: Option<&Value>, overwrite: bool) {
        let messages = messages.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for message in messages {
            let Some(id) = message["id"].as_str() else { continue };
            let owned = match message["role"].as_str() {
                Some("reasoning") => Owned::Reasoning,
                Some("activity") => Owned::Activity,
                _ => Owned::Message,
            };
            let lane = message["subagentRunId"].as_str().map(str::to_owned);
            let mut own = |key, lane: Lane| {
                if overwrite || !self.owners.contains_key(&key) {
                    self.owners.insert(key, lane);
                }
            };
            own((owned, id.to_owned()), lane.clone());
            let calls = message["toolCalls"].as_array().map(Vec::as_slice).unwrap_or_default();
            for call in calls.iter().filter_map(|call| call["id"].as_str()) {
                own((Owned::Tool, call.to_owned()), lane.clone());
            }
        }
    }
}

mod chunk;
mod close;

use close::closer;

#[cfg(test)]
mod tests;
