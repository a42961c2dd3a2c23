//! How one incarnation is reached from outside its task.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use draingate::{Gate, Keeper};
use telemetry::metrics::StateGauge;
use telemetry::words::{ContextDetail, StopReason};
use tokio::sync::watch;
use upstream::{Cause, Upstream};

use super::checkpoint::Job;
use super::events::state_word;
use super::lookup::LiveSandbox;
use super::task::Incarnation;
use crate::driver::StopHow;
use crate::ids::{LifecycleId, SandboxId};
use crate::lifecycle::{State, Stop};
use crate::metrics::Metrics;
use crate::records::Launch;
use crate::snapshots::{Manifest, SnapshotId};

/// What an incarnation's task is doing: named when it hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifeStep {
    /// It waits for a start slot.
    Queue,
    /// Its browser is being started.
    Start,
    /// Its browser runs.
    Serve,
    /// Its sessions are being closed.
    Sessions,
    /// Its browser is being stopped and its files removed.
    Stop,
    /// Its files could not be removed; it will be tried again.
    Retry,
    /// Its browser is being closed and its profile kept.
    Save,
    /// It is parked.
    Parked,
}

impl fmt::Display for LifeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "waiting for a start slot",
            Self::Start => "starting the browser",
            Self::Serve => "serving",
            Self::Sessions => "closing sessions",
            Self::Stop => "stopping the browser",
            Self::Retry => "removing files again",
            Self::Save => "keeping the profile",
            Self::Parked => "parked",
        })
    }
}

/// What waiters and the task itself follow.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub(super) state: State,
    pub(super) step: LifeStep,
    /// Every process of it has been proven dead.
    pub(super) dead: bool,
}

/// Facts about its end, for the last event.
#[derive(Debug, Clone, Default)]
pub(super) struct EndFacts {
    pub(super) exit: Option<Cause>,
    pub(super) cleanup: Duration,
    pub(super) cleanup_errors: u64,
}

#[derive(Debug)]
pub(super) struct Handles {
    pub(super) sandbox: SandboxId,
    pub(super) lifecycle: LifecycleId,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) upstream: Upstream,
    pub(super) sessions: Keeper,
    pub(super) gate: Gate,
    detail: watch::Sender<Option<ContextDetail>>,
    /// Whether the client chose its id, so that it can find it again.
    pub(super) id_is_known: bool,
    /// Clients that wait for it to be ready. Changed under the lock only.
    pub(super) clients: AtomicU64,
    /// Sessions have been told why they end. The gate may be closed before.
    sessions_told: AtomicBool,
    sessions_cut: AtomicU64,
    end: Mutex<EndFacts>,
    end_told: AtomicBool,
    gauge: Mutex<Option<StateGauge>>,
    /// How its browser is started, for its record.
    launch: Mutex<Launch>,
    /// The incarnation after it, until its task goes on as that one.
    successor: Mutex<Option<Incarnation>>,
    save: Mutex<SaveFacts>,
    /// The checkpoint that was let in.
    job: Mutex<Option<Job>>,
    /// What its first browser begins with.
    pub(super) restore: Option<Manifest>,
    /// Why its browser cannot begin with that.
    pub(super) misfit: OnceLock<String>,
}

/// Facts about the operation that parks it or brings it back, for its event.
#[derive(Debug, Clone, Default)]
pub(super) struct SaveFacts {
    /// When the operation began.
    pub(super) began: Option<Instant>,
    /// When it could no longer be used.
    pub(super) parted: Option<Instant>,
    /// Bytes kept.
    pub(super) bytes: Option<u64>,
    /// The snapshot that was made.
    pub(super) snapshot: Option<SnapshotId>,
}

impl Handles {
    pub(super) fn new(
        sandbox: SandboxId,
        lifecycle: LifecycleId,
        state: State,
        upstream: Upstream,
        launch: Launch,
        metrics: Option<&Metrics>,
    ) -> Self {
        let gauge = metrics.map(|metrics| metrics.sandboxes.sandbox(state_word(&state)));
        let sessions = Keeper::new();
        Self {
            sandbox,
            lifecycle,
            progress: watch::Sender::new(Progress { state, step: LifeStep::Queue, dead: false }),
            upstream,
            gate: sessions.gate(),
            sessions,
            detail: watch::Sender::new(None),
            id_is_known: false,
            clients: AtomicU64::new(0),
            sessions_told: AtomicBool::new(false),
            sessions_cut: AtomicU64::new(0),
            end: Mutex::new(EndFacts::default()),
            end_told: AtomicBool::new(false),
            gauge: Mutex::new(gauge),
            launch: Mutex::new(launch),
            successor: Mutex::default(),
            save: Mutex::default(),
            job: Mutex::default(),
            restore: None,
            misfit: OnceLock::new(),
        }
    }

    /// How its browser is started, now and in later incarnations.
    pub(super) fn launch(&self) -> Launch {
        lock(&self.launch).clone()
    }

    /// Its browser was started with other switches, and its next ones are too.
    pub(super) fn note_switches(&self, flags: Vec<String>) {
        lock(&self.launch).set_flags(flags);
    }

    pub(super) fn live(&self) -> LiveSandbox {
        LiveSandbox {
            sandbox_id: self.sandbox.shared(),
            lifecycle_id: self.lifecycle.clone(),
            upstream: self.upstream.clone(),
            sessions: self.gate.clone(),
            stop: self.detail.subscribe(),
        }
    }

    /// Moves the gauge of states; what has ended is in none.
    pub(super) fn count(&self, state: &State) {
        let mut gauge = lock(&self.gauge);
        match state {
            State::Stopped(_) => *gauge = None,
            State::Requested
            | State::Starting
            | State::Running
            | State::Pausing { .. }
            | State::Checkpointing { .. }
            | State::Paused { .. }
            | State::Resuming { .. }
            | State::Stopping(_) => {
                if let Some(gauge) = gauge.as_mut() {
                    gauge.move_to(state.word().as_str());
                }
            }
        }
    }

    /// Another incarnation takes over: it is counted there.
    pub(super) fn retire(&self) {
        *lock(&self.gauge) = None;
    }

    /// The same, for the task to take up.
    pub(super) fn hand_over(&self, next: Incarnation) {
        self.retire();
        *lock(&self.successor) = Some(next);
        // The task looks again, though its own state is the same.
        self.progress.send_modify(|_| {});
    }

    pub(super) fn successor(&self) -> Option<Incarnation> {
        lock(&self.successor).take()
    }

    pub(super) fn note_save(&self, f: impl FnOnce(&mut SaveFacts)) {
        f(&mut lock(&self.save));
    }

    pub(super) fn save(&self) -> SaveFacts {
        lock(&self.save).clone()
    }

    pub(super) fn put_job(&self, job: Job) {
        *lock(&self.job) = Some(job);
    }

    pub(super) fn take_job(&self) -> Option<Job> {
        lock(&self.job).take()
    }

    /// Open DevTools sessions.
    pub(super) fn session_count(&self) -> u64 {
        self.sessions.report(super::now().instant).inside
    }

    pub(super) fn step(&self, step: LifeStep) {
        self.progress.send_modify(|progress| progress.step = step);
    }

    pub(super) fn set_dead(&self) {
        self.progress.send_modify(|progress| progress.dead = true);
    }

    /// Says why to the sessions, then lets no more in. Only the first call does anything.
    pub(super) fn end_sessions(&self, stop: &Stop) {
        self.close_gate(session_detail(stop.reason));
    }

    /// The same, because the browser will be closed to be parked or saved.
    pub(super) fn part_sessions(&self) {
        self.close_gate(Some(ContextDetail::SandboxPaused));
    }

    fn close_gate(&self, detail: Option<ContextDetail>) {
        if self.sessions_told.swap(true, Ordering::AcqRel) {
            return;
        }
        if detail.is_some() {
            self.detail.send_replace(detail);
        }
        self.sessions_cut.store(self.session_count(), Ordering::Relaxed);
        self.sessions.begin_drain();
    }

    pub(super) fn sessions_cut(&self) -> u64 {
        self.sessions_cut.load(Ordering::Relaxed)
    }

    pub(super) fn note_end(&self, f: impl FnOnce(&mut EndFacts)) {
        f(&mut lock(&self.end));
    }

    pub(super) fn end(&self) -> EndFacts {
        lock(&self.end).clone()
    }

    /// True to exactly one caller: who tells the world that it has ended.
    pub(super) fn take_end(&self) -> bool {
        !self.end_told.swap(true, Ordering::AcqRel)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the sessions of an ending sandbox are told. Nothing if the end began with the browser: they
/// learn that from the state of the upstream.
pub(super) fn session_detail(reason: StopReason) -> Option<ContextDetail> {
    match reason {
        StopReason::Ttl => Some(ContextDetail::TtlExpired),
        StopReason::NodeDrain => Some(ContextDetail::NodeDrain),
        StopReason::ForceStop => Some(ContextDetail::ForcedStop),
        StopReason::Request
        | StopReason::Idle
        | StopReason::RunnerExited
        | StopReason::RunFinished
        | StopReason::StartTimeout
        | StopReason::StartCancelled
        | StopReason::PauseFailed
        | StopReason::CheckpointFailed
        | StopReason::NodeRestart => Some(ContextDetail::SandboxDeleted),
        StopReason::Oom
        | StopReason::BrowserClosed
        | StopReason::BrowserCrashed
        | StopReason::BrowserGaveUp
        | StopReason::StartFailed => None,
    }
}

/// How quickly a sandbox is stopped: where nobody can use its grace, fast.
pub(super) fn stop_how(reason: StopReason) -> StopHow {
    match reason {
        StopReason::Request
        | StopReason::Ttl
        | StopReason::Idle
        | StopReason::RunnerExited
        | StopReason::RunFinished => StopHow::Graceful,
        StopReason::Oom
        | StopReason::BrowserClosed
        | StopReason::BrowserCrashed
        | StopReason::BrowserGaveUp
        | StopReason::StartFailed
        | StopReason::StartTimeout
        | StopReason::StartCancelled
        | StopReason::PauseFailed
        | StopReason::CheckpointFailed
        | StopReason::NodeDrain
        | StopReason::ForceStop
        | StopReason::NodeRestart => StopHow::Fast,
    }
}
