//! Another browser for a running sandbox, because somebody asked for it.

use std::sync::Arc;
use std::time::Duration;

use lockkeeper_api::{Mistakes, RestartRequest};
use telemetry::fields;
use upstream::Phase;

use super::handles::Handles;
use super::refused::OperationRefused;
use super::repeats::Once;
use super::{Orchestrator, Shared, Snapshot};
use crate::config::DEFAULT_TEMPLATE;
use crate::driver::{RestartChange, RestartError as DriverError};
use crate::ids::LifecycleId;
use crate::launch::flag_mistakes;
use crate::lifecycle::State;
use crate::templates::{Override, Template};

/// Why the browser that was asked for does not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestartError {
    /// Fields are wrong.
    #[error(transparent)]
    Invalid(#[from] Mistakes),
    /// It was not even begun.
    #[error(transparent)]
    Refused(#[from] OperationRefused),
    /// The driver did not do it; its text says which browser runs now.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

impl RestartError {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "bad_request",
            Self::Refused(refused) => refused.kind(),
            Self::Driver(error) => error.kind(),
        }
    }
}

/// How long the news of a browser that answered may take to whoever asked for it.
const NEWS: Duration = Duration::from_secs(5);

impl Orchestrator {
    /// Stops the browser of a running sandbox and starts another one on the same profile, perhaps
    /// with other switches, behind the same address. Returns when the new one has answered. If it
    /// does not come up the old switches are tried once, and the error says what runs. Allowed while
    /// the node drains.
    ///
    /// # Errors
    /// See [`RestartError`].
    ///
    /// # Cancel safety
    /// A restart that has begun goes on when the future is dropped.
    pub async fn restart_browser(
        &self,
        id: &str,
        request: RestartRequest,
    ) -> Result<Snapshot, RestartError> {
        let name = request.request_id.clone();
        let once = Once {
            id,
            request: name.as_deref(),
            among: |core| &mut core.restarts,
            lasts: |outcome| match outcome {
                Ok(_) => true,
                Err(RestartError::Driver(error)) => match error {
                    DriverError::Restored { .. } | DriverError::Down { .. } => true,
                    DriverError::Unsupported
                    | DriverError::Busy
                    | DriverError::Refused(_)
                    | DriverError::Gone => false,
                },
                Err(RestartError::Invalid(_) | RestartError::Refused(_)) => false,
            },
            cut: || Err(RestartError::Driver(DriverError::Gone)),
        };
        let (node, sandbox) = (self.clone(), id.to_owned());
        let work = async move { node.restart_inner(&sandbox, request).await };
        let outcome = self.once(once, work).await;
        if let Err(error) = &outcome {
            tracing::info!({ fields::SANDBOX_ID } = id, %error, kind = error.kind(), "not restarted");
        }
        outcome
    }

    async fn restart_inner(
        &self,
        id: &str,
        request: RestartRequest,
    ) -> Result<Snapshot, RestartError> {
        let shared = &self.shared;
        let pinned = request.lifecycle_id.as_deref().map(LifecycleId::new);
        let (handles, template) = shared.restartable(id, pinned.as_ref())?;
        let change = shared.change_of(&template, request)?;
        let lifecycle = handles.lifecycle.clone();
        let flags = change.flags.clone();
        let generation = shared.driver.restart_browser(lifecycle.clone(), change).await?;
        if let Some(flags) = flags {
            handles.note_switches(flags);
            let core = shared.lock();
            if let Some(sandbox) = core.registry.by_lifecycle(&lifecycle) {
                shared.record_of(sandbox);
            }
        }
        // The driver's report may still be on its way to those who look.
        let mut changes = handles.upstream.changes();
        let told = async {
            let mut state = changes.current();
            while state.generation < generation
                || (state.generation == generation && state.phase == Phase::Starting)
            {
                state = changes.changed().await;
            }
        };
        if tokio::time::timeout(NEWS, told).await.is_err() {
            tracing::warn!({ fields::SANDBOX_ID } = id, generation, "the driver did not report it");
        }
        Ok(self.snapshot_of(id, &lifecycle).ok_or_else(|| OperationRefused::unknown(id))?)
    }
}

impl Shared {
    /// The running incarnation of that sandbox, and its template's name.
    fn restartable(
        &self,
        id: &str,
        pinned: Option<&LifecycleId>,
    ) -> Result<(Arc<Handles>, Arc<str>), RestartError> {
        let core = self.lock();
        let sandbox = core.present(id)?;
        sandbox.pinned(pinned)?;
        match &sandbox.state {
            State::Running => Ok((Arc::clone(&sandbox.handle), sandbox.record.template.clone())),
            State::Requested
            | State::Starting
            | State::Pausing { .. }
            | State::Checkpointing { .. }
            | State::Paused { .. }
            | State::Resuming { .. }
            | State::Stopping(_)
            | State::Stopped(_) => {
                Err(sandbox.wrong_state("running", "given another browser").into())
            }
        }
    }

    /// What the driver is told: switches of the request in place of those of the create.
    fn change_of(
        &self,
        name: &str,
        request: RestartRequest,
    ) -> Result<RestartChange, RestartError> {
        let Some(flags) = request.flags else { return Ok(RestartChange::default()) };
        let fallback = Template::default();
        let template = match self.config.templates.get(name) {
            Some(template) => template,
            None => {
                debug_assert_eq!(name, DEFAULT_TEMPLATE, "a sandbox has a template that exists");
                &fallback
            }
        };
        let mut mistakes: Vec<_> = template.closed(name, Override::Flags).into_iter().collect();
        mistakes.extend(flag_mistakes(&flags, self.config.allow_no_sandbox));
        Mistakes::check(mistakes)?;
        Ok(RestartChange { flags: Some(flags) })
    }
}
