//! Parking a sandbox on request, at the end of its time, or in a shutdown.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use lockkeeper_api::DrainPolicy;
use telemetry::fields;
use telemetry::words::StopReason;

use super::operations::{Outcome, Waiter, ended};
use super::refused::OperationRefused;
use super::repeats::Once;
use super::task::Life;
use super::{Core, Orchestrator, Shared, Snapshot, now};
use crate::driver::{ProfileError, Room};
use crate::ids::LifecycleId;
use crate::lifecycle::{Event, State};

/// How a sandbox is parked or brought back.
#[derive(Debug, Clone, Default)]
pub struct PauseOptions {
    /// Only this incarnation; a newer one is refused and left as it is.
    pub lifecycle: Option<LifecycleId>,
    /// Names the attempt: a repeat within ten minutes gets the first outcome, unless that was a
    /// refusal.
    pub request: Option<String>,
}

/// Why a sandbox is not parked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PauseError {
    /// It was not even begun.
    #[error(transparent)]
    Refused(#[from] OperationRefused),
    /// The profile cannot be kept. The sandbox runs as before.
    #[error(transparent)]
    NoRoom(#[from] RoomRefused),
    /// It failed after the browser was closed. The sandbox runs again, without its sessions.
    #[error("it was not saved: {0}; it is running again, its sessions are lost")]
    NotSaved(String),
    /// It failed after the browser was closed, and the sandbox is gone.
    #[error("it was not saved and is gone ({reason}): {detail}", reason = reason.as_str())]
    Gone {
        /// Why it ended.
        reason: StopReason,
        /// Step and cause.
        detail: String,
    },
    /// The node was stopped by force; the next one on its state folder finishes the save.
    #[error("the node was stopped by force while the sandbox was saved")]
    ForceStopped,
}

/// Why the profile of a sandbox cannot be kept now. The sandbox runs as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomRefused {
    /// The disk is nearly full.
    #[error("{free} MiB are free on the node's disk and {needed} MiB are needed; make room")]
    DiskLow {
        /// Free, in MiB.
        free: u64,
        /// Needed, in MiB: twice the profile, and no less than MIN_FREE_DISK.
        needed: u64,
    },
    /// The driver cannot.
    #[error("this node's driver cannot keep profiles")]
    Unsupported,
    /// Nothing can be written where profiles and records are kept.
    #[error("{0}")]
    Unwritable(String),
}

impl RoomRefused {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DiskLow { .. } => "disk_low",
            Self::Unsupported => "unsupported",
            Self::Unwritable(_) => "store",
        }
    }
}

impl PauseError {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.kind(),
            Self::NoRoom(refused) => refused.kind(),
            Self::NotSaved(_) => "not_saved",
            Self::Gone { .. } => "gone",
            Self::ForceStopped => "force_stopped",
        }
    }
}

impl Orchestrator {
    /// Parks a running sandbox: closes its sessions and its browser, keeps its profile durably, and
    /// ends the rest of it. Allowed while the node drains.
    ///
    /// # Errors
    /// See [`PauseError`]; each says what has become of the sandbox.
    ///
    /// # Cancel safety
    /// A pause that has begun goes on when the future is dropped.
    pub async fn pause(&self, id: &str, options: PauseOptions) -> Result<Snapshot, PauseError> {
        let once = Once {
            id,
            request: options.request.as_deref(),
            among: |core| &mut core.pauses,
            lasts: |outcome| match outcome {
                Ok(_) | Err(PauseError::NotSaved(_) | PauseError::Gone { .. }) => true,
                Err(PauseError::Refused(_) | PauseError::NoRoom(_) | PauseError::ForceStopped) => {
                    false
                }
            },
            cut: || Err(PauseError::ForceStopped),
        };
        let (node, name, pinned) = (self.clone(), id.to_owned(), options.lifecycle.clone());
        let work = async move { node.pause_inner(&name, pinned.as_ref()).await };
        let outcome = self.once(once, work).await;
        if let Err(error) = &outcome {
            tracing::info!({ fields::SANDBOX_ID } = id, %error, kind = error.kind(), "not paused");
        }
        outcome
    }

    async fn pause_inner(
        &self,
        id: &str,
        pinned: Option<&LifecycleId>,
    ) -> Result<Snapshot, PauseError> {
        let shared = &self.shared;
        let lifecycle = Shared::savable(&shared.lock(), id, pinned, "paused")?;
        shared.check_room(&lifecycle).await?;
        let waiter = shared.begin_pause(id, &lifecycle)?;
        match ended(waiter).await {
            Outcome::Done => Ok(self.get(id).ok_or_else(|| OperationRefused::unknown(id))?),
            Outcome::Restored(detail) => Err(PauseError::NotSaved(detail)),
            Outcome::Ending(stop) => {
                Err(PauseError::Gone { reason: stop.reason, detail: stop.detail })
            }
            Outcome::Forced | Outcome::NotStarted(_) | Outcome::TimedOut | Outcome::NoSlot => {
                Err(PauseError::ForceStopped)
            }
        }
    }
}

impl Shared {
    /// The running incarnation of that sandbox; `doing` is what it is asked for.
    pub(super) fn savable(
        core: &Core,
        id: &str,
        pinned: Option<&LifecycleId>,
        doing: &'static str,
    ) -> Result<LifecycleId, OperationRefused> {
        let sandbox = core.present(id)?;
        sandbox.pinned(pinned)?;
        match &sandbox.state {
            State::Running => Ok(sandbox.record.lifecycle.clone()),
            State::Pausing { .. } | State::Checkpointing { .. } | State::Resuming { .. } => {
                Err(sandbox.in_progress())
            }
            State::Requested
            | State::Starting
            | State::Paused { .. }
            | State::Stopping(_)
            | State::Stopped(_) => Err(sandbox.wrong_state("running", doing)),
        }
    }

    /// Everything that can refuse to keep a profile, without an effect.
    pub(super) async fn check_room(&self, lifecycle: &LifecycleId) -> Result<Room, RoomRefused> {
        // A sandbox whose record cannot be written could not be found again.
        self.durable(lifecycle).await.map_err(RoomRefused::Unwritable)?;
        let room = async { self.driver.room(lifecycle.clone()).await };
        // A defect of the driver must not keep a sandbox alive whose time is over.
        let room = AssertUnwindSafe(room).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!({ fields::LIFECYCLE_ID } = %lifecycle, "the driver panicked in room");
            let cause = "the driver panicked".to_owned();
            Err(ProfileError::Disk { doing: "looked at", cause })
        });
        match room {
            Ok(room) => {
                let needed = room.profile.saturating_mul(2).max(self.config.min_free_disk);
                match room.free < needed {
                    true => Err(RoomRefused::DiskLow {
                        free: room.free >> 20,
                        needed: needed.div_ceil(1 << 20),
                    }),
                    false => Ok(room),
                }
            }
            Err(ProfileError::Unsupported) => Err(RoomRefused::Unsupported),
            Err(error) => Err(RoomRefused::Unwritable(error.to_string())),
        }
    }

    /// The sandbox leaves the live ones and its sessions hear why.
    fn begin_pause(&self, id: &str, lifecycle: &LifecycleId) -> Result<Waiter, PauseError> {
        let mut core = self.lock();
        Self::savable(&core, id, Some(lifecycle), "paused")?;
        let sandbox = core.present(id)?;
        Life::began(&sandbox.handle, Some(now().instant));
        let id = sandbox.record.id.clone();
        let waiter = core.operations.join(&id);
        let changes = core.registry.apply(lifecycle, &Event::Pause, now());
        self.tell(&mut core, &changes);
        Ok(waiter)
    }

    /// Parks a sandbox whose time is over, in the background; if that is refused, `else_` happens.
    pub(super) fn park_later(self: &Arc<Self>, lifecycle: LifecycleId, else_: Event) {
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(error) = shared.park_now(&lifecycle).await {
                tracing::warn!({ fields::LIFECYCLE_ID } = %lifecycle, %error, "not parked");
                shared.apply(&lifecycle, &else_);
            }
        });
    }

    /// Parks the sandboxes that are to be there again after the shutdown; the others are waited for.
    pub(super) fn park_for_shutdown(self: &Arc<Self>, core: &Core) {
        let wanted = core.registry.sandboxes().filter(|sandbox| {
            sandbox.state == State::Running
                && sandbox.record.policies.on_drain == DrainPolicy::Pause
        });
        for sandbox in wanted {
            let (shared, lifecycle) = (Arc::clone(self), sandbox.record.lifecycle.clone());
            self.tasks.spawn(async move {
                if let Err(error) = shared.park_now(&lifecycle).await {
                    tracing::warn!({ fields::LIFECYCLE_ID } = %lifecycle, %error, "not parked");
                }
            });
        }
    }

    async fn park_now(&self, lifecycle: &LifecycleId) -> Result<(), PauseError> {
        let id = {
            let core = self.lock();
            let sandbox = core.registry.by_lifecycle(lifecycle);
            sandbox.map(|sandbox| sandbox.record.id.clone())
        };
        let Some(id) = id else { return Ok(()) };
        self.check_room(lifecycle).await?;
        self.begin_pause(id.as_str(), lifecycle).map(drop)
    }
}
