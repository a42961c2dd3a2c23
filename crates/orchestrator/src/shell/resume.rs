//! Bringing a parked sandbox back, on request or because a client connects.

use std::sync::Arc;
use std::time::Duration;

use telemetry::fields;
use telemetry::words::StopReason;
use upstream::Publisher;

use super::handles::Handles;
use super::operations::{Outcome, Waiter, ended};
use super::pool::Waiter as Room;
use super::refused::OperationRefused;
use super::repeats::Once;
use super::task::{Incarnation, Life};
use super::{Core, LiveSandbox, LookupError, Orchestrator, PauseOptions, Shared, Snapshot, now};
use crate::driver::{OnExit, StartError};
use crate::ids::{LifecycleId, random_lifecycle};
use crate::lifecycle::State;
use crate::node::DoorRefusal;
use crate::registry::{AdmitRefusal, Waits};

/// Why a sandbox was not brought back. Unless it has ended it is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// It was not even begun.
    #[error(transparent)]
    Refused(#[from] OperationRefused),
    /// The node takes no new work.
    #[error(transparent)]
    Door(#[from] DoorRefusal),
    /// There is no room.
    #[error(transparent)]
    Admit(#[from] AdmitRefusal),
    /// No start slot became free in time. It is parked as before.
    #[error("no start slot became free in time; try again in {retry:?}")]
    NoSlot {
        /// When one may be free.
        retry: Duration,
    },
    /// It was not ready in time. It is parked as before.
    #[error("the sandbox was not ready within {0:?}; it is paused as before")]
    Timeout(Duration),
    /// Its browser did not start. It is parked as before.
    #[error("{0}; the sandbox is paused as before")]
    StartFailed(String),
    /// Its runner is required and was not ready. It is parked as before.
    #[error("{0}; the sandbox is paused as before")]
    RunnerFailed(String),
    /// The node was stopped by force. It is parked as before.
    #[error("the node was stopped by force before the sandbox was ready; it is paused as before")]
    ForceStopped,
    /// It was deleted meanwhile.
    #[error("the sandbox ended before it was ready ({reason})", reason = reason.as_str())]
    Ended {
        /// Why.
        reason: StopReason,
    },
}

impl ResumeError {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.kind(),
            Self::Door(_) => "door",
            Self::Admit(_) => "admit",
            Self::NoSlot { .. } => "no_slot",
            Self::Timeout(_) => "timeout",
            Self::StartFailed(_) => "start_failed",
            Self::RunnerFailed(_) => "runner_failed",
            Self::ForceStopped => "force_stopped",
            Self::Ended { .. } => "ended",
        }
    }
}

impl Orchestrator {
    /// Starts a parked sandbox again on its profile, and answers when it is ready. Whoever asks
    /// while it is being resumed gets the outcome of that.
    ///
    /// # Errors
    /// See [`ResumeError`].
    ///
    /// # Cancel safety
    /// A resume that has begun goes on when the future is dropped.
    pub async fn resume(&self, id: &str, options: PauseOptions) -> Result<Snapshot, ResumeError> {
        let once = Once {
            id,
            request: options.request.as_deref(),
            among: |core| &mut core.resumes,
            // Whatever else it came to, the sandbox is paused as before.
            lasts: |outcome| matches!(outcome, Ok(_) | Err(ResumeError::Ended { .. })),
            cut: || Err(ResumeError::ForceStopped),
        };
        let (node, name, pinned) = (self.clone(), id.to_owned(), options.lifecycle.clone());
        let work = async move { node.resume_inner(&name, pinned.as_ref()).await };
        let outcome = self.once(once, work).await;
        if let Err(error) = &outcome {
            tracing::info!({ fields::SANDBOX_ID } = id, %error, kind = error.kind(), "not resumed");
        }
        outcome
    }

    async fn resume_inner(
        &self,
        id: &str,
        pinned: Option<&LifecycleId>,
    ) -> Result<Snapshot, ResumeError> {
        let shared = &self.shared;
        let wait = shared.config.queue_timeout;
        let deadline = tokio::time::Instant::from_std(now().instant) + wait;
        let waiter = loop {
            let (room, full) = {
                let mut core = shared.lock();
                match shared.begin_resume(&mut core, id, pinned) {
                    Err(ResumeError::Admit(full @ AdmitRefusal::Full { .. }))
                        if shared.evict_member(&mut core) =>
                    {
                        (Room::new(shared, &mut core), full)
                    }
                    other => break other?,
                }
            };
            // A member of the pool makes room, as it does for a create.
            if !room.place(deadline).await {
                return Err(full.into());
            }
        };
        match ended(waiter).await {
            Outcome::Done => Ok(self.get(id).ok_or_else(|| OperationRefused::unknown(id))?),
            Outcome::NotStarted(detail) if StartError::is_of_runner(&detail) => {
                Err(ResumeError::RunnerFailed(detail))
            }
            Outcome::NotStarted(detail) => Err(ResumeError::StartFailed(detail)),
            Outcome::TimedOut => Err(ResumeError::Timeout(shared.config.create_timeout)),
            Outcome::NoSlot => {
                Err(ResumeError::NoSlot { retry: shared.lock().registry.busy_hint() })
            }
            Outcome::Ending(stop) => Err(ResumeError::Ended { reason: stop.reason }),
            Outcome::Forced | Outcome::Restored(_) => Err(ResumeError::ForceStopped),
        }
    }

    /// Finds the sandbox that a session is to be opened on, and brings it back if it is parked and
    /// allows that: the session is held until its browser is ready. However many connect, it is
    /// brought back once; one that leaves cancels nothing.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn wake(&self, id: &str) -> Result<LiveSandbox, LookupError> {
        match self.live(id) {
            Err(LookupError::Paused { id }) => {
                let shared = &self.shared;
                let mut core = shared.lock();
                let wakes = core.registry.sandbox(&id).is_some_and(|sandbox| {
                    matches!(sandbox.state, State::Paused { .. })
                        && sandbox.record.policies.auto_resume
                });
                if wakes {
                    match shared.begin_resume(&mut core, &id, None) {
                        Ok(_) => {}
                        Err(ResumeError::Door(refusal)) => {
                            return Err(LookupError::NotWoken {
                                id,
                                why: refusal.to_string(),
                                retry: WAKE_AGAIN,
                            });
                        }
                        Err(ResumeError::Admit(
                            ref refusal @ (AdmitRefusal::Full { retry, .. }
                            | AdmitRefusal::Busy { retry, .. }),
                        )) => {
                            return Err(LookupError::NotWoken {
                                id,
                                why: refusal.to_string(),
                                retry,
                            });
                        }
                        Err(error) => {
                            tracing::debug!({ fields::SANDBOX_ID } = id, %error, "not woken");
                        }
                    }
                }
                drop(core);
                self.live(&id)
            }
            other => other,
        }
    }
}

/// When a client of a node that takes no new work may try again, here or at another node.
const WAKE_AGAIN: Duration = Duration::from_secs(5);

impl Shared {
    /// Door, server pass, place and start slot, in this order and in one step. Joins a resume that
    /// is under way.
    fn begin_resume(
        self: &Arc<Self>,
        core: &mut Core,
        id: &str,
        pinned: Option<&LifecycleId>,
    ) -> Result<Waiter, ResumeError> {
        let sandbox = core.present(id)?;
        // Whoever joins a resume may still know the incarnation that was parked.
        if !matches!(sandbox.state, State::Resuming { .. }) {
            sandbox.pinned(pinned)?;
        }
        let sandbox_id = sandbox.record.id.clone();
        match &sandbox.state {
            State::Paused { .. } => {}
            State::Resuming { .. } => return Ok(core.operations.join(&sandbox_id)),
            State::Pausing { .. } | State::Checkpointing { .. } => {
                return Err(sandbox.in_progress().into());
            }
            State::Requested
            | State::Starting
            | State::Running
            | State::Stopping(_)
            | State::Stopped(_) => return Err(sandbox.wrong_state("paused", "resumed").into()),
        }
        let last = Arc::clone(&sandbox.handle);
        let parted = sandbox.record.park.map(|park| park.at.instant);
        core.node.admit()?;
        let pass = self.server_gate.enter_owned().map_err(|_| DoorRefusal::Draining)?;
        let relaunch = last.launch().on_crash() == OnExit::Relaunch;
        let publisher = Publisher::new(relaunch);
        let next = Arc::new(Handles::new(
            sandbox_id.clone(),
            random_lifecycle(),
            State::Resuming { queued: true },
            publisher.upstream(),
            last.launch(),
            self.metrics.as_ref(),
        ));
        Life::began(&next, parted);
        let waits = Waits { queue: self.config.queue_timeout, ready: self.config.create_timeout };
        // Somebody waits for this one, and for no browser of the pool.
        if !waits.queue.is_zero() {
            self.replace_member(core);
        }
        let (lifecycle, handle) = (next.lifecycle.clone(), Arc::clone(&next));
        let changes = core.registry.reenter(id, &lifecycle, handle, waits, now())?;
        let waiter = core.operations.join(&sandbox_id);
        self.tell(core, &changes);
        last.hand_over(Incarnation::new(next, publisher).admitted(pass));
        Ok(waiter)
    }
}
