//! Buffers that are borrowed while bytes are on their way, and a budget for all sessions together.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Buffers a thread keeps for the next borrower. More than one is in use on a thread only while
/// sessions wait for slow peers; what comes back beyond this goes to the allocator.
const KEPT: usize = 4;

thread_local! {
    static FREE: RefCell<[Option<Box<[u8]>>; KEPT]> = const { RefCell::new([const { None }; KEPT]) };
}

/// A limit on what the buffers of many sessions take together. Clones share it.
///
/// A buffer counts while it waits for a slow peer; what one poll borrows and gives back does not.
/// While the budget is used up, sessions go on with buffers that hold just one frame that has to be
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

    /// Bytes that wait for slow peers now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.shared.used.load(Ordering::Relaxed)
    }

    fn is_used_up(&self) -> bool {
        self.used() >= self.shared.limit
    }
}

/// A borrowed buffer. Its content is whatever the last borrower left.
pub(crate) struct Lease {
    bytes: Box<[u8]>,
    pooled: bool,
    charged: Option<Budget>,
}

impl Lease {
    /// Borrows `full` bytes, or `least` bytes if the budget is used up.
    #[inline]
    pub(crate) fn take(full: usize, least: usize, budget: Option<&Budget>) -> Self {
        if budget.is_some_and(Budget::is_used_up) {
            let bytes = vec![0; least.min(full)].into_boxed_slice();
            return Self { bytes, pooled: false, charged: None };
        }
        // No pool while the thread ends: a new buffer does.
        let free = FREE.try_with(|free| {
            let fits =
                |free: &&mut Option<Box<[u8]>>| free.as_ref().is_some_and(|b| b.len() == full);
            free.borrow_mut().iter_mut().find(fits)?.take()
        });
        let bytes = free.ok().flatten().unwrap_or_else(|| vec![0; full].into_boxed_slice());
        Self { bytes, pooled: true, charged: None }
    }

    /// Counts against the budget from now on, until the buffer is given back.
    pub(crate) fn charge(&mut self, budget: &Budget) {
        if self.charged.is_none() {
            budget.shared.used.fetch_add(self.bytes.len(), Ordering::Relaxed);
            self.charged = Some(budget.clone());
        }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        if let Some(budget) = &self.charged {
            budget.shared.used.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        }
        if !self.pooled {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        // While the thread ends there is no pool, and the buffer goes to the allocator.
        let _ = FREE.try_with(|free| {
            if let Some(place) = free.borrow_mut().iter_mut().find(|place| place.is_none()) {
                *place = Some(bytes);
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
