//! Pure: what a subscriber is shown of the log.

use std::sync::Arc;

use bytes::Bytes;
use eventlog::Epoch;
use serde_json::json;

use super::cursor::{COMPACTED, Missing, Step};
use super::event::EventType;
use super::tail::{Entry, frame_of};
use crate::log::{FeedName, Kind};

/// Which records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// Events and gaps: a stream that an AG-UI client reads.
    #[default]
    Agui,
    /// All records with their envelopes.
    Records,
    /// The events of one posted run, to its end.
    Run(u64),
}

/// Turns records into server-sent events.
#[derive(Debug)]
pub struct View {
    which: Which,
    epoch: Epoch,
    /// Records missing since; shown as missing up to the next RUN_STARTED, because a client cannot
    /// read a run from its middle.
    missing: Option<Missing>,
    /// Why events are left out until a run begins, if they are.
    torn: Option<&'static str>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The posted run has not begun.
    Before,
    Inside,
    /// Nothing more is shown.
    Over,
}

impl View {
    /// A view from the beginning of a subscription.
    pub fn new(which: Which, epoch: Epoch) -> Self {
        let state = if matches!(which, Which::Run(_)) { State::Before } else { State::Inside };
        Self { which, epoch, missing: None, torn: None, state }
    }

    /// Whether nothing more will be shown.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// A gap before the first record, told at once.
    pub fn lost(&mut self, from: u64, to: u64, why: &'static str) -> Bytes {
        self.torn = (self.which != Which::Records).then_some(why);
        gap(from, to, why, None)
    }

    /// Shows a step, as none or more events.
    pub fn show(&mut self, step: &Step, out: &mut Vec<Bytes>) {
        match step {
            Step::Gap(missing) => {
                let Missing { from, to, why } = *missing;
                match self.which {
                    Which::Records => out.push(gap(from, to, why, None)),
                    // The run has ended long ago; its end is in the base.
                    Which::Run(_) if why == COMPACTED => {
                        out.push(gap(from, to, why, None));
                        self.state = State::Over;
                    }
                    Which::Agui | Which::Run(_) => {
                        self.torn = Some(why);
                        self.miss(from, to, why);
                    }
                }
            }
            Step::Entry(entry) => self.entry(entry, out),
        }
    }

    /// Tells what is missing so far. To be called when there is nothing more to read for now.
    pub fn flush(&mut self, out: &mut Vec<Bytes>) {
        if let Some(Missing { from, to, why }) = self.missing.take() {
            out.push(gap(from, to, why, None));
        }
    }

    fn miss(&mut self, from: u64, to: u64, why: &'static str) {
        match &mut self.missing {
            Some(missing) => missing.to = to,
            None => self.missing = Some(Missing { from, to, why }),
        }
    }

    fn entry(&mut self, entry: &Arc<Entry>, out: &mut Vec<Bytes>) {
        if self.state == State::Over {
            return;
        }
        let envelope = &entry.stored.envelope;
        let offset = entry.offset();
        if self.which == Which::Records {
            // As in the other view, a base that was cut is read again from its start.
            let id = !entry.folded || envelope.event_type.as_deref() == Some("RUN_FINISHED");
            let id = id.then_some((&self.epoch, offset));
            if envelope.kind != Kind::Part {
                out.push(frame_of(id, record(entry).as_bytes()));
            }
            return;
        }
        let kind = EventType::named(envelope.event_type.as_deref().unwrap_or_default());
        if let Some(why) = self.torn {
            if envelope.kind == Kind::Event && kind == EventType::RunStarted {
                self.torn = None;
                self.flush(out);
            } else {
                if matches!(envelope.kind, Kind::Event | Kind::Loss) {
                    self.miss(offset, offset, why);
                }
                return;
            }
        }
        if let Which::Run(number) = self.which {
            let begins = envelope.kind == Kind::Event
                && kind == EventType::RunStarted
                && envelope.feed == Some(FeedName::Run)
                && envelope.feed_generation == Some(number);
            if self.state == State::Before && begins {
                self.state = State::Inside;
            }
            if self.state != State::Inside {
                return;
            }
        }
        match envelope.kind {
            Kind::Event => out.push(entry.frame.clone()),
            Kind::Loss => out.push(gap(offset, offset, "loss", Some(&self.epoch))),
            Kind::Rejected | Kind::Note | Kind::Part => {}
        }
        let ends = envelope.kind == Kind::Event && kind.is_terminal();
        if ends && matches!(self.which, Which::Run(_)) {
            self.state = State::Over;
        }
    }
}

/// A record with its envelope, on one line.
pub fn record(entry: &Entry) -> String {
    let mut fields = serde_json::to_value(&entry.stored.envelope).unwrap_or_default();
    fields["offset"] = entry.offset().into();
    fields["data"] = String::from_utf8_lossy(&entry.stored.data).into_owned().into();
    fields.to_string()
}

/// Words for records that are missing. Only a loss is a record, and so has an id.
pub fn gap(from: u64, to: u64, why: &'static str, epoch: Option<&Epoch>) -> Bytes {
    let id = epoch.map(|epoch| format!("id: {epoch}-{to}\n")).unwrap_or_default();
    let data = json!({ "type": "LOCKKEEPER_GAP", "from": from, "to": to, "reason": why });
    Bytes::from(format!("event: lk.gap\n{id}data: {data}\n\n"))
}

#[cfg(test)]
mod tests;
