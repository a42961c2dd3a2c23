//! Pure: chunks, which open a message, go on with it, and leave its end to the client.

use super::{Lane, Misplaced, Order, Owned, What};
use crate::session::event::Event;

impl Order {
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
        if here.is_some_and(|(kind, open)| *kind == what && id.is_none_or(|id| id == open)) {
            // The owner may be older than the chunk that opened it again.
            let open = here.map(|(_, open)| open.clone()).unwrap_or_default();
            return self.owner(owned(what), &open, lane);
        }
        let Some(id) = id else { return Err(Misplaced::Chunk) };
        let ended = here.cloned();
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
        self.chunks.insert(home, (what, id.to_owned()));
        Ok(())
    }

    /// The lane whose open message a chunk goes on with, or where it opens its own.
    fn lane_of(&self, what: What, id: Option<&str>, lane: &Lane) -> Result<Lane, Misplaced> {
        if let Some(id) = id {
            let open = self.chunks.iter().find(|(_, (kind, open))| *kind == what && open == id);
            return match open {
                Some((home, _)) if lane.is_some() && home != lane => Err(Misplaced::Subagent),
                Some((home, _)) => Ok(home.clone()),
                None => Ok(lane.clone()),
            };
        }
        let is_kind = |(_, (kind, _)): &(&Lane, &(What, String))| *kind == what;
        if lane.is_some() || self.chunks.get(&None).is_some_and(|(kind, _)| *kind == what) {
            return Ok(lane.clone());
        }
        let mut homes = self.chunks.iter().filter(is_kind);
        match (homes.next(), homes.next()) {
            (Some((home, _)), None) => Ok(home.clone()),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(Misplaced::Chunk),
        }
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
