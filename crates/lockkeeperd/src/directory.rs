//! The sandboxes of this node as the DevTools edge sees them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use devtoolsproxy::{
    Admitted, Authorize, BoxFuture, Denied, Directory, LookupError, QuickOptions, QuickRefused,
    Target,
};
use http::StatusCode;
use http::request::Parts;
use lockkeeper_api::{CreateRequest, DeleteWait};
use orchestrator::driver::LifecycleId;
use orchestrator::registry::AdmitRefusal;
use orchestrator::{CreateError, DeleteOptions, LiveSandbox, Orchestrator};
use service::access::{Access, Need};
use telemetry::words::ContextDetail;
use tokio_util::sync::CancellationToken;

use crate::runners::SandboxRunners;
use crate::subdomains::Parent;

/// What `sandbox_stopped` says of a sandbox that lived for one socket.
const QUICK: &str = "quick_connect";

/// When there may be room on the disk again, for a client that could not be served for lack of it.
const DISK_RETRY: Duration = Duration::from_secs(30);

/// Looks sandboxes up, and makes those of quick connects.
pub(crate) struct Sandboxes(pub(crate) Orchestrator);

impl Directory for Sandboxes {
    fn lookup(&self, id: &str) -> Result<Target, LookupError> {
        self.0.wake(id).map(target).map_err(|error| match error {
            orchestrator::LookupError::Unknown { .. } => LookupError::Unknown,
            orchestrator::LookupError::Paused { .. } => LookupError::Paused {
                why: Cow::Borrowed("it is not resumed by clients, resume it by the API"),
                retry_after: None,
            },
            orchestrator::LookupError::NotWoken { why, retry, .. } => {
                LookupError::Paused { why: why.into(), retry_after: Some(retry) }
            }
            orchestrator::LookupError::Stopped { reason, .. } => {
                LookupError::Stopped { why: Cow::Borrowed(reason.as_str()) }
            }
        })
    }

    fn create_quick(
        &self,
        options: QuickOptions,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<Target, QuickRefused>> {
        Box::pin(async move {
            let request = quick_request(&options)?;
            let created = tokio::select! {
                biased;
                // Dropping the create undoes it: nobody else knows the id.
                () = cancel.cancelled() => {
                    return Err(QuickRefused::Cancelled(ContextDetail::RequestCancelled));
                }
                created = self.0.create(request) => created.map_err(refused)?,
            };
            let id = created.record().id.to_string();
            self.0.live(&id).map(target).map_err(|error| QuickRefused::Failed(error.to_string()))
        })
    }

    fn delete_quick(&self, id: Arc<str>, lifecycle_id: Arc<str>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let options = DeleteOptions {
                lifecycle: Some(LifecycleId::new(lifecycle_id)),
                detail: QUICK.to_owned(),
                wait: DeleteWait::Accepted,
            };
            if let Err(error) = self.0.delete(&id, options).await {
                // It may have ended by itself in the meantime, which is what was wanted.
                tracing::debug!(sandbox.id = %id, %error, "nothing left to delete");
            }
        })
    }
}

fn target(live: LiveSandbox) -> Target {
    Target {
        id: live.sandbox_id,
        lifecycle_id: Arc::from(live.lifecycle_id.as_str()),
        upstream: live.upstream,
        gate: live.sessions,
        stop: live.stop,
    }
}

/// The query of a quick connect is the body of a create: `?flavour=chromium&ttl=10m`.
fn quick_request(options: &QuickOptions) -> Result<CreateRequest, QuickRefused> {
    let mut request = CreateRequest::default();
    for (name, value) in &options.params {
        match name.as_str() {
            "template" => request.template = Some(value.clone()),
            "flavour" => request.flavour = Some(value.clone()),
            "ttl" => request.ttl = Some(value.parse().map_err(|e| bad(name, &e))?),
            "idle" => request.idle = Some(value.parse().map_err(|e| bad(name, &e))?),
            other => {
                return Err(QuickRefused::BadOptions(format!(
                    "unknown parameter {other:?}; a quick connect knows template, flavour, ttl, idle"
                )));
            }
        }
    }
    Ok(request)
}

fn bad(name: &str, error: &dyn std::fmt::Display) -> QuickRefused {
    QuickRefused::BadOptions(format!("{name}: {error}"))
}

fn refused(error: CreateError) -> QuickRefused {
    let hint = |retry: &Duration| Some(*retry);
    match &error {
        CreateError::Plan(_) => QuickRefused::BadOptions(error.to_string()),
        CreateError::Door(_) => QuickRefused::Draining,
        CreateError::Admit(AdmitRefusal::Full { retry, .. }) => {
            QuickRefused::NoCapacity { retry_after: hint(retry) }
        }
        CreateError::Admit(AdmitRefusal::Busy { retry, .. })
        | CreateError::QueueTimeout { retry, .. } => {
            QuickRefused::Busy { retry_after: hint(retry) }
        }
        CreateError::DiskLow { .. } => QuickRefused::NoCapacity { retry_after: Some(DISK_RETRY) },
        CreateError::Timeout(_) => QuickRefused::TimedOut,
        CreateError::ForceStopped => QuickRefused::Cancelled(ContextDetail::ForcedStop),
        CreateError::Admit(AdmitRefusal::Exists { .. })
        // A quick connect names no snapshot.
        | CreateError::Snapshot(_)
        | CreateError::Misfit(_)
        | CreateError::Deleted(_)
        | CreateError::StartFailed(_)
        | CreateError::RunnerFailed(_) => QuickRefused::Failed(error.to_string()),
    }
}

/// Host, Origin and token for the edge's routes.
pub(crate) struct Guard {
    pub(crate) access: Access,
    /// Where the token may stand in the host.
    pub(crate) subdomains_of: Option<Parent>,
    /// Runners of sandboxes have keys of their own.
    pub(crate) runners: Arc<SandboxRunners>,
}

impl Authorize for Guard {
    fn authorize(
        &self,
        parts: &Parts,
        peer: Option<std::net::SocketAddr>,
    ) -> Result<Admitted, Denied> {
        let named = self.subdomains_of.as_ref().and_then(|parent| parent.with_key_as_token(parts));
        let checked = if self.runners.opens(parts) {
            self.access.check_without_token(parts, peer).map(|()| None)
        } else {
            let parts = named.as_ref().unwrap_or(parts);
            let principal = self.access.check(parts, peer, &Need::DEVTOOLS);
            principal.map(|principal| principal.withdrawal())
        };
        let denied = match checked {
            Ok(until) => return Ok(Admitted { until }),
            Err(denied) => denied,
        };
        let text = Cow::Owned(denied.to_string());
        Err(match denied.status() {
            StatusCode::BAD_REQUEST => Denied::BadHost(text),
            StatusCode::UNAUTHORIZED => Denied::Token(text),
            _ => Denied::Forbidden(text),
        })
    }
}
