//! Reading a session's log: what is stored, then what comes, each record once and in order, or a
//! gap that says what is missing.
//!
//! A cursor is a position, not a queue: one that is slow holds up nobody and reads from the log.

use std::collections::VecDeque;
use std::sync::Arc;

use eventlog::{Gap, GapCause, Log, ReadError, ReadLimit};
use tokio::sync::watch;

use super::tail::{Entry, Head, Tail};
use crate::log::Assembler;

/// What is read at once from the log.
const PAGE: ReadLimit = ReadLimit { records: 512, bytes: 256 * 1024 };

/// What a cursor meets.
#[derive(Debug, Clone)]
pub enum Step {
    /// The next record.
    Entry(Arc<Entry>),
    /// Records that will never come.
    Gap(Gap),
}

/// A position in a session's log.
pub struct Cursor {
    log: Arc<dyn Log>,
    tail: Arc<Tail>,
    head: watch::Receiver<Head>,
    next: u64,
    ready: VecDeque<Step>,
    assembler: Assembler,
}

impl Cursor {
    /// A cursor before an offset.
    pub fn new(log: Arc<dyn Log>, tail: Arc<Tail>, next: u64) -> Self {
        let head = tail.head();
        let (ready, assembler) = (VecDeque::new(), Assembler::default());
        Self { log, tail, head, next: next.max(1), ready, assembler }
    }

    /// Whether all that the log had at some moment during this call has been read.
    pub fn is_at_end(&self) -> bool {
        self.ready.is_empty() && self.next > self.head.borrow().last
    }

    /// Whether everything up to an offset has been read.
    pub fn is_past(&self, offset: u64) -> bool {
        self.ready.is_empty() && self.next > offset
    }

    /// Waits for the next record or gap; nothing behind the last record of a log that was closed.
    ///
    /// # Errors
    /// The log cannot be read. The cursor stays where it is.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call takes nothing.
    pub async fn next(&mut self) -> Result<Option<Step>, ReadError> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            // Seen before the read, so that what comes in between wakes the wait below.
            let head = *self.head.borrow_and_update();
            if self.next > head.last {
                if head.closed {
                    return Ok(None);
                }
                if self.head.changed().await.is_err() {
                    return Ok(None);
                }
                continue;
            }
            match self.tail.from(self.next) {
                Some(entries) => {
                    self.next += entries.len() as u64;
                    self.ready.extend(entries.into_iter().map(Step::Entry));
                }
                None => self.read(head.last).await?,
            }
        }
    }

    async fn read(&mut self, last: u64) -> Result<(), ReadError> {
        let page = self.log.read_from(self.next, PAGE).await?;
        let first = page.records.first().map_or(page.next, |record| record.offset);
        if first > self.next {
            let cause = page.gap.map_or(GapCause::Corrupt, |gap| gap.cause);
            self.ready.push_back(Step::Gap(Gap { from: self.next, to: first - 1, cause }));
            self.next = first;
        } else if page.records.is_empty() {
            // What was acknowledged cannot be read: say so and go on, instead of asking for ever.
            let gap = Gap { from: self.next, to: last, cause: GapCause::Corrupt };
            self.ready.push_back(Step::Gap(gap));
            self.next = last + 1;
        }
        for record in page.records {
            let offset = record.offset;
            self.next = offset + 1;
            match self.assembler.take(offset, record.payload) {
                Ok(Some(stored)) => {
                    let entry = Arc::new(Entry::new(self.tail.epoch(), stored));
                    self.ready.push_back(Step::Entry(entry));
                }
                Ok(None) => {}
                Err(_) => {
                    let gap = Gap { from: offset, to: offset, cause: GapCause::Corrupt };
                    self.ready.push_back(Step::Gap(gap));
                }
            }
        }
        Ok(())
    }
}
