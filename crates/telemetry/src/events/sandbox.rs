//! Pure: events of sandboxes.

use super::events;
use crate::value::{Id, Millis, Text};
use crate::words::{CreateRefused, Exit, SandboxState, StopReason};

events! {
    /// A create was admitted.
    Orchestrator Sandbox "sandbox_created"
    pub struct SandboxCreated {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// The driver that runs it.
        pub driver: Text,
        /// Whether it came from the warm pool.
        pub warm: bool,
        /// Time waited for a start slot.
        pub queue_ms: Millis,
        /// How long it may live, counted from ready; absent = without limit.
        pub ttl_ms: Option<Millis>,
    }

    /// A sandbox is ready for the first time.
    Orchestrator Sandbox "sandbox_ready"
    pub struct SandboxReady {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// From admitted to ready.
        pub create_ms: Millis,
        /// Its browser instance.
        pub generation: u64,
    }

    /// The runner of a sandbox is ready.
    Orchestrator Sandbox "sandbox_runner_ready"
    pub struct SandboxRunnerReady {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// From its start to ready.
        pub start_ms: Millis,
        /// Its process, if it is ours.
        pub pid: Option<u32>,
    }

    /// The runner of a sandbox ended.
    Orchestrator Sandbox "sandbox_runner_exited"
    pub struct SandboxRunnerExited {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// How it ended.
        pub exit: Exit,
        /// Whether we ordered it.
        pub expected: bool,
        /// From its start to its end.
        pub uptime_ms: Millis,
        /// When the next one starts; absent if none will.
        pub restart_in_ms: Option<Millis>,
    }

    /// A create was refused.
    Orchestrator Sandbox "sandbox_create_refused"
    pub struct SandboxCreateRefused {
        /// Why.
        pub detail: CreateRefused,
        /// Time waited for a start slot.
        pub queue_ms: Millis,
    }

    /// Settings of a sandbox were changed.
    Orchestrator Sandbox "sandbox_updated"
    pub struct SandboxUpdated {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// Names of what changed.
        pub changed: Vec<Text>,
        /// How long it may live from now; absent = without limit.
        pub ttl_ms: Option<Millis>,
    }

    /// The state of a sandbox changed in a way that has no event of its own.
    Orchestrator Sandbox "sandbox_state"
    pub struct SandboxStateChanged {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// The state before.
        pub from: SandboxState,
        /// The state now.
        pub to: SandboxState,
    }

    /// A sandbox was parked: its profile is kept, it has no process.
    Orchestrator Sandbox "sandbox_paused"
    pub struct SandboxPaused {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// What it can be brought back from.
        pub checkpoint_id: Option<Id>,
        /// Bytes kept.
        pub bytes: Option<u64>,
        /// From the last command it could take to its processes' end.
        pub pause_ms: Option<Millis>,
        /// The whole operation.
        pub duration_ms: Millis,
        /// Whether the profile stayed where it was.
        pub in_place: bool,
    }

    /// A parked sandbox is back.
    Orchestrator Sandbox "sandbox_resumed"
    pub struct SandboxResumed {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// What it was brought back from.
        pub checkpoint_id: Option<Id>,
        /// Bytes read back.
        pub bytes: Option<u64>,
        /// How long it was parked.
        pub pause_ms: Option<Millis>,
        /// The whole operation.
        pub duration_ms: Millis,
        /// Whether the profile had stayed where it was.
        pub in_place: bool,
    }

    /// A sandbox was saved and goes on.
    Orchestrator Sandbox "sandbox_checkpointed"
    pub struct SandboxCheckpointed {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// What it can be brought back from.
        pub checkpoint_id: Option<Id>,
        /// Bytes kept.
        pub bytes: Option<u64>,
        /// How long it could not be used.
        pub pause_ms: Option<Millis>,
        /// The whole operation.
        pub duration_ms: Millis,
        /// Whether the profile stayed where it was.
        pub in_place: bool,
    }

    /// A sandbox could not be saved.
    Orchestrator Sandbox "sandbox_checkpoint_failed"
    pub struct SandboxCheckpointFailed {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// Step and cause.
        pub error: Text,
        /// Whether it still runs.
        pub alive: bool,
    }

    /// A sandbox began to end.
    Orchestrator Sandbox "sandbox_stopping"
    pub struct SandboxStopping {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// Why.
        pub stop_reason: StopReason,
        /// The fact behind it.
        pub stop_detail: Option<Text>,
        /// How long its processes may take.
        pub grace_ms: Option<Millis>,
    }

    /// A sandbox has ended and nothing of it is left.
    Orchestrator Sandbox "sandbox_stopped"
    pub struct SandboxStopped {
        /// The lifecycle.
        pub lifecycle_id: Option<Id>,
        /// Why.
        pub stop_reason: StopReason,
        /// The fact behind it.
        pub stop_detail: Option<Text>,
        /// From ready to its end; absent if it never was ready.
        pub lifetime_ms: Option<Millis>,
        /// How its browser ended; absent if it never had one.
        pub exit: Option<Exit>,
        /// Time to clean up.
        pub cleanup_ms: Millis,
        /// What could not be cleaned up.
        pub cleanup_errors: u64,
        /// Sessions that were cut.
        pub sessions_cut: u64,
    }
}
