//! Pure: which snapshots have been kept for long enough.

use std::time::{Duration, SystemTime};

use super::SnapshotId;

/// How long snapshots are kept, and how many bytes of them. Both count for the whole store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Zero = for ever.
    pub ttl: Duration,
    /// Bytes of all archives; the oldest go first. Zero = no limit.
    pub max_bytes: u64,
}

/// A snapshot as a look at the store finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name, with the time at which it was made.
    pub id: SnapshotId,
    /// Bytes of its archive.
    pub bytes: u64,
}

impl Retention {
    /// When a snapshot is removed for its age.
    pub fn ends(&self, id: &SnapshotId) -> Option<SystemTime> {
        if self.ttl.is_zero() { None } else { id.made().checked_add(self.ttl) }
    }

    /// Those to remove, oldest first.
    pub fn over(&self, mut stored: Vec<Stored>, now: SystemTime) -> Vec<SnapshotId> {
        stored.sort_by(|a, b| a.id.cmp(&b.id));
        let mut bytes: u64 = stored.iter().fold(0, |sum, one| sum.saturating_add(one.bytes));
        let mut over = Vec::new();
        for one in stored {
            let old = self.ends(&one.id).is_some_and(|end| end <= now);
            if old || (self.max_bytes > 0 && bytes > self.max_bytes) {
                bytes = bytes.saturating_sub(one.bytes);
                over.push(one.id);
            }
        }
        over
    }
}

#[cfg(test)]
mod tests;
