//! Pure: what is remembered of sandboxes that have ended.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::{Moment, Record};
use crate::ids::SandboxId;
use crate::lifecycle::Stop;

/// A sandbox that has ended.
#[derive(Debug, Clone)]
pub struct Tombstone {
    /// What it was.
    pub record: Record,
    /// Why it ended.
    pub stop: Stop,
    /// When.
    pub at: Moment,
    /// What could not be cleaned up.
    pub cleanup_errors: Vec<String>,
}

/// The latest tombstone of each sandbox id, for a time and up to a number.
#[derive(Debug)]
pub(super) struct Tombs {
    ttl: Duration,
    max: usize,
    by_id: HashMap<SandboxId, Tombstone>,
    order: VecDeque<(Instant, SandboxId, u64)>,
}

impl Tombs {
    pub(super) fn new(ttl: Duration, max: usize) -> Self {
        Self { ttl, max, by_id: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn insert(&mut self, tomb: Tombstone) {
        let key = (tomb.at.instant, tomb.record.id.clone(), tomb.record.seq);
        self.order.push_back(key);
        self.by_id.insert(tomb.record.id.clone(), tomb);
        while self.by_id.len() > self.max {
            self.drop_oldest();
        }
    }

    /// A new sandbox has taken the id.
    pub(super) fn forget(&mut self, id: &SandboxId) {
        self.by_id.remove(id);
    }

    pub(super) fn find(&self, id: &str) -> Option<&Tombstone> {
        self.by_id.get(id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Tombstone> {
        self.by_id.values()
    }

    /// Drops what is too old and says when the next one will be.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        while let Some(ends) = self.next_end() {
            if ends > now {
                return Some(ends);
            }
            self.drop_oldest();
        }
        None
    }

    fn next_end(&self) -> Option<Instant> {
        self.order.front().and_then(|(at, ..)| at.checked_add(self.ttl))
    }

    fn drop_oldest(&mut self) {
        if let Some((_, id, seq)) = self.order.pop_front()
            && self.by_id.get(&id).is_some_and(|tomb| tomb.record.seq == seq)
        {
            self.by_id.remove(&id);
        }
    }
}
