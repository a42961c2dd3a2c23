//! Pure: words of the sandbox lifecycle.

use super::words;

words! {
    /// Where a sandbox stands.
    pub enum SandboxState {
        /// Admitted, waits for a start slot.
        Requested = "requested",
        /// Its browser is being started.
        Starting = "starting",
        /// Ready.
        Running = "running",
        /// Being parked.
        Pausing = "pausing",
        /// Being saved.
        Checkpointing = "checkpointing",
        /// Parked: a profile and no process.
        Paused = "paused",
        /// Being brought back.
        Resuming = "resuming",
        /// Being ended.
        Stopping = "stopping",
        /// Has ended.
        Stopped = "stopped",
    }

    /// Why a sandbox ended.
    pub enum StopReason {
        /// A delete.
        Request = "request",
        /// Its time was over.
        Ttl = "ttl",
        /// Nobody used it for its idle time.
        Idle = "idle",
        /// It used more memory than it may.
        Oom = "oom",
        /// Its browser ended with exit code 0 and we did not order it.
        BrowserClosed = "browser_closed",
        /// Its browser crashed and is not to be relaunched.
        BrowserCrashed = "browser_crashed",
        /// Its browser crashed too often.
        BrowserGaveUp = "browser_gave_up",
        /// Its agent runner ended.
        RunnerExited = "runner_exited",
        /// Its agent session asked to stop after its run.
        RunFinished = "run_finished",
        /// It could not be started.
        StartFailed = "start_failed",
        /// It was not ready in time.
        StartTimeout = "start_timeout",
        /// Its start was called off.
        StartCancelled = "start_cancelled",
        /// It could not be brought back after a failed pause.
        PauseFailed = "pause_failed",
        /// It could not be brought back after a failed checkpoint.
        CheckpointFailed = "checkpoint_failed",
        /// The drain ended it.
        NodeDrain = "node_drain",
        /// A forced stop.
        ForceStop = "force_stop",
        /// The daemon died; the next start found it and ended it.
        NodeRestart = "node_restart",
    }

    /// Why a sandbox was not created.
    pub enum CreateRefused {
        /// The node takes no new work.
        Draining = "draining",
        /// The node is full.
        NoCapacity = "no_capacity",
        /// No start slot became free in time.
        Busy = "busy",
        /// The request is wrong.
        BadRequest = "bad_request",
        /// The driver could not start it.
        DriverError = "driver_error",
    }
}
