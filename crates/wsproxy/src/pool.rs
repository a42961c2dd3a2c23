//! Buffers that are borrowed while bytes are on their way, and a budget for all sessions together.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Buffers a thread keeps for the next borrower. More than one is in use on a thread only while
/// sessions wait for slow peers; what comes back beyond this goes to the allocator.
const KEPT: usize = 4;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A limit on what the buffers of many sessions take together. Clones share it.
///
/// A session that finds it used up goes on with buffers that hold just one frame that has to be
/// held whole (`Limits::whole_frame_max` and a header, at least 4 KiB). So slow peers of some
/// sessions make the others slower at most, and never wait for each other.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { shared: Arc::new(Shared { limit: bytes, used: AtomicUsize::new(0) }) }
    }

    /// Bytes that are borrowed now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.shared.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> Option<Share> {
        let used = self.shared.used.fetch_add(bytes, Ordering::Relaxed);
        let share = Share { shared: Arc::clone(&self.shared), bytes };
        (used + bytes <= self.shared.limit).then_some(share)
    }
}

/// A part of a budget, given back by its drop.
struct Share {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shared.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A borrowed buffer. Its content is whatever the last borrower left.
pub(crate) struct Lease {
    bytes: Box<[u8]>,
    pooled: bool,
    _share: Option<Share>,
}

impl Lease {
    /// Borrows `full` bytes, or `least` bytes if the budget has not that much left.
    pub(crate) fn take(full: usize, least: usize, budget: Option<&Budget>) -> Self {
        let share = match budget {
            None => None,
            Some(budget) => match budget.take(full) {
                Some(share) => Some(share),
                None => {
                    let bytes = vec![0; least.min(full)].into_boxed_slice();
                    return Self { bytes, pooled: false, _share: None };
                }
            },
        };
        // No pool while the thread ends: a new buffer does.
        let free = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            let found = free.iter().rposition(|bytes| bytes.len() == full)?;
            Some(free.swap_remove(found))
        });
        let bytes = free.ok().flatten().unwrap_or_else(|| vec![0; full].into_boxed_slice());
        Self { bytes, pooled: true, _share: share }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.pooled {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        // While the thread ends there is no pool, and the buffer goes to the allocator.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(bytes);
            }
        });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the content.
        f.debug_struct("Lease").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
