//! Pure: how much of a log is raw, and when which part of it is to be folded.

use std::collections::VecDeque;

/// How many of the newest closed runs stay as they are: what a client that was away for a moment
/// reads.
const KEEP: usize = 4;

/// When to fold, and how much a session may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Closed runs beyond the newest four are folded from so many bytes on. 4 MiB.
    pub bytes: u64,
    /// Or from so many records on. 20,000.
    pub records: u64,
    /// What a session may have: an open run at most all of it, a base at most half. 256 MiB.
    pub most: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 << 20, records: 20_000, most: 256 << 20 }
    }
}

/// A place between runs, and what is raw before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The last offset before it.
    pub offset: u64,
    bytes: u64,
    records: u64,
}

/// What is raw.
#[derive(Debug, Default)]
pub struct Pile {
    all: Mark,
    /// The ends of the newest closed runs, and of one before them.
    closed: VecDeque<Mark>,
}

impl Pile {
    /// A record was added.
    pub fn add(&mut self, offset: u64, bytes: u64) {
        self.all.offset = offset;
        self.all.bytes += bytes;
        self.all.records += 1;
    }

    /// The record that was added last ended a run.
    pub fn close(&mut self) {
        self.closed.push_back(self.all);
        if self.closed.len() > KEEP + 1 {
            self.closed.pop_front();
        }
    }

    /// Whether the run that is open has more than a session may have.
    pub fn is_full(&self, limits: &Limits) -> bool {
        let closed = self.closed.back().map_or(0, |mark| mark.bytes);
        self.all.bytes - closed > limits.most
    }

    /// Up to where to fold now, if anywhere. `base` is the size of what is folded already: it is
    /// written anew each time, so it is not to be for little.
    pub fn due(&self, limits: &Limits, open: bool, base: u64) -> Option<Mark> {
        let old = self.closed.front().filter(|_| self.closed.len() > KEEP);
        let much = |mark: &Mark| {
            mark.bytes >= limits.bytes.max(base / 2) || mark.records >= limits.records
        };
        if let Some(old) = old.copied().filter(much) {
            return Some(old);
        }
        // A few large runs, or what came outside of any, may be too much as well.
        let end = if open { self.closed.back().copied() } else { Some(self.all) };
        end.filter(|end| end.bytes > limits.most / 2)
    }

    /// What was before a mark is folded.
    pub fn folded(&mut self, mark: Mark) {
        self.closed.retain(|closed| closed.offset > mark.offset);
        for left in self.closed.iter_mut().chain([&mut self.all]) {
            left.bytes = left.bytes.saturating_sub(mark.bytes);
            left.records = left.records.saturating_sub(mark.records);
        }
    }
}

#[cfg(test)]
mod tests;
