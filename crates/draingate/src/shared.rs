//! What a keeper, its gates, passes and waits share: one atomic word and what is off the hot path.
//!
//! The word holds the whole truth: the top bit says that the drain began, the rest counts the
//! passes inside. It moves only along these arrows, so "begun and nobody inside" is final:
//!
//! ```text
//! open, n  --admit-->   open, n + 1          draining, n  --admit-->  refused, word unchanged
//! open, n  --release--> open, n - 1          draining, n  --release--> draining, n - 1
//! open, n  --begin-->   draining, n          draining, n  --begin-->   unchanged
//! ```

use std::{collections::BTreeMap, task::Waker, time::Instant};

use crate::{
    gate::Draining,
    report::{DrainReport, Holder, Label, State},
    sync::{AtomicU64, Mutex, Ordering, lock},
};

/// Set once, by the drain, and never cleared.
const DRAINING: u64 = 1 << 63;

/// As many passes as one gate admits at a time. Far above any use, far below the flag: only a loop
/// that forgets passes gets here, and it is told so before the count can reach the flag.
const MAX_INSIDE: u64 = 1 << 31;

/// The states one can wait for. Both are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The drain has begun.
    Begun,
    /// The drain has begun and nobody is inside.
    Drained,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    word: AtomicU64,
    refused: AtomicU64,
    for_begun: Waiters,
    for_drained: Waiters,
    holders: Mutex<Holders>,
}

impl Shared {
    /// Counts one in, unless the drain has begun.
    #[inline]
    pub(crate) fn admit(&self) -> Result<(), Draining> {
        // Acquire, here and below, is for the refusal: whatever the drainer wrote before it began
        // is visible to whoever is refused. Without it a refused caller could read the old
        // "where to go instead".
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            // One comparison for both rare cases, because the flag is above the limit.
            if word >= MAX_INSIDE {
                return self.turn_away(word);
            }
            // A compare-and-swap and not add-then-undo: a refused admit that showed itself for a
            // moment would let a waiter see "drained", and the next one "not drained".
            // Relaxed on success: an admitted holder is promised nothing about earlier holders,
            // and a stale word cannot pass for a current one, since the swap compares with the
            // newest value and the flag is never cleared.
            match self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(()),
                Err(newer) => word = newer,
            }
        }
    }

    /// Counts one out.
    #[inline]
    pub(crate) fn release(&self) {
        // Release: what the holder did comes before "drained" for whoever sees it. Without it the
        // drainer could delete a directory while a holder's last write is still on its way.
        // Later admits and releases are read-modify-writes too and so carry every earlier
        // holder's release on to the final value.
        let before = self.word.fetch_sub(1, Ordering::Release);
        debug_assert!(before & !DRAINING > 0, "more passes released than admitted");
        if before == DRAINING | 1 {
            self.wake_drained();
        }
    }

    /// Begins the drain; true to the one caller that did.
    pub(crate) fn begin(&self) -> bool {
        // Release: pairs with the acquire of a refused admit and of a wait for `Begun`, which may
        // then rely on what the drainer wrote before.
        let before = self.word.fetch_or(DRAINING, Ordering::Release);
        if before & DRAINING != 0 {
            return false;
        }
        self.for_begun.wake_all();
        if before == 0 {
            // Nobody is inside, so no release will come that could say so.
            self.for_drained.wake_all();
        }
        true
    }

    #[inline]
    pub(crate) fn reached(&self, goal: Goal) -> bool {
        // Acquire: the other half of the releases above.
        let word = self.word.load(Ordering::Acquire);
        match goal {
            Goal::Begun => word & DRAINING != 0,
            Goal::Drained => word == DRAINING,
        }
    }

    pub(crate) fn waiters(&self, goal: Goal) -> &Waiters {
        match goal {
            Goal::Begun => &self.for_begun,
            Goal::Drained => &self.for_drained,
        }
    }

    /// Counts one in and writes it into the table; the key is for [`Shared::release_labelled`].
    pub(crate) fn admit_labelled(&self, label: Label, since: Instant) -> Result<u64, Draining> {
        // The table is held over the count, so that a report never counts a labelled pass that it
        // cannot name.
        let mut holders = lock(&self.holders);
        self.admit()?;
        let key = holders.next;
        holders.next += 1;
        holders.inside.insert(key, (label, since));
        Ok(key)
    }

    /// Takes one out of the table and counts it out.
    pub(crate) fn release_labelled(&self, key: u64) {
        let mut holders = lock(&self.holders);
        holders.inside.remove(&key);
        // As in `release`, with the table held for the same reason as in `admit_labelled`; the
        // wake-up comes after, because a woken task may run at once and ask for a report.
        let before = self.word.fetch_sub(1, Ordering::Release);
        drop(holders);
        debug_assert!(before & !DRAINING > 0, "more passes released than admitted");
        if before == DRAINING | 1 {
            self.wake_drained();
        }
    }

    pub(crate) fn report(&self, now: Instant) -> DrainReport {
        let holders = lock(&self.holders);
        let word = self.word.load(Ordering::Acquire);
        let mut named: Vec<Holder> = holders
            .inside
            .values()
            .map(|(label, since)| Holder {
                label: label.clone(),
                age: now.saturating_duration_since(*since),
            })
            .collect();
        drop(holders);
        named.sort_by_key(|holder| std::cmp::Reverse(holder.age));
        let inside = word & !DRAINING;
        DrainReport {
            state: match (word & DRAINING != 0, inside) {
                (false, _) => State::Open,
                (true, 0) => State::Drained,
                (true, _) => State::Draining,
            },
            inside,
            unlabelled: inside - named.len() as u64,
            holders: named,
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    #[cold]
    fn turn_away(&self, word: u64) -> Result<(), Draining> {
        assert!(
            word & DRAINING != 0,
            "a gate admits at most 2^31 passes at a time: passes are being forgotten"
        );
        // Relaxed: a figure for people, nothing is decided by it.
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Draining)
    }

    #[cold]
    fn wake_drained(&self) {
        self.for_drained.wake_all();
    }
}

#[derive(Debug, Default)]
struct Holders {
    next: u64,
    inside: BTreeMap<u64, (Label, Instant)>,
}

/// Who waits for one goal.
///
/// A wait registers, then looks at the word once more; the waker of all changes the word, then
/// takes the list. Either the list had the wait already, or the lock hands the changed word to
/// that second look: no wake-up is lost. Wakers are cloned, dropped and called outside the lock,
/// because each can run the code of some executor, which may drop a pass or a wait in turn.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    list: Mutex<WaitList>,
}

#[derive(Debug, Default)]
struct WaitList {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Waiters {
    /// Puts `waker` in the list, in the place of this wait's earlier one if there is one.
    pub(crate) fn register(&self, ticket: &mut Option<u64>, waker: &Waker) {
        let waker = waker.clone();
        let mut list = lock(&self.list);
        let ticket = *ticket.get_or_insert_with(|| {
            let next = list.next;
            list.next += 1;
            next
        });
        let earlier = list.wakers.insert(ticket, waker);
        drop(list);
        drop(earlier);
    }

    /// Takes a wait that is dropped out of the list.
    pub(crate) fn forget(&self, ticket: u64) {
        let mut list = lock(&self.list);
        let waker = list.wakers.remove(&ticket);
        drop(list);
        drop(waker);
    }

    fn wake_all(&self) {
        let mut list = lock(&self.list);
        let wakers = std::mem::take(&mut list.wakers);
        drop(list);
        for waker in wakers.into_values() {
            waker.wake();
        }
    }
}

#[cfg(all(test, not(draingate_loom)))]
mod tests;
