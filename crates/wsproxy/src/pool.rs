//! Buffers that are borrowed while bytes are on their way, and a budget for all sessions together.

use region::Part;
use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

mod region;

/// Buffers a thread keeps for the next borrower, besides those of its region. More than one is in use
/// on a thread only while sessions wait for slow peers; what comes back beyond this goes to the
/// allocator.
const KEPT: usize = 4;

thread_local! {
    static FREE: RefCell<Free> = const { RefCell::new(Free::new()) };
}

/// What a thread keeps.
struct Free {
    parts: Vec<Part>,
    boxes: [Option<Box<[u8]>>; KEPT],
    /// Made one region, or found that it cannot.
    has_region: bool,
}

impl Free {
    const fn new() -> Self {
        Self { parts: Vec::new(), boxes: [const { None }; KEPT], has_region: false }
    }

    #[inline]
    fn take(&mut self, size: usize) -> Option<Memory> {
        if self.parts.last().is_some_and(|part| part.len() == size) {
            return self.parts.pop().map(Memory::Part);
        }
        self.take_other(size)
    }

    #[inline(never)]
    fn take_other(&mut self, size: usize) -> Option<Memory> {
        if let Some(at) = self.parts.iter().position(|part| part.len() == size) {
            return Some(Memory::Part(self.parts.swap_remove(at)));
        }
        let fits = |free: &&mut Option<Box<[u8]>>| free.as_ref().is_some_and(|b| b.len() == size);
        if let Some(found) = self.boxes.iter_mut().find(fits).and_then(Option::take) {
            return Some(Memory::Box(found));
        }
        if let Some(part) = region::unused(size) {
            return Some(Memory::Part(part));
        }
        if !mem::replace(&mut self.has_region, true) {
            self.parts = region::make(size);
        }
        self.parts.pop().map(Memory::Part)
    }

    #[inline]
    fn give_back(&mut self, memory: Memory) {
        match memory {
            Memory::Part(part) if self.parts.len() < region::REGION / part.len() => {
                self.parts.push(part);
            }
            Memory::Part(part) => region::give_back(part),
            Memory::Box(bytes) => {
                if let Some(place) = self.boxes.iter_mut().find(|place| place.is_none()) {
                    *place = Some(bytes);
                }
            }
        }
    }
}

impl Drop for Free {
    fn drop(&mut self) {
        self.parts.drain(..).for_each(region::give_back);
    }
}

/// A limit on what the buffers of many sessions take together. Clones share it.
///
/// A buffer counts while it waits for a slow peer; what one poll borrows and gives back does not.
/// While the budget is used up, sessions go on with buffers that hold just one frame that has to be
/// held whole (`Limits::whole_frame_max` and a header, at least 4 KiB). So slow peers of some
/// sessions make the others slower at most, and never wait for each other.
///
/// Bytes that pass inside the kernel are not in it: the pipes of all sessions together hold 64 MiB at
/// most.
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

/// Where the bytes of a buffer are.
enum Memory {
    Part(Part),
    Box(Box<[u8]>),
}

impl Memory {
    fn boxed(size: usize) -> Self {
        Self::Box(vec![0; size].into_boxed_slice())
    }
}

/// A borrowed buffer. Its content is whatever the last borrower left.
pub(crate) struct Lease {
    memory: Memory,
    pooled: bool,
    charged: Option<Budget>,
}

impl Lease {
    /// Borrows `full` bytes, or `least` bytes if the budget is used up.
    #[inline]
    pub(crate) fn take(full: usize, least: usize, budget: Option<&Budget>) -> Self {
        if budget.is_some_and(Budget::is_used_up) {
            return Self { memory: Memory::boxed(least.min(full)), pooled: false, charged: None };
        }
        // No pool while the thread ends: a new buffer does.
        let free = FREE.try_with(|free| free.borrow_mut().take(full)).ok().flatten();
        let memory = free.unwrap_or_else(|| Memory::boxed(full));
        Self { memory, pooled: true, charged: None }
    }

    /// Counts against the budget from now on, until the buffer is given back.
    pub(crate) fn charge(&mut self, budget: &Budget) {
        if self.charged.is_none() {
            budget.shared.used.fetch_add(self.bytes().len(), Ordering::Relaxed);
            self.charged = Some(budget.clone());
        }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Part(bytes) => bytes,
            Memory::Box(bytes) => bytes,
        }
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Part(bytes) => bytes,
            Memory::Box(bytes) => bytes,
        }
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        if let Some(budget) = &self.charged {
            budget.shared.used.fetch_sub(self.bytes().len(), Ordering::Relaxed);
        }
        let memory = mem::replace(&mut self.memory, Memory::Part(&mut []));
        if !self.pooled {
            return;
        }
        // While the thread ends there is no pool: a box goes to the allocator.
        let mut memory = Some(memory);
        let kept =
            FREE.try_with(|free| memory.take().map(|memory| free.borrow_mut().give_back(memory)));
        if let (Err(_), Some(Memory::Part(part))) = (kept, memory) {
            region::give_back(part);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the content.
        f.debug_struct("Lease").field("len", &self.bytes().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
