//! Pure: snapshots of runners that hold only the messages of their own run.
//!
//! A client takes a snapshot for all there is. So the gateway keeps the whole conversation in mind
//! and shows a snapshot of all messages in place of each that holds only some.

use bytes::Bytes;

use super::{Draft, Envelope, Event, EventType, Lane, Snapshots, Source, json};
use crate::log::Stored;
use crate::session::fold::Fold;

impl Lane {
    /// Whether all messages are to be kept in mind and are not yet: see [`Lane::remember`].
    pub fn wants_conversation(&self) -> bool {
        self.rules.snapshots == Snapshots::Increment && self.conversation.is_none()
    }

    /// Keeps in mind what the whole log, as it is now, leads to.
    pub fn remember(&mut self, conversation: Fold) {
        self.conversation = Some(conversation);
    }

    /// Drops what is kept in mind if it is not needed any more.
    pub(super) fn forget(&mut self) {
        if self.rules.snapshots == Snapshots::Whole {
            self.conversation = None;
        }
    }

    /// An event goes into the log.
    pub(super) fn follow(&mut self, event: &Event, envelope: &Envelope, data: &Bytes) {
        let Some(conversation) = &mut self.conversation else { return };
        let stored = Stored { offset: 0, envelope: envelope.clone(), data: data.clone() };
        conversation.follow(&stored, event);
    }

    /// Logs a snapshot of all messages in place of one of the runner's that holds only some, and
    /// says whether it did.
    ///
    /// The runner's own is kept apart: a client that saw it would drop the other messages, and put
    /// them behind its own when it gets them back.
    pub(super) fn complete(
        &mut self,
        from: Source,
        event: &Event,
        sse: &crate::sse::Event,
        out: &mut Vec<Draft>,
    ) -> bool {
        let Some(conversation) = &mut self.conversation else { return false };
        if event.kind != EventType::MessagesSnapshot {
            return false;
        }
        conversation.merge(event);
        let messages = conversation.messages();
        if event.field("messages") == Some(&messages) {
            return false;
        }
        self.reject("increment", from, sse, Some(event.name()), out);
        let fields = json!({ "type": "MESSAGES_SNAPSHOT", "messages": messages });
        if let (Ok(all), Some(open)) = (Event::from_value(fields.clone()), &mut self.open) {
            // Its messages were all let in before; the limit is on what a runner opens.
            let _ = open.order.admit(&all);
        }
        self.ours(fields, "base", Some(from), out);
        true
    }
}
