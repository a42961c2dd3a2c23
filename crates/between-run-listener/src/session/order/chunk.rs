//! Pure: chunks, which open a message, go on with it, and leave its end to the client.

use super::{Chunk, Chunked, Lane, Misplaced, Order, Owned, What};
use crate::session::event::{Event, EventType};

impl Order {
    /// What a chunk belongs to; nothing for what is no chunk. To be asked before it is admitted.
    pub fn chunked(&self, event: &Event) -> Option<Chunked> {
        let (what, field) = match event.kind {
            EventType::TextChunk => (What::Text, "messageId"),
            EventType::ToolChunk => (What::Tool, "toolCallId"),
            EventType::ReasoningMessageChunk => (What::Reasoning, "messageId"),
            _ => return None,
        };
        let (id, lane) = (event.text(field), event.subagent().map(str::to_owned));
        let home = self.lane_of(what, id, &lane).ok()?;
        let here = self.chunks.get(&home).filter(|open| open.what == what);
        match here.filter(|open| id.is_none_or(|id| id == open.id)) {
            Some(open) => Some(Chunked { id: open.id.clone(), opens: false }),
            None => id.map(|id| Chunked { id: id.to_owned(), opens: true }),
        }
    }

    /// Takes a chunk as a client does: it goes on with the open message of its lane, or ends it and
    /// opens its own.
    pub(super) fn chunk(
        &mut self,
        what: What,
        event: &Event,
        id_field: &str,
        lane: &Lane,
    ) -> Result<(), Misplaced> {
        let id = event.text(id_field);
        let home = self.lane_of(what, id, lane)?;
        let here = self.chunks.get(&home);
        if let Some(open) = here.filter(|open| open.what == what)
            && id.is_none_or(|id| id == open.id)
        {
            let same = |(said, field): (&Option<String>, &str)| {
                event.text(field).is_none_or(|again| said.as_deref() == Some(again))
            };
            if !open.said.iter().zip(fields(what)).all(same) {
                return Err(Misplaced::Chunk);
            }
            // The owner may be older than the chunk that opened it again.
            return self.owner(owned(what), &open.id, lane);
        }
        let Some(id) = id else { return Err(Misplaced::Chunk) };
        let ended = here.map(|open| (open.what, open.id.clone()));
        let said = fields(what).map(|field| event.text(field).map(str::to_owned));
        let said = match (what, said) {
            (What::Text, [None, name]) => [Some("assistant".to_owned()), name],
            (_, said) => said,
        };
        match what {
            What::Tool => {
                if event.text("toolCallName").is_none() {
                    return Err(Misplaced::Chunk);
                }
                let parent = event.text("parentMessageId");
                let owner = self.tool_owner(id, parent, lane, &ended)?;
                self.room(2)?;
                self.owners.entry((Owned::Tool, id.to_owned())).or_insert(owner);
            }
            _ => {
                if self.is_open(what, id, &ended) {
                    return Err(Misplaced::AlreadyOpen);
                }
                self.owner(owned(what), id, lane)?;
                self.room(2)?;
                self.owners.entry((owned(what), id.to_owned())).or_insert_with(|| lane.clone());
            }
        }
        self.chunks.insert(home, Chunk { what, id: id.to_owned(), said });
        Ok(())
    }

    /// A result takes over the message of its id. A message that a chunk of a subagent has opened
    /// must stay with that one, because the client's own end of it will name the subagent.
    pub(super) fn stays_with_its_chunk(
        &self,
        id: &str,
        lane: &Lane,
        ended: &Option<(What, String)>,
    ) -> Result<(), Misplaced> {
        if !self.is_open(What::Text, id, ended) {
            return Ok(());
        }
        let mut chunks = self.chunks.iter();
        let taken = chunks.any(|(home, open)| {
            open.what == What::Text && open.id == id && home.is_some() && home != lane
        });
        if taken { Err(Misplaced::Subagent) } else { Ok(()) }
    }

    /// The lane whose open message a chunk goes on with, or where it opens its own.
    fn lane_of(&self, what: What, id: Option<&str>, lane: &Lane) -> Result<Lane, Misplaced> {
        if let Some(id) = id {
            let open = self.chunks.iter().find(|(_, open)| open.what == what && open.id == id);
            return match open {
                Some((home, _)) if lane.is_some() && home != lane => Err(Misplaced::Subagent),
                Some((home, _)) => Ok(home.clone()),
                None => Ok(lane.clone()),
            };
        }
        let of_agent = self.chunks.get(&None);
        if lane.is_some() || of_agent.is_some_and(|open| open.what == what) {
            return Ok(lane.clone());
        }
        let mut homes = self.chunks.iter().filter(|(_, open)| open.what == what);
        match (homes.next(), homes.next()) {
            (Some((home, _)), None) => Ok(home.clone()),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(Misplaced::Chunk),
        }
    }
}

/// What chunks say of the message that they open.
const fn fields(what: What) -> [&'static str; 2] {
    match what {
        What::Tool => ["toolCallName", "parentMessageId"],
        // Reasoning has neither.
        _ => ["role", "name"],
    }
}

const fn owned(what: What) -> Owned {
    match what {
        What::Text => Owned::Message,
        What::Tool => Owned::Tool,
        What::Span | What::Reasoning => Owned::Reasoning,
        What::Step | What::Subagent | What::ThinkingSpan | What::ThinkingText => Owned::Thinking,
    }
}
