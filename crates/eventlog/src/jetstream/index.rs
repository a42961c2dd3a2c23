//! Pure: where in a stream the record of an offset is, as far as that is known.

use std::collections::{BTreeMap, VecDeque};

#[cfg(test)]
mod tests;

/// How many places are remembered: enough for some hundred readers in different places.
const PLACES: usize = 4_096;

/// Messages of which it is known what they end with. It only saves questions: without it, a place
/// is found by halving.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The offset behind a message that has records, and its sequence.
    places: BTreeMap<u64, u64>,
    /// In the order in which they came.
    order: VecDeque<u64>,
}

impl Index {
    /// Notes a message with records.
    pub(super) fn note(&mut self, next: u64, sequence: u64) {
        if self.places.insert(next, sequence).is_none() {
            self.order.push_back(next);
        }
        if self.order.len() > PLACES
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }

    /// The sequences between which the message with an offset is, both inclusive, within `first`
    /// and `last`.
    pub(super) fn range(&self, offset: u64, first: u64, last: u64) -> (u64, u64) {
        let before = self.places.range(..=offset).next_back().map_or(first, |(_, at)| at + 1);
        let behind = self.places.range(offset + 1..).next().map_or(last, |(_, at)| *at);
        (before.clamp(first, last), behind.clamp(first, last))
    }
}
