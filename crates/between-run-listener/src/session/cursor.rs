//! Reading a session's log: what is stored, then what comes, each record once and in order, or a
//! gap that says what is missing.
//!
//! A cursor is a position, not a queue: one that is slow holds up nobody and reads from the log.

use std::collections::VecDeque;
use std::sync::Arc;

use eventlog::{GapCause, Log, ReadError, ReadLimit};
use tokio::sync::watch;

use super::bases::{Bases, BasesError};
use super::tail::{Entry, Head, Tail};
use crate::log::Assembler;

/// What is read at once from the log.
const PAGE: ReadLimit = ReadLimit { records: 512, bytes: 256 * 1024 };

/// Offsets that are not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// Why, in a word.
    pub why: &'static str,
}

/// Closed runs that a base stands for.
pub const COMPACTED: &str = "compacted";

/// What a cursor meets.
#[derive(Debug, Clone)]
pub enum Step {
    /// The next record.
    Entry(Arc<Entry>),
    /// Records that will never come.
    Gap(Missing),
}

/// A position in a session's log.
pub struct Cursor {
    log: Arc<dyn Log>,
    tail: Arc<Tail>,
    bases: Arc<Bases>,
    head: watch::Receiver<Head>,
    next: u64,
    /// Nothing has been read yet, so a base will do as well as the runs in it.
    fresh: bool,
    ready: VecDeque<Step>,
    assembler: Assembler,
}

impl Cursor {
    /// A cursor before an offset.
    pub(super) fn new(log: Arc<dyn Log>, tail: Arc<Tail>, bases: Arc<Bases>, next: u64) -> Self {
        let head = tail.head();
        let (ready, assembler) = (VecDeque::new(), Assembler::default());
        Self { log, tail, bases, head, next: next.max(1), fresh: true, ready, assembler }
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
            if self.fresh {
                let took = self.folded().await?;
                self.fresh = false;
                if took {
                    continue;
                }
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

    /// The next record or gap, if it has been read already.
    pub fn ready(&mut self) -> Option<Step> {
        self.ready.pop_front()
    }

    async fn read(&mut self, last: u64) -> Result<(), ReadError> {
        let page = self.log.read_from(self.next, PAGE).await?;
        let first = page.records.first().map_or(page.next, |record| record.offset);
        if first > self.next && self.folded().await? {
            return Ok(());
        }
        if first > self.next {
            let cause = page.gap.map_or(GapCause::Corrupt, |gap| gap.cause);
            self.missing(first - 1, cause.as_str());
        } else if page.records.is_empty() {
            // What was acknowledged cannot be read: say so and go on, instead of asking for ever.
            self.missing(last, GapCause::Corrupt.as_str());
        }
        for record in page.records {
            let offset = record.offset;
            match self.assembler.take(offset, record.payload) {
                Ok(Some(stored)) => {
                    let entry = Arc::new(Entry::new(self.tail.epoch(), stored));
                    self.ready.push_back(Step::Entry(entry));
                    self.next = offset + 1;
                }
                Ok(None) => self.next = offset + 1,
                Err(_) => self.missing(offset, GapCause::Corrupt.as_str()),
            }
        }
        Ok(())
    }

    /// Goes past offsets that will not be shown.
    fn missing(&mut self, to: u64, why: &'static str) {
        self.ready.push_back(Step::Gap(Missing { from: self.next, to, why }));
        self.next = to + 1;
    }

    /// Takes the base if it covers what comes next. Says whether it did.
    async fn folded(&mut self) -> Result<bool, ReadError> {
        // A base that is replaced while it is read is asked for again; each covers more.
        while let Some(seal) = self.bases.seal().filter(|seal| self.next <= seal.covers) {
            let read = self.bases.read(&seal).await;
            let base = match read {
                Ok(base) => base,
                Err(_) if self.bases.seal().is_some_and(|now| now != seal) => continue,
                Err(BasesError::Read(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(error = %error, covers = seal.covers, "a base is not shown");
                    self.missing(seal.covers, GapCause::Corrupt.as_str());
                    return Ok(true);
                }
            };
            if self.next > 1 {
                self.missing(seal.covers, COMPACTED);
            } else if seal.from > 1 {
                self.missing(seal.from - 1, GapCause::Retention.as_str());
            }
            let last = base.events.len().saturating_sub(1);
            for (at, stored) in base.events.into_iter().enumerate() {
                let entry = Entry::folded(self.tail.epoch(), stored, at == last);
                self.ready.push_back(Step::Entry(Arc::new(entry)));
            }
            self.next = seal.covers + 1;
            return Ok(true);
        }
        Ok(false)
    }
}
