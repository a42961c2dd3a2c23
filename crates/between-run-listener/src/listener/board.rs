//! What a listener shows of itself, and how it is woken.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::{Counts, GiveUp, Machine, State, Status};

/// Shared between a listener and whoever looks at it. The lock is held only to copy.
#[derive(Debug)]
pub(crate) struct Board {
    status: Mutex<Status>,
    kicked: Notify,
}

impl Board {
    /// For a listener that begins now.
    pub(crate) fn new(generation: u64, now: Instant) -> Self {
        let status = Status {
            generation,
            state: State::Connecting { attempt: 1 },
            since: now,
            failures: 0,
            reason: None,
            last_byte: None,
            last_event: None,
            counts: Counts::default(),
        };
        Self { status: Mutex::new(status), kicked: Notify::new() }
    }

    /// The status as it is now.
    pub(crate) fn status(&self) -> Status {
        *self.lock()
    }

    /// Whether the listener has ended and only its entry is left.
    pub(crate) fn is_final(&self) -> bool {
        self.lock().state.is_final()
    }

    /// Ends a wait. Somebody who does not wait is not kicked later.
    pub(crate) fn kick(&self) {
        let status = self.lock();
        if matches!(status.state, State::Waiting { .. }) {
            self.kicked.notify_one();
        }
    }

    /// Waits for a kick.
    pub(super) async fn kicked(&self) {
        self.kicked.notified().await;
    }

    /// Shows what the machine and the counts say; the status if the state has changed.
    pub(super) fn show(
        &self,
        machine: &Machine,
        counts: Counts,
        last_event: Option<Instant>,
        now: Instant,
    ) -> Option<Status> {
        let mut status = self.lock();
        let changed = status.state != *machine.state();
        if changed {
            // A kick that came too late for the last wait is none for the next.
            let _ = futures_util::FutureExt::now_or_never(self.kicked.notified());
            status.since = now;
        }
        status.state = *machine.state();
        status.failures = machine.failures();
        status.reason = machine.reason();
        status.last_byte = machine.last_byte();
        status.last_event = last_event;
        status.counts = counts;
        changed.then_some(*status)
    }

    /// Shows that the listener failed through a defect of ours.
    pub(crate) fn show_defect(&self, now: Instant) -> Status {
        let mut status = self.lock();
        status.state = State::GaveUp(GiveUp::Internal);
        status.since = now;
        *status
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
