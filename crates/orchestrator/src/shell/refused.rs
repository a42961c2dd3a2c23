//! What every operation on one sandbox refuses before it does anything.

use std::time::SystemTime;

use lockkeeper_api::SandboxState;
use telemetry::words::StopReason;

use super::Core;
use super::handles::Handles;
use crate::ids::LifecycleId;
use crate::registry::Sandbox;

/// Why an operation on a sandbox was not even begun. The sandbox is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationRefused {
    /// Never heard of, or too long ago.
    #[error("no sandbox with the id `{0}` is known")]
    Unknown(String),
    /// It has ended.
    #[error("the sandbox `{id}` has ended: {reason}", reason = reason.as_str())]
    Stopped {
        /// Which.
        id: String,
        /// Why.
        reason: StopReason,
        /// When.
        at: SystemTime,
    },
    /// The sandbox has a newer incarnation than the one that was named.
    #[error("the sandbox `{id}` is now the incarnation `{present}`, which was left as it is")]
    Mismatch {
        /// The sandbox.
        id: String,
        /// Its present incarnation.
        present: LifecycleId,
    },
    /// Its state does not allow the operation.
    #[error("the sandbox `{id}` is {state}; only a {wanted} one can be {doing}", state = state.as_str())]
    State {
        /// Which.
        id: String,
        /// Where it stands.
        state: SandboxState,
        /// Where it would have to stand.
        wanted: &'static str,
        /// What was asked for.
        doing: &'static str,
    },
    /// Another operation on it is under way.
    #[error("the sandbox `{id}` is {state} already; try again when that has ended", state = state.as_str())]
    InProgress {
        /// Which.
        id: String,
        /// What is being done with it.
        state: SandboxState,
    },
}

impl OperationRefused {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown",
            Self::Stopped { .. } => "stopped",
            Self::Mismatch { .. } => "mismatch",
            Self::State { .. } => "state",
            Self::InProgress { .. } => "in_progress",
        }
    }

    pub(super) fn unknown(id: &str) -> Self {
        Self::Unknown(id.chars().take(64).collect())
    }
}

impl Core {
    /// The sandbox of that id, if it has not ended.
    pub(super) fn present(
        &self,
        id: &str,
    ) -> Result<&Sandbox<std::sync::Arc<Handles>>, OperationRefused> {
        self.registry.sandbox(id).ok_or_else(|| match self.registry.tombstone(id) {
            Some(tomb) => OperationRefused::Stopped {
                id: id.to_owned(),
                reason: tomb.stop.reason,
                at: tomb.at.wall,
            },
            None => OperationRefused::unknown(id),
        })
    }
}

impl Sandbox<std::sync::Arc<Handles>> {
    /// Whether this is the incarnation that was named, if one was.
    pub(super) fn pinned(&self, pinned: Option<&LifecycleId>) -> Result<(), OperationRefused> {
        let (id, present) = (self.record.id.to_string(), self.record.lifecycle.clone());
        match pinned.is_some_and(|pinned| *pinned != present) {
            true => Err(OperationRefused::Mismatch { id, present }),
            false => Ok(()),
        }
    }

    pub(super) fn wrong_state(
        &self,
        wanted: &'static str,
        doing: &'static str,
    ) -> OperationRefused {
        let (id, state) = (self.record.id.to_string(), self.state.word());
        OperationRefused::State { id, state, wanted, doing }
    }

    pub(super) fn in_progress(&self) -> OperationRefused {
        OperationRefused::InProgress { id: self.record.id.to_string(), state: self.state.word() }
    }
}
