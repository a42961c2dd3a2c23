//! Pure: one function for each state, one arm for each event in it.

use telemetry::words::StopReason;

use super::{Event, State, Step, Stop};

/// The two operations that close a browser and keep its profile.
#[derive(Clone, Copy)]
pub(super) enum Saving {
    Pause,
    Checkpoint,
}

impl Saving {
    fn state(self, closed: bool) -> State {
        match self {
            Self::Pause => State::Pausing { closed },
            Self::Checkpoint => State::Checkpointing { closed },
        }
    }

    fn saved(self) -> State {
        match self {
            Self::Pause => State::Paused { save_pending: false },
            Self::Checkpoint => State::Running,
        }
    }

    fn failed(self) -> StopReason {
        match self {
            Self::Pause => StopReason::PauseFailed,
            Self::Checkpoint => StopReason::CheckpointFailed,
        }
    }
}

fn stopping(reason: StopReason, detail: &str) -> Step {
    Step::To(State::Stopping(Stop::new(reason, detail)))
}

impl State {
    pub(super) fn from_requested(event: &Event) -> Step {
        let stopped = |reason, detail: &str| Step::To(Self::Stopped(Stop::new(reason, detail)));
        match event {
            Event::SlotGranted => Step::To(Self::Starting),
            Event::QueueDeadline => stopped(StopReason::StartCancelled, "queue deadline"),
            Event::Abandoned => stopped(StopReason::StartCancelled, "client gone"),
            Event::Delete { detail } => stopped(StopReason::Request, detail),
            Event::Force(stop) => Step::To(Self::Stopped(stop.clone())),
            Event::Ready
            | Event::StartFailed { .. }
            | Event::StartDeadline { .. }
            | Event::BrowserGone(_)
            | Event::BrowserRelaunching
            | Event::Oom { .. }
            | Event::RunnerExited { .. }
            | Event::RunFinished { .. }
            | Event::Ttl { .. }
            | Event::Idle { .. }
            | Event::PausedTtl { .. }
            | Event::Pause
            | Event::Checkpoint
            | Event::ClosingBrowser
            | Event::SaveRefused
            | Event::Saved
            | Event::SaveFailedRestored { .. }
            | Event::SaveFailedGone { .. }
            | Event::Resume
            | Event::ResumeFailed
            | Event::CleanupEnded => Step::Ignored,
        }
    }

    pub(super) fn from_starting(event: &Event) -> Step {
        match event {
            Event::Ready => Step::To(Self::Running),
            Event::StartFailed { detail } => stopping(StopReason::StartFailed, detail),
            Event::StartDeadline { detail } => stopping(StopReason::StartTimeout, detail),
            Event::Abandoned => stopping(StopReason::StartCancelled, "client gone"),
            Event::BrowserGone(stop) => stopping(StopReason::StartFailed, &stop.detail),
            Event::Oom { detail } => stopping(StopReason::Oom, detail),
            Event::RunnerExited { detail } => stopping(StopReason::RunnerExited, detail),
            Event::Delete { detail } => stopping(StopReason::Request, detail),
            Event::Force(stop) => Step::To(Self::Stopping(stop.clone())),
            Event::SlotGranted
            | Event::QueueDeadline
            | Event::BrowserRelaunching
            | Event::RunFinished { .. }
            | Event::Ttl { .. }
            | Event::Idle { .. }
            | Event::PausedTtl { .. }
            | Event::Pause
            | Event::Checkpoint
            | Event::ClosingBrowser
            | Event::SaveRefused
            | Event::Saved
            | Event::SaveFailedRestored { .. }
            | Event::SaveFailedGone { .. }
            | Event::Resume
            | Event::ResumeFailed
            | Event::CleanupEnded => Step::Ignored,
        }
    }

    pub(super) fn from_running(event: &Event) -> Step {
        match event {
            Event::BrowserGone(stop) => Step::To(Self::Stopping(stop.clone())),
            Event::Abandoned => stopping(StopReason::StartCancelled, "client gone"),
            Event::Oom { detail } => stopping(StopReason::Oom, detail),
            Event::RunnerExited { detail } => stopping(StopReason::RunnerExited, detail),
            Event::RunFinished { detail } => stopping(StopReason::RunFinished, detail),
            Event::Delete { detail } => stopping(StopReason::Request, detail),
            Event::Ttl { detail } => stopping(StopReason::Ttl, detail),
            Event::Idle { detail } => stopping(StopReason::Idle, detail),
            Event::Force(stop) => Step::To(Self::Stopping(stop.clone())),
            Event::Pause => Step::To(Self::Pausing { closed: false }),
            Event::Checkpoint => Step::To(Self::Checkpointing { closed: false }),
            // The state covers the relaunch; the generation counts it.
            Event::BrowserRelaunching
            | Event::SlotGranted
            | Event::QueueDeadline
            | Event::Ready
            | Event::StartFailed { .. }
            | Event::StartDeadline { .. }
            | Event::PausedTtl { .. }
            | Event::ClosingBrowser
            | Event::SaveRefused
            | Event::Saved
            | Event::SaveFailedRestored { .. }
            | Event::SaveFailedGone { .. }
            | Event::Resume
            | Event::ResumeFailed
            | Event::CleanupEnded => Step::Ignored,
        }
    }

    pub(super) fn from_saving(event: &Event, closed: bool, saving: Saving) -> Step {
        match event {
            Event::ClosingBrowser if !closed => Step::To(saving.state(true)),
            Event::SaveRefused if !closed => Step::To(Self::Running),
            Event::Saved if closed => Step::To(saving.saved()),
            Event::SaveFailedRestored { .. } if closed => Step::To(Self::Running),
            Event::SaveFailedGone { detail } if closed => stopping(saving.failed(), detail),
            Event::ClosingBrowser
            | Event::SaveRefused
            | Event::Saved
            | Event::SaveFailedRestored { .. }
            | Event::SaveFailedGone { .. } => Step::Ignored,
            Event::Delete { detail } => stopping(StopReason::Request, detail),
            Event::Force(stop) if !closed => Step::To(Self::Stopping(stop.clone())),
            Event::Force(_) => Step::To(Self::Paused { save_pending: true }),
            // Before the close it is still a running sandbox whose browser may end by itself.
            Event::BrowserGone(stop) if !closed => Step::To(Self::Stopping(stop.clone())),
            Event::Oom { detail } if !closed => stopping(StopReason::Oom, detail),
            Event::RunnerExited { detail } if !closed => stopping(StopReason::RunnerExited, detail),
            // After it the end of processes is the plan, and time waits for the operation.
            Event::BrowserGone(_) | Event::Oom { .. } | Event::RunnerExited { .. } => Step::Ignored,
            Event::RunFinished { .. }
            | Event::Ttl { .. }
            | Event::Idle { .. }
            | Event::PausedTtl { .. }
            | Event::BrowserRelaunching
            | Event::SlotGranted
            | Event::QueueDeadline
            | Event::Abandoned
            | Event::Ready
            | Event::StartFailed { .. }
            | Event::StartDeadline { .. }
            | Event::Pause
            | Event::Checkpoint
            | Event::Resume
            | Event::ResumeFailed
            | Event::CleanupEnded => Step::Ignored,
        }
    }

    pub(super) fn from_paused(event: &Event, save_pending: bool) -> Step {
        match event {
            Event::Resume => Step::To(Self::Resuming { queued: true }),
            // The save that a forced stop did not wait for has ended after all.
            Event::Saved if save_pending => Step::To(Self::Paused { save_pending: false }),
            Event::SaveFailedGone { detail } if save_pending => {
                stopping(StopReason::PauseFailed, detail)
            }
            Event::Delete { detail } => stopping(StopReason::Request, detail),
            Event::PausedTtl { detail } => stopping(StopReason::Ttl, detail),
            // A parked sandbox survives the daemon: force has nothing to end here.
            Event::Force(_)
            | Event::SlotGranted
            | Event::QueueDeadline
            | Event::Abandoned
            | Event::Ready
            | Event::StartFailed { .. }
            | Event::StartDeadline { .. }
            | Event::BrowserGone(_)
            | Event::BrowserRelaunching
            | Event::Oom { .. }
            | Event::RunnerExited { .. }
            | Event::RunFinished { .. }
            | Event::Ttl { .. }
            | Event::Idle { .. }
            | Event::Pause
            | Event::Checkpoint
            | Event::ClosingBrowser
            | Event::SaveRefused
            | Event::Saved
            | Event::SaveFailedRestored { .. }
            | Event::SaveFailedGone { .. }
            | Event::ResumeFailed
            | Event::CleanupEnded => Step::Ignored,
        }
    }

    pub(super) fn from_resuming(event: &Event, queued: bool) -> Step {
        let paused = || Step::To(Self::Paused { save_pending: false });
        match event {
            Event::SlotGranted if queued => Step::To(Self::Resuming { queued: false }),
            Event::QueueDeadline if queued => paused(),
            Event::Ready if !queued => Step::To(Self::Running),
            Event::ResumeFailed
            | Event::StartFailed { .. }
            | Event::StartDeadline { .. }
            | Event::BrowserGone(_)
            | Event::Oom { .. }
            | Event::RunnerExited { .. }
            | Event::Force(_) => paused(),
            Event::Delete { detail } => stopping(StopReason::Request, detail),
            Event::SlotGranted
            | Event::QueueDeadline
            | Event::Ready
            | Event::Abandoned
            | Event::BrowserRelaunching
            | Event::RunFinished { .. }
            | Event::Ttl { .. }
            | Event::Idle { .. }
            | Event::PausedTtl { .. }
            | Event::Pause
            | Event::Checkpoint
            | Event::ClosingBrowser
            | Event::SaveRefused
            | Event::Saved
            | Event::SaveFailedRestored { .. }
            | Event::SaveFailedGone { .. }
            | Event::Resume
            | Event::CleanupEnded => Step::Ignored,
        }
    }

    pub(super) fn from_stopping(event: &Event, stop: &Stop) -> Step {
        match event {
            Event::CleanupEnded => Step::To(Self::Stopped(stop.clone())),
            // The first reason stays.
            Event::SlotGranted
            | Event::QueueDeadline
            | Event::Abandoned
            | Event::Ready
            | Event::StartFailed { .. }
            | Event::StartDeadline { .. }
            | Event::BrowserGone(_)
            | Event::BrowserRelaunching
            | Event::Oom { .. }
            | Event::RunnerExited { .. }
            | Event::RunFinished { .. }
            | Event::Delete { .. }
            | Event::Ttl { .. }
            | Event::Idle { .. }
            | Event::PausedTtl { .. }
            | Event::Force(_)
            | Event::Pause
            | Event::Checkpoint
            | Event::ClosingBrowser
            | Event::SaveRefused
            | Event::Saved
            | Event::SaveFailedRestored { .. }
            | Event::SaveFailedGone { .. }
            | Event::Resume
            | Event::ResumeFailed => Step::Ignored,
        }
    }

    pub(super) fn from_stopped(event: &Event) -> Step {
        match event {
            Event::SlotGranted
            | Event::QueueDeadline
            | Event::Abandoned
            | Event::Ready
            | Event::StartFailed { .. }
            | Event::StartDeadline { .. }
            | Event::BrowserGone(_)
            | Event::BrowserRelaunching
            | Event::Oom { .. }
            | Event::RunnerExited { .. }
            | Event::RunFinished { .. }
            | Event::Delete { .. }
            | Event::Ttl { .. }
            | Event::Idle { .. }
            | Event::PausedTtl { .. }
            | Event::Force(_)
            | Event::Pause
            | Event::Checkpoint
            | Event::ClosingBrowser
            | Event::SaveRefused
            | Event::Saved
            | Event::SaveFailedRestored { .. }
            | Event::SaveFailedGone { .. }
            | Event::Resume
            | Event::ResumeFailed
            | Event::CleanupEnded => Step::Ignored,
        }
    }
}
