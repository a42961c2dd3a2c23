//! `/v1/sandboxes/{id}/pause` and `/v1/sandboxes/{id}/resume`.

use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode, Uri};
use lockkeeper_api::{ApiError, OperationRequest, Reason, SandboxAfter};

use super::answer::{Answer, Refusal, json};
use super::errors::door_reason;
use super::query::Parameters;
use super::sandboxes::checked;
use super::{Face, body};
use crate::ids::LifecycleId;
use crate::registry::AdmitRefusal;
use crate::{PauseError, PauseOptions, ResumeError};

pub(super) async fn pause(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let id = checked(&id)?;
    let options = options(&face, &uri, &headers, body).await?;
    let snapshot = face.orchestrator.pause(id.as_str(), options).await?;
    Ok(json(StatusCode::OK, &face.view(&snapshot, &uri, &headers)))
}

pub(super) async fn resume(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let id = checked(&id)?;
    let options = options(&face, &uri, &headers, body).await?;
    let snapshot = face.orchestrator.resume(id.as_str(), options).await?;
    Ok(json(StatusCode::OK, &face.view(&snapshot, &uri, &headers)))
}

pub(super) async fn options(
    face: &Face,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<PauseOptions, Refusal> {
    Parameters::parse(uri, &[])?.finish(())?;
    let bytes = body::read(headers, body, face.orchestrator.config().body_limit).await?;
    let request = OperationRequest::from_json(&bytes)
        .map_err(|mistakes| ApiError::bad_request(SandboxAfter::Untouched, &mistakes))?;
    let lifecycle = request.lifecycle_id.map(LifecycleId::new);
    Ok(PauseOptions { lifecycle, request: request.request_id })
}

impl From<PauseError> for Refusal {
    fn from(error: PauseError) -> Self {
        let text = error.to_string();
        Self(match error {
            PauseError::Refused(refused) => return refused.into(),
            PauseError::NoRoom(refused) => return refused.into(),
            PauseError::NotSaved(_) => {
                ApiError::new(Reason::PauseNotSaved, SandboxAfter::Running, text)
            }
            PauseError::Gone { reason, .. } => {
                ApiError::new(Reason::PauseNotSaved, SandboxAfter::Gone, text)
                    .with("stop_reason", reason.as_str())
            }
            PauseError::ForceStopped => {
                ApiError::new(Reason::ForceStopped, SandboxAfter::Untouched, text)
            }
        })
    }
}

impl From<ResumeError> for Refusal {
    fn from(error: ResumeError) -> Self {
        let text = error.to_string();
        let untouched = |reason| ApiError::new(reason, SandboxAfter::Untouched, text.clone());
        Self(match error {
            ResumeError::Refused(refused) => return refused.into(),
            ResumeError::Door(refusal) => untouched(door_reason(&refusal)),
            ResumeError::Admit(AdmitRefusal::Full { retry, .. }) => {
                untouched(Reason::NodeFull).retry_after(retry)
            }
            ResumeError::Admit(AdmitRefusal::Busy { retry, .. })
            | ResumeError::NoSlot { retry } => untouched(Reason::NodeBusy).retry_after(retry),
            ResumeError::Admit(AdmitRefusal::Exists { .. }) => untouched(Reason::SandboxExists),
            ResumeError::Timeout(_) => untouched(Reason::StartTimeout),
            ResumeError::StartFailed(_) => untouched(Reason::BrowserStartFailed),
            ResumeError::ForceStopped => untouched(Reason::ForceStopped),
            ResumeError::Ended { reason } => {
                ApiError::new(Reason::StartCancelled, SandboxAfter::Gone, text)
                    .with("stop_reason", reason.as_str())
            }
        })
    }
}
