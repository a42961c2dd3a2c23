//! From refusals and failures to the table of error reasons.

use lockkeeper_api::{ApiError, Mistakes, Reason, SandboxAfter};

use super::answer::Refusal;
use crate::driver::RestartError as DriverRestartError;
use crate::launch::PlanError;
use crate::node::{DoorRefusal, StatusError};
use crate::registry::{AdmitRefusal, UpdateError};
use crate::{ChangeError, CreateError, DeleteError, OperationRefused, RestartError};

impl From<CreateError> for Refusal {
    fn from(error: CreateError) -> Self {
        let text = error.to_string();
        let new = |reason| ApiError::new(reason, SandboxAfter::None, text.clone());
        Self(match error {
            CreateError::Plan(PlanError::Invalid(mistakes)) => {
                ApiError::bad_request(SandboxAfter::None, &mistakes)
            }
            CreateError::Plan(PlanError::UnknownTemplate { known, .. }) => {
                new(Reason::TemplateNotFound).with("known", known)
            }
            CreateError::Plan(PlanError::Unsupported { found, .. }) => {
                new(Reason::Unsupported).with("available", found)
            }
            CreateError::Plan(PlanError::NoCpuLimit { .. }) => new(Reason::Unsupported),
            CreateError::Snapshot(error) => return error.into(),
            CreateError::Misfit(_) => new(Reason::SnapshotIncompatible),
            CreateError::DiskLow { .. } => new(Reason::DiskLow),
            CreateError::Door(refusal) => new(door_reason(&refusal)),
            CreateError::Admit(AdmitRefusal::Exists { state, .. }) => {
                ApiError::new(Reason::SandboxExists, SandboxAfter::Untouched, text.clone())
                    .with("state", state.as_str())
            }
            CreateError::Admit(AdmitRefusal::Full { retry, .. }) => {
                new(Reason::NodeFull).retry_after(retry)
            }
            CreateError::Admit(AdmitRefusal::Busy { retry, .. })
            | CreateError::QueueTimeout { retry, .. } => new(Reason::NodeBusy).retry_after(retry),
            CreateError::Deleted(_) => new(Reason::StartCancelled),
            CreateError::Timeout(_) => new(Reason::StartTimeout),
            CreateError::StartFailed(_) => new(Reason::BrowserStartFailed),
            CreateError::ForceStopped => new(Reason::ForceStopped),
        })
    }
}

pub(super) fn door_reason(refusal: &DoorRefusal) -> Reason {
    match refusal {
        DoorRefusal::Draining => Reason::NodeDraining,
        DoorRefusal::Standby => Reason::NodeStandby,
        DoorRefusal::Unhealthy(_) => Reason::NodeUnhealthy,
        DoorRefusal::NotReady(_) => Reason::NodeNotReady,
    }
}

impl From<DeleteError> for Refusal {
    fn from(error: DeleteError) -> Self {
        let text = error.to_string();
        Self(match error {
            DeleteError::Unknown(_) => {
                ApiError::new(Reason::SandboxNotFound, SandboxAfter::None, text)
            }
            DeleteError::Mismatch { present, .. } => {
                ApiError::new(Reason::LifecycleMismatch, SandboxAfter::Untouched, text)
                    .with("lifecycle_id", present.as_str())
            }
        })
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        let text = error.to_string();
        Self(match error {
            ChangeError::Invalid(mistakes) => {
                ApiError::bad_request(SandboxAfter::Untouched, &mistakes)
            }
            ChangeError::Refused(UpdateError::Unknown(_)) => {
                ApiError::new(Reason::SandboxNotFound, SandboxAfter::None, text)
            }
            ChangeError::Refused(UpdateError::Ending { state, .. }) => {
                ApiError::new(Reason::WrongState, SandboxAfter::Untouched, text)
                    .with("state", state.as_str())
            }
            ChangeError::Refused(UpdateError::Earlier { .. }) => {
                let mistakes = Mistakes::one("ttl", text);
                ApiError::bad_request(SandboxAfter::Untouched, &mistakes)
            }
        })
    }
}

impl From<StatusError> for Refusal {
    fn from(error: StatusError) -> Self {
        let reason = match error {
            StatusError::Transition => Reason::StatusTransition,
            StatusError::ShuttingDown => Reason::ShuttingDown,
        };
        Self(ApiError::new(reason, SandboxAfter::Untouched, error.to_string()))
    }
}

impl From<OperationRefused> for Refusal {
    fn from(error: OperationRefused) -> Self {
        let text = error.to_string();
        let untouched = |reason| ApiError::new(reason, SandboxAfter::Untouched, text.clone());
        let none = |reason| ApiError::new(reason, SandboxAfter::None, text.clone());
        Self(match error {
            OperationRefused::Unknown(_) => none(Reason::SandboxNotFound),
            OperationRefused::Stopped { reason, at, .. } => {
                let at = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                none(Reason::SandboxStopped)
                    .with("stop_reason", reason.as_str())
                    .with("stopped_at_ms", at.as_millis().to_string())
            }
            OperationRefused::Mismatch { present, .. } => {
                untouched(Reason::LifecycleMismatch).with("lifecycle_id", present.as_str())
            }
            OperationRefused::State { state, .. } => {
                untouched(Reason::WrongState).with("state", state.as_str())
            }
            OperationRefused::InProgress { state, .. } => {
                untouched(Reason::OperationInProgress).with("state", state.as_str())
            }
        })
    }
}

impl From<RestartError> for Refusal {
    fn from(error: RestartError) -> Self {
        let text = error.to_string();
        let untouched = |reason| ApiError::new(reason, SandboxAfter::Untouched, text.clone());
        let restored = |reason| ApiError::new(reason, SandboxAfter::Running, text.clone());
        Self(match error {
            RestartError::Invalid(mistakes) => {
                ApiError::bad_request(SandboxAfter::Untouched, &mistakes)
            }
            RestartError::Refused(refused) => return refused.into(),
            RestartError::Driver(error) => match error {
                DriverRestartError::Unsupported => untouched(Reason::Unsupported),
                DriverRestartError::Busy => untouched(Reason::OperationInProgress),
                DriverRestartError::Refused(text) => {
                    let mistakes = Mistakes::one("flags", text);
                    ApiError::bad_request(SandboxAfter::Untouched, &mistakes)
                }
                DriverRestartError::Gone => untouched(Reason::WrongState),
                DriverRestartError::Restored { generation, .. } => {
                    restored(Reason::RestartFailed).with("generation", generation.to_string())
                }
                DriverRestartError::Down { .. } => restored(Reason::RestartFailed),
            },
        })
    }
}
