//! Pure: the words for where a sandbox stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a sandbox stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// Waits for a start slot.
    Requested,
    /// Its browser is being started.
    Starting,
    /// Its browser answers, or is being relaunched.
    Running,
    /// Is being parked.
    Pausing,
    /// Is being saved.
    Checkpointing,
    /// Parked: no process.
    Paused,
    /// Is being brought back.
    Resuming,
    /// Is being ended.
    Stopping,
    /// Has ended; nothing of it runs.
    Stopped,
}

impl SandboxState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 9] = [
        Self::Requested,
        Self::Starting,
        Self::Running,
        Self::Pausing,
        Self::Checkpointing,
        Self::Paused,
        Self::Resuming,
        Self::Stopping,
        Self::Stopped,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Checkpointing => "checkpointing",
            Self::Paused => "paused",
            Self::Resuming => "resuming",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}
