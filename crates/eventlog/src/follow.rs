//! Stored records, then live ones, each once and in order, or a gap that says which are missing.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{Gap, GapCause, Head, Log, Page, ReadError, ReadLimit, Record};

#[cfg(test)]
mod tests;

/// Reads a log from an offset and goes on with what is appended.
///
/// A slow follower holds up nobody: it always reads from storage, at its own pace, one page at a
/// time. Dropping it ends it.
pub struct Follower {
    log: Arc<dyn Log>,
    head: watch::Receiver<Head>,
    next: u64,
    limit: ReadLimit,
    /// Records that were read together with the gap before them.
    held: Vec<Record>,
}

/// What a follower meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Records, without a hole between them, right behind what came before.
    Records(Vec<Record>),
    /// Offsets that will never come.
    Gap(Gap),
}

impl Follower {
    /// Follows a log from an offset, inclusive.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, from: u64, limit: ReadLimit) -> Self {
        let head = log.head();
        Self { log, head, next: from.max(1), limit, held: Vec::new() }
    }

    /// The offset that comes next.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.held.first().map_or(self.next, |record| record.offset)
    }

    /// Waits for what comes next; `None` behind the last record of a log that was closed.
    ///
    /// # Errors
    /// [`ReadError`]. The follower stays where it is: after an error that a retry can help, call it
    /// again. [`ReadError::Ahead`] means that it was started beyond the end.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call takes nothing.
    pub async fn next(&mut self) -> Result<Option<Step>, ReadError> {
        if !self.held.is_empty() {
            return Ok(Some(Step::Records(std::mem::take(&mut self.held))));
        }
        loop {
            // Seen before the read, so an append in between wakes the wait below.
            let head = *self.head.borrow_and_update();
            let page = self.log.read_from(self.next, self.limit).await?;
            if let Some(step) = self.take(page) {
                return Ok(Some(step));
            }
            if head.closed {
                return Ok(None);
            }
            if self.head.changed().await.is_err() {
                return Err(ReadError::Closed);
            }
        }
    }

    /// Takes a page apart. It is checked, not believed: a hole without a gap becomes one.
    fn take(&mut self, page: Page) -> Option<Step> {
        let Page { gap, mut records, .. } = page;
        records.retain(|record| record.offset >= self.next);
        let hole = match (records.first(), gap) {
            (Some(first), gap) if first.offset > self.next => Some(Gap {
                from: self.next,
                to: first.offset - 1,
                cause: gap.map_or(GapCause::Corrupt, |gap| gap.cause),
            }),
            (None, Some(gap)) if gap.to >= self.next => Some(Gap { from: self.next, ..gap }),
            (Some(_) | None, _) => None,
        };
        if let Some(last) = records.last() {
            self.next = last.offset + 1;
        } else if let Some(gap) = hole {
            self.next = gap.to + 1;
        }
        match hole {
            Some(gap) => {
                self.held = records;
                Some(Step::Gap(gap))
            }
            None if records.is_empty() => None,
            None => Some(Step::Records(records)),
        }
    }
}
