//! Changing a sandbox.

use lockkeeper_api::{Mistakes, TimeSpan, UpdateRequest};

use super::{Orchestrator, Snapshot, events, now};
use crate::launch::ttl_mistake;
use crate::registry::{Update, UpdateError};

/// Why a sandbox was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Fields are wrong.
    #[error(transparent)]
    Invalid(#[from] Mistakes),
    /// The sandbox does not allow it.
    #[error(transparent)]
    Refused(#[from] UpdateError),
}

impl Orchestrator {
    /// Changes time to live, idle time or labels: all that is asked for, or nothing.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub fn update(&self, id: &str, request: UpdateRequest) -> Result<Snapshot, ChangeError> {
        let shared = &self.shared;
        let ttl = request.ttl.map(TimeSpan::duration);
        // A longer time to live than the longest is cut to it, counted from ready.
        let endless = ttl.filter(|ttl| ttl.is_zero());
        Mistakes::check(
            endless.and_then(|ttl| ttl_mistake(ttl, shared.config.max_ttl)).into_iter().collect(),
        )?;
        let update = Update {
            ttl,
            only_later: request.only_later,
            idle: request.idle.map(TimeSpan::duration),
            labels: request.labels,
            on_expire: request.on_expire,
            on_drain: request.on_drain,
            auto_resume: request.auto_resume,
        };
        let lifecycle = {
            let mut core = shared.lock();
            core.registry.touch(id, now());
            let changed = core.registry.update(id, update, now())?;
            let Some(sandbox) = core.registry.sandbox(id) else {
                return Err(UpdateError::Unknown(id.to_owned()).into());
            };
            if !changed.is_empty() {
                events::updated(shared, &sandbox.record, &changed);
                shared.record_of(sandbox);
            }
            let lifecycle = sandbox.record.lifecycle.clone();
            if !changed.is_empty() {
                shared.journal_present(&mut core, &lifecycle);
            }
            shared.settled(&mut core);
            lifecycle
        };
        self.snapshot_of(id, &lifecycle).ok_or_else(|| UpdateError::Unknown(id.to_owned()).into())
    }
}
