//! What the writer, the readers and the handles of an open log know of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::tail::Tail;
use crate::{Epoch, Head, Health, LogName, NewRecord, Page, ReadLimit, Recovery, Status};

/// Most damaged records that are told apart; beyond, the count stands still.
const CORRUPT_KNOWN: usize = 65_536;

/// An open log, seen from outside the writer.
#[derive(Debug)]
pub(super) struct Shared {
    /// Its key in the database, never used for another log.
    pub(super) id: i64,
    pub(super) name: LogName,
    pub(super) epoch: Epoch,
    pub(super) recovery: Option<Recovery>,
    pub(super) head: watch::Sender<Head>,
    removed: AtomicBool,
    counts: Mutex<Counts>,
    tail: Mutex<Tail>,
    /// Offsets of damaged records that were met.
    corrupt: Mutex<BTreeSet<u64>>,
}

/// What the writer tells about a log.
#[derive(Clone, Debug)]
struct Counts {
    first: u64,
    next: u64,
    bytes: u64,
    trimmed: u64,
    health: Health,
}

impl Shared {
    pub(super) fn new(
        id: i64,
        name: LogName,
        epoch: Epoch,
        recovery: Option<Recovery>,
        (first, next, bytes): (u64, u64, u64),
    ) -> Self {
        let counts = Counts { first, next, bytes, trimmed: 0, health: Health::Good };
        Self {
            id,
            name,
            epoch,
            recovery,
            head: watch::Sender::new(Head { next, closed: false }),
            removed: AtomicBool::new(false),
            counts: Mutex::new(counts),
            tail: Mutex::default(),
            corrupt: Mutex::default(),
        }
    }

    /// What was committed: records up to `next`, for whoever looks. Followers that wait are woken by
    /// [`Shared::wake`], so that an append is answered before a crowd of them is.
    pub(super) fn show(&self, first: u64, next: u64, bytes: u64) {
        let mut counts = lock(&self.counts);
        (counts.first, counts.next, counts.bytes) = (first, next, bytes);
        counts.health = Health::Good;
        drop(counts);
        self.head.send_if_modified(|head| {
            head.next = next;
            false
        });
    }

    /// Keeps what is about to be shown for followers, if there are any.
    pub(super) fn keep<'a>(&self, first: u64, appended: impl Iterator<Item = &'a NewRecord>) {
        let mut tail = lock(&self.tail);
        match self.head.receiver_count() {
            0 => tail.forget(),
            _ => tail.keep(first, appended),
        }
    }

    /// A page of what was appended last, if that is all it needs.
    pub(super) fn recent(&self, offset: u64, limit: ReadLimit) -> Option<Page> {
        let (first, next) = {
            let counts = lock(&self.counts);
            (counts.first, counts.next)
        };
        lock(&self.tail).page(offset, first, next, limit)
    }

    /// Wakes followers to look at what was shown.
    pub(super) fn wake(&self) {
        self.head.send_modify(|_shown| {});
    }

    /// What was dropped from the beginning.
    pub(super) fn dropped(&self, first: u64, bytes: u64, records: u64) {
        let mut counts = lock(&self.counts);
        (counts.first, counts.bytes) = (first, bytes);
        counts.trimmed += records;
    }

    pub(super) fn degrade(&self, error: &str) {
        lock(&self.counts).health = Health::Degraded { error: error.to_owned() };
    }

    pub(super) fn damaged(&self, offset: u64) {
        let mut corrupt = lock(&self.corrupt);
        if corrupt.len() < CORRUPT_KNOWN {
            corrupt.insert(offset);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.head.borrow().closed
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Takes no batch from now on.
    pub(super) fn close(&self) {
        self.head.send_if_modified(|head| !std::mem::replace(&mut head.closed, true));
    }

    /// Gives no record from now on either.
    pub(super) fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        self.close();
    }

    pub(super) fn status(&self) -> Status {
        let Counts { first, next, bytes, trimmed, health } = lock(&self.counts).clone();
        let corrupt = lock(&self.corrupt).len() as u64;
        Status { first, next, bytes, trimmed, corrupt, health, recovery: self.recovery }
    }
}

/// A panic inside these locks cannot leave a count half changed, so they stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
