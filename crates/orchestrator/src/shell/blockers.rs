//! Who a drain waits for.

use std::time::{Duration, SystemTime};

use lockkeeper_api::SandboxState;

use super::{Core, Orchestrator, now};
use crate::lifecycle::State;
use crate::shell::LifeStep;

/// How much a drain still waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainCounts {
    /// Sandboxes that clients can use.
    pub live: u64,
    /// Starts in flight, queued ones too.
    pub starting: u64,
    /// Sandboxes that are being ended.
    pub stopping: u64,
    /// Open DevTools sessions.
    pub sessions: u64,
    /// Pauses and checkpoints under way.
    pub saves: u64,
}

/// One sandbox that a drain waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: SandboxState,
    /// What is being done with it.
    pub step: LifeStep,
    /// Since it was admitted.
    pub age: Duration,
    /// Open DevTools sessions.
    pub sessions: u64,
    /// When its time to live ends it, from now; absent if nothing will.
    pub expires_in: Option<Duration>,
}

impl Core {
    pub(super) fn drain_counts(&self) -> DrainCounts {
        let tally = self.registry.tally();
        let sessions = self.registry.sandboxes().map(|sandbox| sandbox.handle.session_count());
        DrainCounts {
            live: tally.live,
            starting: tally.starting(),
            stopping: tally.of(SandboxState::Stopping),
            sessions: sessions.sum(),
            saves: tally.of(SandboxState::Pausing)
                + tally.of(SandboxState::Checkpointing)
                + self.registry.saves_pending(),
        }
    }
}

impl Orchestrator {
    /// How much a drain still waits for.
    pub fn drain_counts(&self) -> DrainCounts {
        self.shared.lock().drain_counts()
    }

    /// Who a drain waits for, oldest first.
    pub fn blockers(&self) -> Vec<Blocker> {
        let core = self.shared.lock();
        let now = now().instant;
        let mut all: Vec<_> =
            core.registry.sandboxes().filter(|s| s.occupies(&core.registry)).collect();
        all.sort_by_key(|sandbox| sandbox.record.seq);
        let blocker = |sandbox: &&crate::registry::Sandbox<_>| {
            let record = &sandbox.record;
            let handle: &std::sync::Arc<super::Handles> = &sandbox.handle;
            let ending = sandbox.state.stop().is_some();
            Blocker {
                id: record.id.to_string(),
                state: sandbox.state.word(),
                step: handle.progress.borrow().step,
                age: now.saturating_duration_since(record.created.instant),
                sessions: handle.session_count(),
                expires_in: record
                    .expires
                    .filter(|_| !ending)
                    .map(|at| at.saturating_duration_since(now)),
            }
        };
        all.iter().map(blocker).collect()
    }

    /// When the last sandbox ends by itself; `None` if there is none, or one that nothing will end.
    pub fn last_ends_by(&self) -> Option<SystemTime> {
        let core = self.shared.lock();
        let now = now();
        let mut last = None;
        let parked = |state: &State| matches!(state, State::Paused { .. });
        let lives = core.registry.sandboxes();
        for sandbox in lives.filter(|s| s.state.stop().is_none() && !parked(&s.state)) {
            // What is not ready yet has its whole life before it.
            let left = match (sandbox.record.expires, sandbox.record.ttl) {
                (Some(at), _) => at.saturating_duration_since(now.instant),
                (None, ttl) if ttl.is_zero() => return None,
                (None, ttl) => ttl + self.shared.config.create_timeout,
            };
            last = last.max(Some(left));
        }
        last.and_then(|left| now.wall.checked_add(left))
    }
}
