//! Pure: changes to what was asked for at creation.

use std::collections::BTreeMap;
use std::time::Duration;

use lockkeeper_api::{DrainPolicy, ExpirePolicy, SandboxState};

use super::{Moment, Registry, Timer};
use crate::ids::SandboxId;
use crate::lifecycle::State;

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// Time to live, from now; zero = no limit.
    pub ttl: Option<Duration>,
    /// Refuse to bring the end forward.
    pub only_later: bool,
    /// How long it may be unused; zero = for ever.
    pub idle: Option<Duration>,
    /// Labels to set, or to remove.
    pub labels: BTreeMap<String, Option<String>>,
    /// What follows when its time is over.
    pub on_expire: Option<ExpirePolicy>,
    /// What follows when the node shuts down.
    pub on_drain: Option<DrainPolicy>,
    /// Whether a client that connects brings it back.
    pub auto_resume: Option<bool>,
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// No such sandbox, or it has ended.
    #[error("no sandbox with the id `{0}` is known")]
    Unknown(String),
    /// It is being ended.
    #[error("the sandbox `{id}` is {state}, it can no longer be changed", state = state.as_str())]
    Ending {
        /// Which.
        id: SandboxId,
        /// Where it stands.
        state: SandboxState,
    },
    /// `only_later`, and it would be earlier.
    #[error("the new end is {by:?} before the present one, and `only_later` was asked for")]
    Earlier {
        /// By how much.
        by: Duration,
    },
}

impl<H: Clone> Registry<H> {
    /// Changes everything that is asked for or nothing, and names what has changed.
    ///
    /// # Errors
    /// See [`UpdateError`].
    pub fn update(
        &mut self,
        id: &str,
        update: Update,
        now: Moment,
    ) -> Result<Vec<&'static str>, UpdateError> {
        let max_ttl = self.bounds.max_ttl;
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return Err(UpdateError::Unknown(id.to_owned()));
        };
        match &sandbox.state {
            State::Stopping(_) | State::Stopped(_) => {
                let (id, state) = (sandbox.record.id.clone(), sandbox.state.word());
                return Err(UpdateError::Ending { id, state });
            }
            State::Requested
            | State::Starting
            | State::Running
            | State::Pausing { .. }
            | State::Checkpointing { .. }
            | State::Paused { .. }
            | State::Resuming { .. } => {}
        }
        let record = &mut sandbox.record;
        let mut changed = Vec::new();
        if let Some(ttl) = update.ttl {
            // Before it is ready nothing counts yet: then only the length changes.
            let expires = match record.ready {
                Some(_) if ttl.is_zero() => None,
                Some(ready) => {
                    let wanted = now.instant.checked_add(ttl);
                    let latest = match max_ttl.is_zero() {
                        true => None,
                        false => ready.instant.checked_add(max_ttl),
                    };
                    wanted.map(|at| latest.map_or(at, |latest| at.min(latest)))
                }
                None => record.expires,
            };
            if update.only_later
                && let (Some(old), Some(new)) = (record.expires, expires)
                && new < old
            {
                return Err(UpdateError::Earlier { by: old - new });
            }
            if update.only_later && record.ready.is_none() && ttl < record.ttl && !ttl.is_zero() {
                return Err(UpdateError::Earlier { by: record.ttl - ttl });
            }
            record.ttl = ttl;
            record.expires = expires;
            changed.push("ttl");
        }
        if let Some(idle) = update.idle {
            record.idle = idle;
            sandbox.idle.used(now.instant);
            changed.push("idle");
        }
        if !update.labels.is_empty() {
            for (key, value) in update.labels {
                match value {
                    Some(value) => record.labels.insert(key, value),
                    None => record.labels.remove(&key),
                };
            }
            changed.push("labels");
        }
        if let Some(policy) = update.on_expire {
            record.policies.on_expire = policy;
            changed.push("on_expire");
        }
        if let Some(policy) = update.on_drain {
            record.policies.on_drain = policy;
            changed.push("on_drain");
        }
        if let Some(resume) = update.auto_resume {
            record.policies.auto_resume = resume;
            changed.push("auto_resume");
        }
        let (lifecycle, expires) = (record.lifecycle.clone(), record.expires);
        if sandbox.state == State::Running {
            match expires {
                Some(at) => self.timers.set(Timer::Ttl(lifecycle.clone()), at),
                None => self.timers.clear(&Timer::Ttl(lifecycle.clone())),
            }
            self.arm_idle(&lifecycle);
        }
        Ok(changed)
    }
}
