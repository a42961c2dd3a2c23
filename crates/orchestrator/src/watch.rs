//! Pure: the last changes of a node's sandboxes, in order, for those who watch them.
//!
//! A change is kept until [`Journal::new`]'s number of newer ones has pushed it out. A reader that
//! was slower than that is told so, and begins anew with all that exists.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

/// A place in a journal: everything up to `last` has been seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The life of the daemon that it belongs to.
    pub epoch: String,
    /// The last change that was seen; 0 before the first.
    pub last: u64,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor; take the `id` of an event of this stream, or leave it out")]
pub struct BadCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.last)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (epoch, last) = text.trim().split_once('-').ok_or(BadCursor)?;
        if epoch.is_empty() || !epoch.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(BadCursor);
        }
        let last = last.parse().map_err(|_| BadCursor)?;
        Ok(Self { epoch: epoch.to_owned(), last })
    }
}

/// Changes in order, numbered from 1; the oldest leave when there are too many.
#[derive(Debug)]
pub struct Journal<T> {
    epoch: String,
    entries: VecDeque<T>,
    capacity: usize,
    last: u64,
}

/// What a reader has missed cannot be told any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The next change has been pushed out by newer ones.
    Overtaken,
    /// The place is not one of this journal: another life of the daemon gave it.
    Foreign,
}

impl<T: Clone> Journal<T> {
    /// An empty journal that keeps `capacity` changes.
    pub fn new(epoch: impl Into<String>, capacity: usize) -> Self {
        Self { epoch: epoch.into(), entries: VecDeque::new(), capacity: capacity.max(1), last: 0 }
    }

    /// Adds a change.
    pub fn push(&mut self, change: T) {
        if self.entries.len() == self.capacity {
            self.entries.pop_front();
        }
        self.entries.push_back(change);
        self.last += 1;
    }

    /// The number of the newest change; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The place of somebody who has seen everything up to `last`.
    pub fn cursor(&self, last: u64) -> Cursor {
        Cursor { epoch: self.epoch.clone(), last }
    }

    /// Where a reader that comes back goes on.
    ///
    /// # Errors
    /// When what follows the cursor is not known.
    pub fn resume(&self, cursor: &Cursor) -> Result<u64, Missed> {
        if cursor.epoch != self.epoch || cursor.last > self.last {
            return Err(Missed::Foreign);
        }
        self.after(cursor.last, 0).map(|_| cursor.last)
    }

    /// At most `limit` changes behind `last`, oldest first.
    ///
    /// # Errors
    /// When the first of them has been pushed out.
    pub fn after(&self, last: u64, limit: usize) -> Result<Vec<T>, Missed> {
        let behind = self.last.checked_sub(last).ok_or(Missed::Foreign)?;
        let behind = usize::try_from(behind).map_err(|_| Missed::Overtaken)?;
        let skip = self.entries.len().checked_sub(behind).ok_or(Missed::Overtaken)?;
        Ok(self.entries.iter().skip(skip).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests;
