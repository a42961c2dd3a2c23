//! Stop a session from outside: who says so, on whose account it goes, how gently.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

/// On whose account a stopped session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopSide {
    /// The upstream: the socket is healthy, but leads to a browser that has been superseded.
    Upstream,
    /// Neither peer: a drain, a delete, a time to live, a revoked token.
    Context,
}

/// How gently a session is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Go on until no command is outstanding and no data frame passed for `Limits::quiet_for`, at
    /// the latest until `deadline` (on the clock of tokio, `tokio::time::Instant::into_std`); then
    /// like `Soft`.
    Quiet {
        /// The session is stopped then, quiet or not.
        deadline: Instant,
    },
    /// Now, but let both directions reach the end of the message they are in, at most
    /// `Limits::close_grace`.
    Soft,
    /// Now, at the next frame boundary.
    Hard,
}

impl StopMode {
    /// The gentler mode gives way; of two quiet stops the earlier deadline holds.
    fn harder(self, other: Self) -> Self {
        match (self, other) {
            (Self::Quiet { deadline: a }, Self::Quiet { deadline: b }) => {
                Self::Quiet { deadline: a.min(b) }
            }
            (Self::Hard, Self::Quiet { .. } | Self::Soft | Self::Hard)
            | (Self::Quiet { .. } | Self::Soft, Self::Hard) => Self::Hard,
            (Self::Soft, Self::Quiet { .. } | Self::Soft) | (Self::Quiet { .. }, Self::Soft) => {
                Self::Soft
            }
        }
    }
}

/// An order to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// On whose account.
    pub side: StopSide,
    /// How gently.
    pub mode: StopMode,
    /// Who gave the order; becomes part of the verdict.
    pub by: &'static str,
}

/// Makes the two ends of a stop order.
#[must_use]
pub fn stop_channel() -> (Stopper, StopToken) {
    let shared = Arc::new(Shared { version: AtomicU32::new(0), slot: Mutex::default() });
    (Stopper { shared: Arc::clone(&shared) }, StopToken { shared, seen: 0, waker: None })
}

#[derive(Debug)]
struct Shared {
    /// Grows with every change of the order, so that the relay takes no lock while there is none.
    version: AtomicU32,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    stop: Option<Stop>,
    waker: Option<Waker>,
}

/// Gives the order to stop. Clones give orders to the same session; dropping all of them gives none.
#[derive(Debug, Clone)]
pub struct Stopper {
    shared: Arc<Shared>,
}

impl Stopper {
    /// Orders the session to stop and returns whether this was the first order.
    ///
    /// The first order's `side` and `by` are kept. A later one can only make the mode harder or, if
    /// both are quiet, the deadline earlier. Never waits.
    pub fn stop(&self, stop: Stop) -> bool {
        let mut slot = self.shared.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, next) = match slot.stop {
            None => (true, stop),
            Some(was) => (false, Stop { mode: was.mode.harder(stop.mode), ..was }),
        };
        if slot.stop == Some(next) {
            return first;
        }
        slot.stop = Some(next);
        self.shared.version.fetch_add(1, Ordering::Release);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
        first
    }

    /// The order as it stands.
    #[must_use]
    pub fn current(&self) -> Option<Stop> {
        self.shared.slot.lock().unwrap_or_else(PoisonError::into_inner).stop
    }
}

/// Receives the order to stop; goes into one [`Relay`](crate::Relay).
#[derive(Debug)]
pub struct StopToken {
    shared: Arc<Shared>,
    seen: u32,
    /// The waker that is registered, to take the lock only if the task changed.
    waker: Option<Waker>,
}

impl StopToken {
    /// The order if it changed since the last call; otherwise the task is woken when it changes.
    pub(crate) fn poll_changed(&mut self, cx: &Context<'_>) -> Option<Stop> {
        let registered = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if registered && self.shared.version.load(Ordering::Acquire) == self.seen {
            return None;
        }
        let mut slot = self.shared.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.waker = Some(cx.waker().clone());
        self.waker = Some(cx.waker().clone());
        // Under the lock, so a change after this load finds the waker above.
        let version = self.shared.version.load(Ordering::Acquire);
        if version == self.seen {
            return None;
        }
        self.seen = version;
        slot.stop
    }
}

#[cfg(test)]
mod tests;
