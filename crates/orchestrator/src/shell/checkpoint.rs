//! Saving a sandbox into the store while it goes on: its browser is closed, its profile written, and
//! another browser started on it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use draingate::OwnedPass;
use futures_util::FutureExt;
use telemetry::fields;
use telemetry::words::StopReason;
use tokio_util::sync::CancellationToken;

use super::operations::{Outcome, Waiter, ended};
use super::pause::{PauseOptions, RoomRefused};
use super::refused::OperationRefused;
use super::repeats::Once;
use super::start::{StartFor, Starting};
use super::task::Life;
use super::{Orchestrator, Shared, Snapshot, now};
use crate::driver::{ProfileId, StopHow};
use crate::ids::LifecycleId;
use crate::lifecycle::{Event, State};
use crate::node::DoorRefusal;
use crate::snapshots::{About, Manifest, SnapshotId, SnapshotStore, StoreError};

/// How long the snapshot of one profile may take to be written: a sandbox is not kept from its
/// clients for longer by a store that hangs.
const SAVE_LIMIT: Duration = Duration::from_secs(5 * 60);

/// A sandbox that was saved, and what was saved of it.
#[derive(Debug, Clone)]
pub struct Checkpointed {
    /// The sandbox, running again as another incarnation.
    pub sandbox: Snapshot,
    /// What others can be made from.
    pub snapshot: Manifest,
}

/// Why a sandbox was not saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It was not even begun.
    #[error(transparent)]
    Refused(#[from] OperationRefused),
    /// The node takes no new work. The sandbox runs as before.
    #[error(transparent)]
    Door(#[from] DoorRefusal),
    /// This node has no store of snapshots.
    #[error("this node keeps no snapshots")]
    NoStore,
    /// No start slot became free in time. The sandbox runs as before.
    #[error("no start slot became free in time; try again in {retry:?}")]
    NoSlot {
        /// When one may be free.
        retry: Duration,
    },
    /// The profile cannot be kept. The sandbox runs as before.
    #[error(transparent)]
    NoRoom(#[from] RoomRefused),
    /// The store takes nothing now. The sandbox runs as before.
    #[error("{0}")]
    Store(StoreError),
    /// It failed after the browser was closed. The sandbox runs again, without its sessions.
    #[error("it was not saved: {0}; it is running again, its sessions are lost")]
    NotSaved(String),
    /// It failed after the browser was closed, and the sandbox is gone.
    #[error("the checkpoint ended the sandbox ({reason}): {detail}", reason = reason.as_str())]
    Gone {
        /// Why it ended.
        reason: StopReason,
        /// Step and cause.
        detail: String,
        /// The snapshot, if it was durable before that.
        snapshot: Option<SnapshotId>,
    },
    /// The node was stopped by force; the next one on its state folder has the sandbox paused.
    #[error("the node was stopped by force while the sandbox was saved; it is paused")]
    ForceStopped,
}

impl CheckpointError {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.kind(),
            Self::Door(_) => "door",
            Self::NoStore => "no_store",
            Self::NoSlot { .. } => "no_slot",
            Self::NoRoom(refused) => refused.kind(),
            Self::Store(error) => error.kind(),
            Self::NotSaved(_) => "not_saved",
            Self::Gone { .. } => "gone",
            Self::ForceStopped => "force_stopped",
        }
    }
}

/// A checkpoint that was let in, for the task of its sandbox.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: SnapshotId,
    store: SnapshotStore,
    /// Set once the snapshot is durable.
    made: Arc<OnceLock<Manifest>>,
    /// A drain waits for it until the sandbox runs again.
    _pass: Arc<OwnedPass>,
}

impl Orchestrator {
    /// Saves a running sandbox into the store and goes on with it as another incarnation: its
    /// sessions are closed, its id, execution and deadlines stay. Answers when the snapshot is
    /// durable and the sandbox is ready again.
    ///
    /// # Errors
    /// See [`CheckpointError`]; each says what has become of the sandbox.
    ///
    /// # Cancel safety
    /// A checkpoint that has begun goes on when the future is dropped.
    pub async fn checkpoint(
        &self,
        id: &str,
        options: PauseOptions,
    ) -> Result<Checkpointed, CheckpointError> {
        let once = Once {
            id,
            request: options.request.as_deref(),
            among: |core| &mut core.checkpoints,
            lasts: |outcome| {
                matches!(
                    outcome,
                    Ok(_) | Err(CheckpointError::NotSaved(_) | CheckpointError::Gone { .. })
                )
            },
            cut: || Err(CheckpointError::ForceStopped),
        };
        let (node, name, pinned) = (self.clone(), id.to_owned(), options.lifecycle.clone());
        let work = async move { node.checkpoint_inner(&name, pinned.as_ref()).await };
        let outcome = self.once(once, work).await;
        if let Err(error) = &outcome {
            tracing::info!({ fields::SANDBOX_ID } = id, %error, kind = error.kind(), "not saved");
        }
        outcome
    }

    async fn checkpoint_inner(
        &self,
        id: &str,
        pinned: Option<&LifecycleId>,
    ) -> Result<Checkpointed, CheckpointError> {
        let shared = &self.shared;
        let (lifecycle, pass) = {
            let core = shared.lock();
            let lifecycle = Shared::savable(&core, id, pinned, "checkpointed")?;
            core.node.admit()?;
            let pass = shared.server_gate.enter_owned().map_err(|_| DoorRefusal::Draining)?;
            (lifecycle, pass)
        };
        let store = shared.config.snapshots.clone().ok_or(CheckpointError::NoStore)?;
        let room = shared.check_room(&lifecycle).await?;
        store.probe(room.profile).await.map_err(CheckpointError::Store)?;
        let (snapshot, made) = (SnapshotId::random(now().wall), Arc::new(OnceLock::new()));
        let job = Job { id: snapshot, store, made: Arc::clone(&made), _pass: Arc::new(pass) };
        let waiter = shared.begin_checkpoint(id, &lifecycle, job).await?;
        let outcome = ended(waiter).await;
        let made = made.get();
        match outcome {
            Outcome::Done => {
                let sandbox = self.get(id).ok_or_else(|| OperationRefused::unknown(id))?;
                match made {
                    Some(snapshot) => Ok(Checkpointed { sandbox, snapshot: snapshot.clone() }),
                    None => Err(CheckpointError::NotSaved("nothing was written".to_owned())),
                }
            }
            Outcome::Restored(detail) => Err(CheckpointError::NotSaved(detail)),
            Outcome::Ending(stop) => Err(CheckpointError::Gone {
                reason: stop.reason,
                detail: stop.detail,
                snapshot: made.map(Manifest::id),
            }),
            Outcome::Forced | Outcome::NotStarted(_) | Outcome::TimedOut | Outcome::NoSlot => {
                Err(CheckpointError::ForceStopped)
            }
        }
    }
}

impl Shared {
    /// The last that can refuse it: a start slot for the browser that is to follow. Then the sandbox
    /// leaves the live ones and its sessions hear why.
    async fn begin_checkpoint(
        &self,
        id: &str,
        lifecycle: &LifecycleId,
        job: Job,
    ) -> Result<Waiter, CheckpointError> {
        let mut tally = self.tally.subscribe();
        let wait = self.config.queue_timeout;
        let deadline = tokio::time::Instant::from_std(now().instant) + wait;
        loop {
            {
                let mut core = self.lock();
                Self::savable(&core, id, Some(lifecycle), "checkpointed")?;
                tally.mark_unchanged();
                if core.registry.take_slot(lifecycle) {
                    let sandbox = core.present(id)?;
                    Life::began(&sandbox.handle, Some(now().instant));
                    sandbox.handle.put_job(job);
                    let id = sandbox.record.id.clone();
                    let waiter = core.operations.join(&id);
                    let changes = core.registry.apply(lifecycle, &Event::Checkpoint, now());
                    self.tell(&mut core, &changes);
                    return Ok(waiter);
                }
            }
            // The sender lives in `self`.
            let freed = tokio::time::timeout_at(deadline, tally.changed()).await;
            if freed.is_err() {
                return Err(CheckpointError::NoSlot { retry: self.lock().registry.busy_hint() });
            }
        }
    }
}

impl Life {
    /// The browser is closed and the profile kept: writes the snapshot, then starts the next
    /// incarnation. What exists at the driver, or why there is no snapshot.
    pub(super) async fn go_on(
        &mut self,
        starting: Starting,
        profile: &ProfileId,
        job: &Job,
    ) -> Result<Starting, (Starting, String)> {
        if !saving(&self.state()) {
            self.settle_cut();
            return Ok(starting);
        }
        let written = self.write_snapshot(profile, job).await;
        if !saving(&self.state()) {
            self.settle_cut();
            return Ok(starting);
        }
        match written {
            Ok(manifest) => {
                self.handles.note_save(|save| {
                    save.bytes = Some(manifest.bytes);
                    save.snapshot = Some(manifest.id());
                });
                // The first and only one to set it.
                let _ = job.made.set(manifest);
            }
            Err(error) => return Err((starting, error)),
        }
        let errors = self.stop_instance(StopHow::Fast).await;
        self.leave_behind(errors);
        let Some(next) = self.renew() else {
            self.settle_cut();
            return Ok(Starting::None);
        };
        self.become_next(next);
        self.handles.step(super::LifeStep::Start);
        let mut starting = self.start(StartFor::Checkpointed(&job.id)).await;
        if let Starting::Failed(first) = &starting {
            tracing::warn!(
                { fields::SANDBOX_ID } = %self.handles.sandbox,
                { fields::LIFECYCLE_ID } = %self.handles.lifecycle,
                error = first,
                "the browser after a checkpoint did not start; it is tried once more"
            );
            // Nothing of the first is left but the profile, which was not changed.
            starting = match self.renew() {
                Some(next) => {
                    self.become_next(next);
                    self.start(StartFor::OnceMore(&job.id, first)).await
                }
                None => Starting::None,
            };
        }
        self.settle_cut();
        Ok(starting)
    }

    /// A forced stop that came in between leaves the sandbox parked, with a profile that is kept.
    fn settle_cut(&self) {
        if self.state() == (State::Paused { save_pending: true }) {
            self.apply(&Event::Saved);
        }
    }

    async fn write_snapshot(&mut self, profile: &ProfileId, job: &Job) -> Result<Manifest, String> {
        let about = {
            let core = self.shared.lock();
            let sandbox = core.registry.by_lifecycle(&self.handles.lifecycle);
            let Some(record) = sandbox.map(|sandbox| &sandbox.record) else {
                return Err("the sandbox has ended".to_owned());
            };
            About {
                sandbox: record.id.to_string(),
                execution: record.execution.as_str().to_owned(),
                lifecycle: record.lifecycle.to_string(),
                template: record.template.to_string(),
                flavour: record.flavour,
                browser: record.browser.product.clone(),
                labels: record.labels.clone(),
                node: self.shared.config.node_id.clone(),
            }
        };
        let (driver, stop) = (Arc::clone(&self.shared.driver), CancellationToken::new());
        let write = |sink| {
            let export = async { driver.export(profile.clone(), sink).await };
            async { panicked(AssertUnwindSafe(export).catch_unwind().await) }
        };
        let mut save = Box::pin(job.store.save(&job.id, about, &stop, write));
        let mut progress = self.handles.progress.subscribe();
        let unwanted = progress.wait_for(|progress| !saving(&progress.state));
        let limit = tokio::time::Instant::from_std(now().instant) + SAVE_LIMIT;
        let cut = tokio::select! {
            outcome = &mut save => return outcome.map_err(|error| error.to_string()),
            never = self.pump() => match never {},
            _ = unwanted => "it is no longer wanted",
            () = tokio::time::sleep_until(limit) => "the store took too long",
        };
        stop.cancel();
        // What hangs is left to itself: it can write nothing any more.
        let grace = self.shared.config.cancel_grace;
        match tokio::time::timeout(grace, save).await {
            Ok(Ok(manifest)) => Ok(manifest),
            Ok(Err(_)) | Err(_) => Err(cut.to_owned()),
        }
    }
}

/// A panic of the driver is an error like any other.
pub(super) fn panicked<T>(
    outcome: Result<Result<T, crate::driver::ProfileError>, Box<dyn std::any::Any + Send>>,
) -> Result<T, crate::driver::ProfileError> {
    outcome.unwrap_or_else(|_| {
        tracing::error!("the driver panicked over an archive");
        let cause = "the driver panicked".to_owned();
        Err(crate::driver::ProfileError::Disk { doing: "archived", cause })
    })
}

/// Whether the checkpoint still goes on.
fn saving(state: &State) -> bool {
    *state == (State::Checkpointing { closed: true })
}
