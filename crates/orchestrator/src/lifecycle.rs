//! Pure: the states of a sandbox and every way from one to another.
//!
//! [`State::step`] has one arm for each pair of state and event; none is matched by a wildcard, so a
//! new event does not compile until each state says what it means.

mod steps;

use lockkeeper_api::SandboxState;
use telemetry::words::StopReason;

use self::steps::Saving;

/// Why a sandbox ends: set once, before the stop begins, from a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The word.
    pub reason: StopReason,
    /// The fact behind it, for a person; no secret, no host path.
    pub detail: String,
}

impl Stop {
    /// A reason with its fact.
    pub fn new(reason: StopReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// Where a sandbox stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Admitted, waits for a start slot; there is no process.
    Requested,
    /// Its browser is being started.
    Starting,
    /// Ready; the browser may be between two generations.
    Running,
    /// Being parked. `closed`: the browser was told to close, there is no way back to untouched.
    Pausing {
        /// Past the point of no return.
        closed: bool,
    },
    /// Being saved. `closed` as in [`Self::Pausing`].
    Checkpointing {
        /// Past the point of no return.
        closed: bool,
    },
    /// Parked: a profile and no process.
    Paused {
        /// The save was cut short by a forced stop; the next start finishes it.
        save_pending: bool,
    },
    /// Being brought back.
    Resuming {
        /// It waits for a start slot; there is no process.
        queued: bool,
    },
    /// Being ended.
    Stopping(Stop),
    /// Has ended: nothing of it is left that could run.
    Stopped(Stop),
}

/// What can happen to a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A start slot is free.
    SlotGranted,
    /// No start slot became free in time.
    QueueDeadline,
    /// Its creator went away, and nobody else knows its id.
    Abandoned,
    /// The browser answers.
    Ready,
    /// The start failed: step and cause.
    StartFailed {
        /// Step and cause.
        detail: String,
    },
    /// It was not ready in time.
    StartDeadline {
        /// The limit.
        detail: String,
    },
    /// The browser ended and nobody will start it again.
    BrowserGone(Stop),
    /// The browser ended and is being started again.
    BrowserRelaunching,
    /// The kernel or the memory watch ended it.
    Oom {
        /// Which of the two.
        detail: String,
    },
    /// The runner ended and its policy is to stop.
    RunnerExited {
        /// How.
        detail: String,
    },
    /// An agent session asked to stop after its run.
    RunFinished {
        /// Which run.
        detail: String,
    },
    /// Delete was called.
    Delete {
        /// Who asked.
        detail: String,
    },
    /// Its time to live has passed.
    Ttl {
        /// Which deadline.
        detail: String,
    },
    /// It was not used for too long.
    Idle {
        /// Which deadline.
        detail: String,
    },
    /// It was parked for too long.
    PausedTtl {
        /// Which deadline.
        detail: String,
    },
    /// The node ends, or an operator forces: `node_drain` or `force_stop`.
    Force(Stop),
    /// Pause was called, or a timer or drain parks it.
    Pause,
    /// Checkpoint was called.
    Checkpoint,
    /// Pause or Checkpoint is about to close the browser.
    ClosingBrowser,
    /// Pause or Checkpoint was refused before the browser was closed.
    SaveRefused,
    /// What was to be kept is durable; for a checkpoint the new browser is ready too.
    Saved,
    /// Saving failed after the close, and the browser runs again from the same profile.
    SaveFailedRestored {
        /// Step and cause.
        detail: String,
    },
    /// Saving failed after the close, and the browser could not be brought back.
    SaveFailedGone {
        /// Step and cause.
        detail: String,
    },
    /// Resume was called, or a client connected.
    Resume,
    /// Resume failed or took too long; the profile is intact.
    ResumeFailed,
    /// Every process is dead and nothing is left to remove.
    CleanupEnded,
}

/// What an event does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The next state.
    To(State),
    /// The event means nothing here.
    Ignored,
}

impl State {
    /// What `event` does to a sandbox in this state.
    pub fn step(&self, event: &Event) -> Step {
        match self {
            Self::Requested => Self::from_requested(event),
            Self::Starting => Self::from_starting(event),
            Self::Running => Self::from_running(event),
            Self::Pausing { closed } => Self::from_saving(event, *closed, Saving::Pause),
            Self::Checkpointing { closed } => Self::from_saving(event, *closed, Saving::Checkpoint),
            Self::Paused { save_pending } => Self::from_paused(event, *save_pending),
            Self::Resuming { queued } => Self::from_resuming(event, *queued),
            Self::Stopping(stop) => Self::from_stopping(event, stop),
            Self::Stopped(_) => Self::from_stopped(event),
        }
    }

    /// The word on the wire.
    pub fn word(&self) -> SandboxState {
        match self {
            Self::Requested => SandboxState::Requested,
            Self::Starting => SandboxState::Starting,
            Self::Running => SandboxState::Running,
            Self::Pausing { .. } => SandboxState::Pausing,
            Self::Checkpointing { .. } => SandboxState::Checkpointing,
            Self::Paused { .. } => SandboxState::Paused,
            Self::Resuming { .. } => SandboxState::Resuming,
            Self::Stopping(_) => SandboxState::Stopping,
            Self::Stopped(_) => SandboxState::Stopped,
        }
    }

    /// Why it is ending or has ended.
    pub fn stop(&self) -> Option<&Stop> {
        match self {
            Self::Stopping(stop) | Self::Stopped(stop) => Some(stop),
            Self::Requested
            | Self::Starting
            | Self::Running
            | Self::Pausing { .. }
            | Self::Checkpointing { .. }
            | Self::Paused { .. }
            | Self::Resuming { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
