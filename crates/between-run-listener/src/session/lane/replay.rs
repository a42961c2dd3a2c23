//! Pure: what a log that is read back tells.

use std::time::Instant;

use super::{
    Began, Draft, Event, EventType, FeedName, Kind, Lane, Open, Order, Origin, Owner, hash, post,
};
use crate::log::Stored;
use crate::session::fold::{Base, Ending};
use crate::session::status::Status;

impl Lane {
    /// Takes a record of the log, oldest first.
    pub fn replay(&mut self, record: &Stored, now: Instant) {
        let envelope = &record.envelope;
        if envelope.kind != Kind::Event {
            return;
        }
        let Some(event) = std::str::from_utf8(&record.data).ok().and_then(|t| Event::parse(t).ok())
        else {
            return;
        };
        let ours = envelope.origin == Origin::Gateway && post::is_ours(&event);
        self.note(&event, !ours);
        match event.kind {
            EventType::RunStarted => {
                let run = event.text("runId").unwrap_or_default().to_owned();
                let thread = event.text("threadId").unwrap_or_default().to_owned();
                self.known_runs.insert(hash(&run));
                let began = match envelope.feed {
                    _ if ours => Began::Between,
                    Some(FeedName::Run) => Began::Client,
                    Some(FeedName::Listen) | None => Began::Runner,
                };
                if began != Began::Between && !thread.is_empty() {
                    self.thread.get_or_insert_with(|| thread.clone());
                }
                // What was finished before has been answered by this one.
                self.finished &= began == Began::Between;
                let order = Order::new(&event);
                let owner = Owner::Nobody;
                self.open = Some(Open { run, thread, began, owner, order, sound: now, event: now });
            }
            EventType::RunFinished => {
                let outcome = event.field("outcome").and_then(|outcome| outcome["type"].as_str());
                self.over(outcome != Some("interrupt"));
            }
            EventType::RunError => {
                let ours = envelope.origin == Origin::Gateway;
                if let Some(open) = self.open.as_ref().filter(|_| ours) {
                    self.torn.insert(hash(&open.run));
                }
                self.over(false);
            }
            _ => {
                if let Some(open) = &mut self.open {
                    // It was let in once, so it is let in again.
                    let _ = open.order.admit(&event);
                }
            }
        }
    }

    /// Takes what was folded, before the records behind it.
    pub fn restore(&mut self, base: &Base, now: Instant) {
        for stored in &base.events {
            self.replay(stored, now);
        }
        let header = &base.header;
        for run in &header.runs {
            self.known_runs.insert(hash(&run.id));
            if matches!(run.ending, Ending::Failed { ours: true, .. }) {
                self.torn.insert(hash(&run.id));
            }
        }
        self.thread = self.thread.take().or_else(|| header.thread.clone());
        self.last_run.clone_from(&header.last_run);
        self.status = Status::resume(header.agent, header.last_error.clone());
    }

    /// The log has been read to its end. A run between runs is ended; another waits for its stream.
    pub fn replayed(&mut self, now: Instant, out: &mut Vec<Draft>) {
        match self.open.as_ref().map(|open| open.began) {
            Some(Began::Between) => self.close_between(out),
            Some(Began::Client | Began::Runner) => self.adopt_until = Some(now + self.rules.adopt),
            None => {}
        }
    }
}
