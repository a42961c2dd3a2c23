//! Pure: starts, contents and ends, and whose they are.

use serde_json::Value;

use super::{Key, Lane, Misplaced, Order, Owned, TRACKED_MAX, What};
use crate::session::event::Event;

/// What the event in hand ends before a client looks at it: its lane's chunk message.
type Ended = Option<(What, String)>;

impl Order {
    pub(super) fn chunk_at(&self, lane: &Lane) -> Ended {
        self.chunks.get(lane).map(|chunk| (chunk.what, chunk.id.clone()))
    }

    pub(super) fn end_all_chunks(&mut self) {
        self.chunks.clear();
    }

    /// Whether an id is open: by its start, or by a chunk that the event in hand does not end.
    pub(super) fn is_open(&self, what: What, id: &str, ended: &Ended) -> bool {
        if ended.as_ref().is_some_and(|(kind, name)| *kind == what && name == id) {
            return false;
        }
        self.open.contains_key(&(what, None, id.to_owned()))
            || self.chunks.values().any(|chunk| chunk.what == what && chunk.id == id)
    }

    pub(super) fn room(&self, more: usize) -> Result<(), Misplaced> {
        let tracked = self.open.len() + self.owners.len() + self.done.len() + self.chunks.len();
        if tracked + more > TRACKED_MAX { Err(Misplaced::Limit) } else { Ok(()) }
    }

    pub(super) fn put(&mut self, key: Key) {
        self.opened += 1;
        self.open.insert(key, self.opened);
    }

    /// An event that names a subagent must name that of what it belongs to.
    pub(super) fn owner(&self, owned: Owned, id: &str, lane: &Lane) -> Result<(), Misplaced> {
        let owner = self.owners.get(&(owned, id.to_owned()));
        match owner {
            Some(owner) if lane.is_some() && owner != lane => Err(Misplaced::Subagent),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn start(
        &mut self,
        what: What,
        owned: Owned,
        id: String,
        lane: &Lane,
        ended: &Ended,
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
    pub(super) fn start_thinking(
        &mut self,
        what: What,
        id: &str,
        lane: &Lane,
        ended: &Ended,
    ) -> Result<(), Misplaced> {
        if !self.is_open(what, id, ended) {
            self.owners.remove(&(Owned::Thinking, id.to_owned()));
        }
        self.start(what, Owned::Thinking, id.to_owned(), lane, ended)
    }

    pub(super) fn start_tool(
        &mut self,
        id: String,
        parent: Option<&str>,
        lane: &Lane,
        ended: &Ended,
    ) -> Result<(), Misplaced> {
        let owner = self.tool_owner(&id, parent, lane, ended)?;
        self.room(2)?;
        self.owners.entry((Owned::Tool, id.clone())).or_insert(owner);
        self.put((What::Tool, None, id));
        Ok(())
    }

    /// A tool call belongs to whoever owns the message that carries it.
    pub(super) fn tool_owner(
        &self,
        id: &str,
        parent: Option<&str>,
        lane: &Lane,
        ended: &Ended,
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

    pub(super) fn goes_on(
        &self,
        what: What,
        owned: Owned,
        id: &str,
        lane: &Lane,
        ended: &Ended,
    ) -> Result<(), Misplaced> {
        if !self.is_open(what, id, ended) {
            return Err(Misplaced::NotOpen);
        }
        self.owner(owned, id, lane)
    }

    pub(super) fn end(
        &mut self,
        what: What,
        owned: Owned,
        id: String,
        lane: &Lane,
        ended: &Ended,
    ) -> Result<(), Misplaced> {
        self.goes_on(what, owned, &id, lane, ended)?;
        // An end of what a chunk of another lane opened would make the client end it twice.
        self.open.remove(&(what, None, id)).map(|_| ()).ok_or(Misplaced::NotOpen)
    }

    pub(super) fn start_subagent(&mut self, event: &Event, lane: &Lane) -> Result<(), Misplaced> {
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

    pub(super) fn encrypted(&self, event: &Event, lane: &Lane) -> Result<(), Misplaced> {
        let entity = event.text("entityId").unwrap_or_default();
        if event.text("subtype") == Some("tool-call") {
            return self.owner(Owned::Tool, entity, lane);
        }
        let message = self.owners.contains_key(&(Owned::Message, entity.to_owned()));
        self.owner(if message { Owned::Message } else { Owned::Reasoning }, entity, lane)
    }

    pub(super) fn own_messages(&mut self, messages: Option<&Value>, overwrite: bool) {
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
