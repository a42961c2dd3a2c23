//! Pure: the records that were appended last, so that a crowd of followers does not read them from
//! storage one by one.

use bytes::Bytes;

use crate::memory::records;
use crate::{NewRecord, Page, ReadLimit, Ring};

#[cfg(test)]
mod tests;

/// Most bytes of payloads that are kept. The newest record is, whatever its size.
const TAIL_BYTES: usize = 64 * 1024;

/// The newest records of a log, kept while somebody follows it.
#[derive(Debug)]
pub(crate) struct Tail(Ring<(i64, Bytes)>);

impl Default for Tail {
    fn default() -> Self {
        Self(Ring::starting_at(1))
    }
}

impl Tail {
    /// Keeps what was appended, from its first offset on.
    pub(crate) fn keep<'a>(&mut self, first: u64, appended: impl Iterator<Item = &'a NewRecord>) {
        if self.0.next() != first {
            self.0 = Ring::starting_at(first);
        }
        for record in appended {
            self.0.push(record.payload.len(), (record.ts, record.payload.clone()));
        }
        self.0.shrink(usize::MAX, TAIL_BYTES);
    }

    /// Keeps nothing, and gives its memory back.
    pub(crate) fn forget(&mut self) {
        if !self.0.is_empty() {
            *self = Self::default();
        }
    }

    /// The page that storage would give, if all of it is here: from `offset`, of a log that keeps
    /// records from `kept` on and gives `head` to the next.
    pub(crate) fn page(&self, offset: u64, kept: u64, head: u64, limit: ReadLimit) -> Option<Page> {
        if self.0.next() != head || offset < self.0.first().max(kept) || offset >= head {
            return None;
        }
        let records = records(&self.0, offset, limit);
        Some(Page { gap: None, next: offset + records.len() as u64, records, head })
    }
}
