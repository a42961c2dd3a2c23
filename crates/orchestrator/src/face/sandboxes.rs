//! Calls about sandboxes. `host` is the one that the client used, for the addresses it is shown.

use lockkeeper_api::{
    ApiError, CheckpointView, CreateRequest, DeleteWait, Mistakes, OperationRequest, Reason,
    RestartRequest, SandboxAfter, SandboxEvent, SandboxList, SandboxView, UpdateRequest,
};

use super::{Caller, Face, wrong};
use crate::ids::{LifecycleId, SandboxId, SandboxIdError};
use crate::watch::Missed;
use crate::{DeleteOptions, ListFilter, PauseOptions, Snapshot, Watched};

type Host<'a> = Option<&'a str>;

impl Face {
    pub(crate) async fn create(
        &self,
        request: CreateRequest,
        host: Host<'_>,
    ) -> Result<SandboxView, ApiError> {
        let snapshot = self.orchestrator.create(request).await?;
        Ok(self.view(&snapshot, host))
    }

    pub(crate) fn get(&self, id: &str, host: Host<'_>) -> Result<SandboxView, ApiError> {
        let id = checked(id)?;
        match self.orchestrator.get(id.as_str()) {
            Some(snapshot) => Ok(self.view(&snapshot, host)),
            None => {
                let text = format!("no sandbox with the id `{id}` is known");
                Err(ApiError::new(Reason::SandboxNotFound, SandboxAfter::None, text))
            }
        }
    }

    /// With everything that is known of it, if `full`.
    pub(crate) async fn look(
        &self,
        id: &str,
        full: bool,
        host: Host<'_>,
    ) -> Result<SandboxView, ApiError> {
        let view = self.get(id, host)?;
        match self.orchestrator.get(id).filter(|_| full) {
            Some(snapshot) => {
                let details = Some(self.orchestrator.details(&snapshot).await);
                Ok(SandboxView { details, ..view })
            }
            None => Ok(view),
        }
    }

    pub(crate) fn list(&self, filter: &ListFilter, host: Host<'_>) -> SandboxList {
        let page = self.orchestrator.list(filter);
        SandboxList {
            sandboxes: page.sandboxes.iter().map(|snapshot| self.view(snapshot, host)).collect(),
            next: page.next.map(|seq| seq.to_string()),
            node_id: self.node_id(),
        }
    }

    pub(crate) fn update(
        &self,
        id: &str,
        request: UpdateRequest,
        host: Host<'_>,
    ) -> Result<SandboxView, ApiError> {
        let id = checked(id)?;
        match self.orchestrator.update(id.as_str(), request) {
            Ok(snapshot) => Ok(self.view(&snapshot, host)),
            Err(error) => Err(self.ended(&id).unwrap_or_else(|| error.into())),
        }
    }

    pub(crate) async fn pause(
        &self,
        id: &str,
        request: OperationRequest,
        host: Host<'_>,
    ) -> Result<SandboxView, ApiError> {
        let id = checked(id)?;
        let snapshot = self.orchestrator.pause(id.as_str(), options(request)).await?;
        Ok(self.view(&snapshot, host))
    }

    pub(crate) async fn resume(
        &self,
        id: &str,
        request: OperationRequest,
        host: Host<'_>,
    ) -> Result<SandboxView, ApiError> {
        let id = checked(id)?;
        let snapshot = self.orchestrator.resume(id.as_str(), options(request)).await?;
        Ok(self.view(&snapshot, host))
    }

    pub(crate) async fn checkpoint(
        &self,
        id: &str,
        request: OperationRequest,
        host: Host<'_>,
    ) -> Result<CheckpointView, ApiError> {
        let id = checked(id)?;
        let made = self.orchestrator.checkpoint(id.as_str(), options(request)).await?;
        let sandbox = self.view(&made.sandbox, host);
        Ok(CheckpointView { snapshot: self.manifest(&made.snapshot), sandbox })
    }

    pub(crate) async fn restart_browser(
        &self,
        id: &str,
        request: RestartRequest,
        host: Host<'_>,
    ) -> Result<SandboxView, ApiError> {
        let id = checked(id)?;
        match self.orchestrator.restart_browser(id.as_str(), request).await {
            Ok(snapshot) => Ok(self.view(&snapshot, host)),
            Err(error) => Err(self.ended(&id).unwrap_or_else(|| error.into())),
        }
    }

    pub(crate) async fn delete(
        &self,
        id: &str,
        wait: DeleteWait,
        lifecycle: Option<String>,
        caller: Option<&Caller>,
        host: Host<'_>,
    ) -> Result<SandboxView, ApiError> {
        let id = checked(id)?;
        let lifecycle = lifecycle.map(LifecycleId::new);
        let detail = match caller {
            Some(Caller(name)) => format!("api, by {name}"),
            None => "api".to_owned(),
        };
        let options = DeleteOptions { wait, lifecycle, detail };
        let snapshot = self.orchestrator.delete(id.as_str(), options).await?;
        Ok(self.view(&snapshot, host))
    }

    /// What somebody who watches is told.
    pub(crate) fn event(&self, watched: &Watched, host: Host<'_>) -> SandboxEvent {
        let view = |snapshot| Box::new(self.view(snapshot, host));
        match watched {
            Watched::Present(sandbox) => SandboxEvent::Present { sandbox: view(sandbox) },
            Watched::Synced { sandboxes, .. } => {
                SandboxEvent::Synced { node_id: self.node_id(), sandboxes: *sandboxes }
            }
            Watched::Changed { sandbox, .. } => SandboxEvent::Changed { sandbox: view(sandbox) },
            Watched::Gap(missed) => {
                let cause = match missed {
                    Missed::Overtaken => "overtaken",
                    Missed::Foreign => "restarted",
                };
                SandboxEvent::Gap { node_id: self.node_id(), cause: cause.to_owned() }
            }
        }
    }

    fn view(&self, snapshot: &Snapshot, host: Host<'_>) -> SandboxView {
        let record = snapshot.record();
        let mut urls = self.urls.urls(host, record.id.as_str());
        let ports = self.ports.as_ref();
        urls.port_url =
            ports.and_then(|ports| ports.url(record.id.as_str(), &record.lifecycle, host));
        snapshot.view(urls, &self.orchestrator.config().node_id)
    }

    /// If it has ended and is remembered: why and when.
    fn ended(&self, id: &SandboxId) -> Option<ApiError> {
        let snapshot = self.orchestrator.get(id.as_str())?;
        let view = snapshot.view(self.urls.urls(None, id.as_str()), "");
        let at = view.stopped_at_ms?;
        let reason = view.stop_reason?;
        let text = format!("the sandbox `{id}` has ended: {reason}");
        let error = ApiError::new(Reason::SandboxStopped, SandboxAfter::None, text)
            .with("stop_reason", reason)
            .with("stopped_at_ms", at.to_string());
        Some(error)
    }
}

fn options(request: OperationRequest) -> PauseOptions {
    let lifecycle = request.lifecycle_id.map(LifecycleId::new);
    PauseOptions { lifecycle, request: request.request_id }
}

/// An id in an address is checked as one in a body is.
fn checked(id: &str) -> Result<SandboxId, ApiError> {
    id.parse().map_err(|error: SandboxIdError| wrong(&Mistakes::one("id", error.to_string())))
}
