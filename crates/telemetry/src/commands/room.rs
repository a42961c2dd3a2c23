//! Memory for the messages of all sessions that are not told yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of all sessions that are being copied or wait for a worker.
pub const IN_FLIGHT_BYTES: usize = 8 * 1024 * 1024;

/// Room of [`IN_FLIGHT_BYTES`] for the messages of a process. Clones are the same room.
#[derive(Clone, Debug, Default)]
pub struct CommandRoom(Arc<AtomicUsize>);

impl CommandRoom {
    pub(super) fn hold(&self) -> Held {
        Held { room: self.clone(), bytes: 0 }
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A part of the room, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    room: CommandRoom,
    bytes: usize,
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes so many bytes more; false if there is not that much room.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let fits = |used: usize| used.checked_add(more).filter(|used| *used <= IN_FLIGHT_BYTES);
        let grown = self.room.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if grown {
            self.bytes += more;
        }
        grown
    }

    /// All of it, to be given back by somebody else.
    pub(super) fn take(&mut self) -> Self {
        Self { room: self.room.clone(), bytes: std::mem::take(&mut self.bytes) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
