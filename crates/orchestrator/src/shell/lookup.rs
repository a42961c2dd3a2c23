//! What the edge needs of a sandbox.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use draingate::Gate;
use telemetry::words::{ContextDetail, StopReason};
use tokio::sync::watch;
use upstream::Upstream;

use super::{Orchestrator, now};
use crate::ids::LifecycleId;
use crate::lifecycle::State;

/// A sandbox that sessions can be opened on, or held for until its browser is ready.
#[derive(Debug, Clone)]
pub struct LiveSandbox {
    /// Its id.
    pub sandbox_id: Arc<str>,
    /// Its present incarnation.
    pub lifecycle_id: LifecycleId,
    /// Where its browser is.
    pub upstream: Upstream,
    /// Each session holds a pass of this gate for as long as it lasts. It begins to drain when the
    /// sandbox leaves for whatever reason.
    pub sessions: Gate,
    /// Why its sessions are to end; set before the gate begins to drain, and never set if the end
    /// began with the browser's own exit.
    pub stop: watch::Receiver<Option<ContextDetail>>,
}

/// Why there is no sandbox to open a session on.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Never heard of, or too long ago.
    #[error("no sandbox with the id `{id}` is known")]
    Unknown {
        /// The id.
        id: String,
    },
    /// It is parked, and has no browser.
    #[error("the sandbox `{id}` is paused; resume it first")]
    Paused {
        /// The id.
        id: String,
    },
    /// It is parked, and the node cannot bring it back now.
    #[error("the sandbox `{id}` is paused and cannot be resumed now: {why}")]
    NotWoken {
        /// The id.
        id: String,
        /// What refused it.
        why: String,
        /// When it may be tried again.
        retry: Duration,
    },
    /// It has ended, or is ending.
    #[error("the sandbox `{id}` has ended: {reason}", reason = reason.as_str())]
    Stopped {
        /// The id.
        id: String,
        /// Why it ended.
        reason: StopReason,
        /// The fact behind the reason.
        detail: String,
        /// When it had ended; absent while it is ending.
        at: Option<SystemTime>,
    },
}

impl fmt::Debug for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LookupError({self})")
    }
}

impl Orchestrator {
    /// Finds the sandbox that a session is to be opened on. Counts as use of it.
    ///
    /// A sandbox that is still being started is found too: its upstream says so.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn live(&self, id: &str) -> Result<LiveSandbox, LookupError> {
        let mut core = self.shared.lock();
        core.registry.touch(id, now());
        self.shared.timer.notify_one();
        let stopped = |stop: &crate::lifecycle::Stop, at| LookupError::Stopped {
            id: id.to_owned(),
            reason: stop.reason,
            detail: stop.detail.clone(),
            at,
        };
        if let Some(sandbox) = core.registry.sandbox(id) {
            return match &sandbox.state {
                State::Requested
                | State::Starting
                | State::Running
                | State::Pausing { .. }
                | State::Checkpointing { .. }
                | State::Resuming { .. } => Ok(sandbox.handle.live()),
                State::Paused { .. } => Err(LookupError::Paused { id: id.to_owned() }),
                State::Stopping(stop) | State::Stopped(stop) => Err(stopped(stop, None)),
            };
        }
        match core.registry.tombstone(id) {
            Some(tomb) => Err(stopped(&tomb.stop, Some(tomb.at.wall))),
            None => Err(LookupError::Unknown { id: id.chars().take(64).collect() }),
        }
    }
}
