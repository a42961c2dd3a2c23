//! Ending a sandbox on request.

use std::sync::Arc;

use lockkeeper_api::{DeleteWait, SandboxState};

use super::{Orchestrator, Snapshot, now};
use crate::ids::LifecycleId;
use crate::lifecycle::{Event, State};
use telemetry::fields;

/// How a sandbox is deleted.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Delete only this incarnation; a newer one is refused and left as it is.
    pub lifecycle: Option<LifecycleId>,
    /// Who asked or why, for events; such as `quick_connect`.
    pub detail: String,
    /// How long to wait.
    pub wait: DeleteWait,
}

/// Why a sandbox was not deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    /// Never heard of, or too long ago.
    #[error("no sandbox with the id `{0}` is known")]
    Unknown(String),
    /// The sandbox has a newer incarnation than the one that was named.
    #[error("the sandbox `{id}` is now the incarnation `{present}`, which was left as it is")]
    Mismatch {
        /// The sandbox.
        id: String,
        /// Its present incarnation.
        present: LifecycleId,
    },
}

impl DeleteError {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown",
            Self::Mismatch { .. } => "mismatch",
        }
    }
}

impl Orchestrator {
    /// Ends a sandbox in whatever state it is. Any number of calls at once all succeed; a sandbox
    /// that has ended already is a success too, as long as it is remembered.
    ///
    /// # Errors
    /// See [`DeleteError`].
    ///
    /// # Cancel safety
    /// The end goes on when the future is dropped.
    pub async fn delete(&self, id: &str, options: DeleteOptions) -> Result<Snapshot, DeleteError> {
        let shared = &self.shared;
        let handles = {
            let mut core = shared.lock();
            let Some(sandbox) = core.registry.sandbox(id) else {
                let known = core.registry.tombstone(id).is_some();
                drop(core);
                return match (known, self.get(id)) {
                    (true, Some(snapshot)) => Ok(snapshot),
                    (true, None) | (false, _) => Err(unknown(id)),
                };
            };
            let lifecycle = sandbox.record.lifecycle.clone();
            if let Some(pinned) = options.lifecycle.filter(|pinned| *pinned != lifecycle) {
                tracing::info!({ fields::SANDBOX_ID } = id, { fields::LIFECYCLE_ID } = %pinned, "delete of an older incarnation refused");
                return Err(DeleteError::Mismatch { id: id.to_owned(), present: lifecycle });
            }
            let handles = Arc::clone(&sandbox.handle);
            let event = Event::Delete { detail: options.detail };
            let changes = core.registry.apply(&lifecycle, &event, now());
            shared.tell(&mut core, &changes);
            handles
        };
        let mut progress = handles.progress.subscribe();
        // The sender lives in `handles`, so these waits end with a state.
        let _ = match options.wait {
            DeleteWait::Accepted => Ok(progress.borrow()),
            DeleteWait::Stopped => {
                progress.wait_for(|p| p.dead || matches!(p.state, State::Stopped(_))).await
            }
            DeleteWait::Cleaned => {
                progress.wait_for(|p| p.state.word() == SandboxState::Stopped).await
            }
        };
        self.snapshot_of(id, &handles.lifecycle).ok_or_else(|| unknown(id))
    }
}

fn unknown(id: &str) -> DeleteError {
    DeleteError::Unknown(id.chars().take(64).collect())
}
