//! Pure: one queue of deadlines for everything the node waits for.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// Deadlines by key; a key has at most one.
#[derive(Debug)]
pub struct Timers<K> {
    queue: BTreeMap<(Instant, u64), K>,
    places: HashMap<K, (Instant, u64)>,
    sequence: u64,
}

impl<K: Clone + Eq + Hash> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Eq + Hash> Timers<K> {
    /// No deadline.
    pub fn new() -> Self {
        Self { queue: BTreeMap::new(), places: HashMap::new(), sequence: 0 }
    }

    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: K, at: Instant) {
        self.clear(&key);
        self.sequence += 1;
        let place = (at, self.sequence);
        self.places.insert(key.clone(), place);
        self.queue.insert(place, key);
    }

    /// Forgets the deadline of `key`.
    pub fn clear(&mut self, key: &K) {
        if let Some(place) = self.places.remove(key) {
            self.queue.remove(&place);
        }
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes and returns the earliest key whose deadline has come; ties in the order of setting.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        let key = entry.remove();
        self.places.remove(&key);
        Some(key)
    }

    /// How many deadlines are set.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        debug_assert_eq!(self.queue.len(), self.places.len());
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_has_one_deadline_and_the_last_one_counts() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut timers = Timers::new();
        timers.set("a", at(5));
        timers.set("b", at(3));
        timers.set("a", at(1));
        assert_eq!((timers.len(), timers.next()), (2, Some(at(1))));
        assert_eq!(timers.pop_due(at(0)), None);
        assert_eq!(timers.pop_due(at(4)), Some("a"));
        assert_eq!(timers.pop_due(at(4)), Some("b"));
        assert_eq!((timers.pop_due(at(9)), timers.next()), (None, None));
    }

    #[test]
    fn a_cleared_deadline_never_comes() {
        let start = Instant::now();
        let mut timers = Timers::new();
        timers.set("a", start);
        timers.clear(&"a");
        timers.clear(&"b");
        assert_eq!(timers.pop_due(start + Duration::from_secs(9)), None);
    }
}
