//! From a request to a ready sandbox.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use draingate::OwnedPass;
use lockkeeper_api::CreateRequest;
use telemetry::fields;
use telemetry::words::{CreateRefused, StopReason};
use upstream::Publisher;

use super::handles::Handles;
use super::pool::Waiter;
use super::task::{Incarnation, Life};
use super::{Orchestrator, Shared, Snapshot, SnapshotError, events, now};
use crate::driver::{OnExit, StartError};
use crate::ids::{ExecutionId, LifecycleId, SandboxId, random_lifecycle};
use crate::launch::{Plan, PlanError};
use crate::lifecycle::{Event, State, Stop};
use crate::node::DoorRefusal;
use crate::records::Launch;
use crate::registry::{Admission, AdmitRefusal, NewSandbox, Waits};
use crate::snapshots::{Manifest, StoreError};

/// Why there is no new sandbox. None of these leaves anything behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The request itself.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The node takes no new work.
    #[error(transparent)]
    Door(#[from] DoorRefusal),
    /// There is no such snapshot, or it cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// This sandbox cannot begin with that snapshot.
    #[error("{0}")]
    Misfit(String),
    /// The disk is nearly full.
    #[error(
        "{free} MiB are free on the node's disk and a create needs {needed} MiB; make room, or \
         lower MIN_FREE_DISK"
    )]
    DiskLow {
        /// Free, in MiB.
        free: u64,
        /// The setting, in MiB.
        needed: u64,
    },
    /// The id is in use, or there is no room.
    #[error(transparent)]
    Admit(#[from] AdmitRefusal),
    /// No start slot became free in time.
    #[error("no start slot became free within {waited:?}; try again in {retry:?}, or another node")]
    QueueTimeout {
        /// How long it waited.
        waited: Duration,
        /// When one may be free.
        retry: Duration,
    },
    /// It was deleted before it was ready.
    #[error("the sandbox was deleted before it was ready ({0})")]
    Deleted(String),
    /// It was not ready in time.
    #[error("the sandbox was not ready within {0:?}")]
    Timeout(Duration),
    /// The browser did not start.
    #[error("{0}")]
    StartFailed(String),
    /// Its runner is required and was not ready.
    #[error("{0}")]
    RunnerFailed(String),
    /// The node was told to stop everything at once.
    #[error("the node was stopped by force before the sandbox was ready; use another node")]
    ForceStopped,
}

impl CreateError {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Plan(PlanError::Invalid(_)) => "bad_request",
            Self::Plan(PlanError::UnknownTemplate { .. }) => "unknown_template",
            Self::Plan(PlanError::Unsupported { .. }) => "unsupported",
            Self::Plan(PlanError::NoCpuLimit { .. }) => "unsupported",
            Self::Door(_) => "door",
            Self::Snapshot(error) => error.kind(),
            Self::Misfit(_) => "misfit",
            Self::DiskLow { .. } => "disk_low",
            Self::Admit(AdmitRefusal::Exists { .. }) => "exists",
            Self::Admit(AdmitRefusal::Full { .. }) => "full",
            Self::Admit(AdmitRefusal::Busy { .. }) | Self::QueueTimeout { .. } => "busy",
            Self::Deleted(_) => "deleted",
            Self::Timeout(_) => "start_timeout",
            Self::StartFailed(_) => "start_failed",
            Self::RunnerFailed(_) => "runner_failed",
            Self::ForceStopped => "force_stopped",
        }
    }

    fn refused_word(&self) -> Option<CreateRefused> {
        match self {
            Self::Plan(_)
            | Self::Misfit(_)
            | Self::Snapshot(SnapshotError::NoStore)
            | Self::Snapshot(SnapshotError::Store(StoreError::NotFound(_)))
            | Self::Admit(AdmitRefusal::Exists { .. }) => Some(CreateRefused::BadRequest),
            Self::Door(_) | Self::ForceStopped => Some(CreateRefused::Draining),
            Self::Admit(AdmitRefusal::Full { .. }) | Self::DiskLow { .. } => {
                Some(CreateRefused::NoCapacity)
            }
            Self::Admit(AdmitRefusal::Busy { .. }) | Self::QueueTimeout { .. } => {
                Some(CreateRefused::Busy)
            }
            Self::Timeout(_) | Self::StartFailed(_) | Self::RunnerFailed(_) | Self::Snapshot(_) => {
                Some(CreateRefused::DriverError)
            }
            Self::Deleted(_) => None,
        }
    }
}

impl Orchestrator {
    /// Creates a sandbox and answers when it is ready.
    ///
    /// What is admitted is not failed by a drain that begins afterwards: the drain waits for it.
    ///
    /// # Errors
    /// See [`CreateError`].
    ///
    /// # Cancel safety
    /// Dropping the future means that the client is gone. With an id of the client's own the start
    /// goes on; with an id that the node made, and nobody knows, it is undone.
    pub async fn create(&self, request: CreateRequest) -> Result<Snapshot, CreateError> {
        let shared = &self.shared;
        let asked = now();
        let id = request.id.clone();
        let outcome = self.create_inner(request).await;
        if let Err(error) = &outcome {
            tracing::info!(
                { fields::SANDBOX_ID } = id.as_deref(),
                error = %error,
                kind = error.kind(),
                "create refused"
            );
            if let Some(word) = error.refused_word() {
                let waited = match error {
                    CreateError::QueueTimeout { waited, .. } => *waited,
                    _ => Duration::ZERO,
                };
                // An id that is no id is not put into events.
                let id = id.as_deref().filter(|id| id.parse::<SandboxId>().is_ok());
                events::refused(shared, id, word, waited);
            }
        }
        tracing::debug!(took = ?now().instant.duration_since(asked.instant), "create answered");
        outcome
    }

    async fn create_inner(&self, request: CreateRequest) -> Result<Snapshot, CreateError> {
        let shared = &self.shared;
        let (plan, restore) = shared.plan(request).await?;
        let mut misfit = None;
        let (id, lifecycle) = match self.enter(plan, restore).await? {
            Admitted::Waiting(handles) => {
                let mut client = Client { shared, handles: &handles, leaves: !handles.id_is_known };
                let mut progress = handles.progress.subscribe();
                let over = |state: &State| !matches!(state, State::Requested | State::Starting);
                // The sender lives in `handles`, so the wait ends with a state.
                let _ = progress.wait_for(|progress| over(&progress.state)).await;
                client.leaves = false;
                misfit = handles.misfit.get().cloned();
                (handles.sandbox.clone(), handles.lifecycle.clone())
            }
            Admitted::Ended(id, lifecycle) => (id, lifecycle),
            Admitted::Evicting(_, full) => return Err(full.into()),
        };
        let Some(snapshot) = self.snapshot_of(id.as_str(), &lifecycle) else {
            return Err(CreateError::Deleted("it has ended".to_owned()));
        };
        if let Some(why) = misfit {
            return Err(CreateError::Misfit(why));
        }
        match snapshot.state().stop() {
            // It was ready; if it has ended since, the answer says so.
            _ if snapshot.record().ready.is_some() => Ok(snapshot),
            Some(stop) => Err(shared.create_error(stop, &snapshot)),
            None => Ok(snapshot),
        }
    }
}

impl Orchestrator {
    /// Gets in, as soon as a member of the pool has made room if that is what it takes.
    async fn enter(
        &self,
        plan: Plan,
        restore: Option<Manifest>,
    ) -> Result<Admitted<'_>, CreateError> {
        let deadline = tokio::time::Instant::from_std(now().instant) + plan.queue_timeout;
        let mut pass = None;
        loop {
            match self.shared.admit(&plan, restore.as_ref(), &mut pass)? {
                Admitted::Evicting(waiter, full) => {
                    if !waiter.place(deadline).await {
                        return Err(full.into());
                    }
                }
                admitted => return Ok(admitted),
            }
        }
    }
}

/// What a create found when it was let in.
enum Admitted<'a> {
    /// A start that it now waits for, its own or, for a repeat, the first one.
    Waiting(Arc<Handles>),
    /// A repeat of a create that is over.
    Ended(SandboxId, LifecycleId),
    /// A member of the pool was told to make room; what is said if that takes too long.
    Evicting(Waiter<'a>, AdmitRefusal),
}

/// A client that waits for its sandbox.
struct Client<'a> {
    shared: &'a Arc<Shared>,
    handles: &'a Arc<Handles>,
    /// Whether its going away undoes the start, if no other waits for it.
    leaves: bool,
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        let (handles, leaves) = (self.handles, self.leaves);
        // Under the lock: a repeat that joins at this moment is counted before or after, not lost.
        self.shared.change(|registry, now| {
            let others = handles.clients.fetch_sub(1, Ordering::Relaxed) - 1;
            match leaves && others == 0 {
                true => registry.apply(&handles.lifecycle, &Event::Abandoned, now),
                false => Vec::new(),
            }
        });
    }
}

impl Shared {
    /// Door, server pass, id, and then a member of the pool, or capacity and start slot: in this
    /// order and in one step; then the task that the pass moves into. A pass that is brought stands
    /// for the door: what was let in once is not asked again.
    fn admit(
        self: &Arc<Self>,
        plan: &Plan,
        restore: Option<&Manifest>,
        pass: &mut Option<OwnedPass>,
    ) -> Result<Admitted<'_>, CreateError> {
        let new = NewSandbox {
            id: plan.id.clone().unwrap_or_else(SandboxId::random),
            lifecycle: random_lifecycle(),
            execution: ExecutionId::random(),
            template: plan.template.clone(),
            flavour: plan.flavour,
            labels: plan.labels.clone(),
            ttl: plan.ttl,
            idle: plan.idle,
            policies: plan.policies,
            waits: Waits { queue: plan.queue_timeout, ready: self.config.create_timeout },
        };
        let (id, lifecycle) = (new.id.clone(), new.lifecycle.clone());
        // A look at the disk is no work for inside the lock.
        let disk = self.check_disk(restore);
        let mut core = self.lock();
        let now = now();
        if let Some((id, first)) = plan.request_id.as_deref().and_then(|id| core.made_by(id)) {
            // A repeat is no new work: it gets the first outcome, whatever the door says.
            return Ok(match core.registry.by_lifecycle(&first) {
                Some(sandbox) => {
                    sandbox.handle.clients.fetch_add(1, Ordering::Relaxed);
                    Admitted::Waiting(Arc::clone(&sandbox.handle))
                }
                None => Admitted::Ended(id, first),
            });
        }
        let entered = match pass.take() {
            Some(pass) => pass,
            None => {
                core.node.admit()?;
                self.server_gate.enter_owned().map_err(|_| DoorRefusal::Draining)?
            }
        };
        disk?;
        let launch = plan.launch_spec(lifecycle.clone(), &self.config);
        let known = plan.id.is_some();
        // One of the pool has a profile already.
        if restore.is_none()
            && let Some(handles) = self.hand_out(&mut core, &new, &launch, known, now)?
        {
            if let Some(request) = plan.request_id.clone() {
                core.note_request(request, &handles);
            }
            handles.clients.fetch_add(1, Ordering::Relaxed);
            return Ok(Admitted::Waiting(handles));
        }
        match core.registry.may_admit(&new, now.instant) {
            Err(full @ AdmitRefusal::Full { .. }) if self.evict_member(&mut core) => {
                *pass = Some(entered);
                return Ok(Admitted::Evicting(Waiter::new(self, &mut core), full));
            }
            other => other?,
        };
        let publisher = Publisher::new(plan.on_crash == OnExit::Relaunch);
        let metrics = self.metrics.as_ref();
        let upstream = publisher.upstream();
        let launch = Launch::of(&launch);
        let mut handles = Handles::new(id, lifecycle, State::Requested, upstream, launch, metrics);
        handles.restore = restore.cloned();
        handles.id_is_known = plan.id.is_some();
        let handles = Arc::new(handles);
        if core.registry.admit(new, Arc::clone(&handles), now)? == Admission::Starting {
            handles.progress.send_modify(|progress| progress.state = State::Starting);
            handles.count(&State::Starting);
            if let Some(sandbox) = core.registry.by_lifecycle(&handles.lifecycle) {
                events::created(self, &sandbox.record);
            }
        }
        if let Some(sandbox) = core.registry.by_lifecycle(&handles.lifecycle) {
            self.record_of(sandbox);
        }
        self.journal_present(&mut core, &handles.lifecycle);
        if let Some(request) = plan.request_id.clone() {
            core.note_request(request, &handles);
        }
        handles.clients.fetch_add(1, Ordering::Relaxed);
        self.settled(&mut core);
        drop(core);
        let life = Life::new(Arc::clone(self), Incarnation::new(Arc::clone(&handles), publisher));
        self.tasks.spawn(life.run(Some(entered)));
        Ok(Admitted::Waiting(handles))
    }

    fn check_disk(&self, restore: Option<&Manifest>) -> Result<(), CreateError> {
        let unpacked = restore.map_or(0, |manifest| manifest.unpacked);
        let needed = self.config.min_free_disk.saturating_add(unpacked);
        match self.driver.free_disk().filter(|free| *free < needed) {
            Some(free) => Err(CreateError::DiskLow { free: free >> 20, needed: needed >> 20 }),
            None => Ok(()),
        }
    }

    /// What a start that came to nothing means to the client that waits for it.
    fn create_error(&self, stop: &Stop, snapshot: &Snapshot) -> CreateError {
        match stop.reason {
            // The client is still here, so it was not its leaving that cancelled the start.
            StopReason::StartCancelled => {
                let (waited, retry) = (snapshot.age(), self.lock().registry.busy_hint());
                CreateError::QueueTimeout { waited, retry }
            }
            StopReason::Request => CreateError::Deleted(stop.detail.clone()),
            StopReason::StartTimeout => CreateError::Timeout(self.config.create_timeout),
            StopReason::NodeDrain | StopReason::ForceStop => CreateError::ForceStopped,
            StopReason::StartFailed if StartError::is_of_runner(&stop.detail) => {
                CreateError::RunnerFailed(stop.detail.clone())
            }
            StopReason::StartFailed
            | StopReason::Oom
            | StopReason::BrowserClosed
            | StopReason::BrowserCrashed
            | StopReason::BrowserGaveUp
            | StopReason::RunnerExited
            | StopReason::RunFinished
            | StopReason::Ttl
            | StopReason::Idle
            | StopReason::PauseFailed
            | StopReason::CheckpointFailed
            | StopReason::NodeRestart => CreateError::StartFailed(stop.detail.clone()),
        }
    }
}
