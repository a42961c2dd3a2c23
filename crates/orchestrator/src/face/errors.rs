//! From refusals and failures to the table of error reasons.

use lockkeeper_api::{ApiError, Mistakes, Reason, SandboxAfter};

use crate::driver::RestartError as DriverRestartError;
use crate::launch::PlanError;
use crate::node::{DoorRefusal, StatusError};
use crate::registry::{AdmitRefusal, UpdateError};
use crate::snapshots::StoreError;
use crate::{
    ChangeError, CheckpointError, CreateError, DeleteError, OperationRefused, PauseError,
    RestartError, ResumeError, RoomRefused, SnapshotError,
};

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        let text = error.to_string();
        let new = |reason| Self::new(reason, SandboxAfter::None, text.clone());
        match error {
            CreateError::Plan(PlanError::Invalid(mistakes)) => {
                Self::bad_request(SandboxAfter::None, &mistakes)
            }
            CreateError::Plan(PlanError::UnknownTemplate { known, .. }) => {
                new(Reason::TemplateNotFound).with("known", known)
            }
            CreateError::Plan(PlanError::Unsupported { found, .. }) => {
                new(Reason::Unsupported).with("available", found)
            }
            CreateError::Plan(PlanError::NoCpuLimit { .. }) => new(Reason::Unsupported),
            CreateError::Snapshot(error) => error.into(),
            CreateError::Misfit(_) => new(Reason::SnapshotIncompatible),
            CreateError::DiskLow { .. } => new(Reason::DiskLow),
            CreateError::Door(refusal) => new(door_reason(&refusal)),
            CreateError::Admit(AdmitRefusal::Exists { state, .. }) => {
                Self::new(Reason::SandboxExists, SandboxAfter::Untouched, text.clone())
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
            CreateError::RunnerFailed(_) => new(Reason::RunnerStartFailed),
            CreateError::ForceStopped => new(Reason::ForceStopped),
        }
    }
}

fn door_reason(refusal: &DoorRefusal) -> Reason {
    match refusal {
        DoorRefusal::Draining => Reason::NodeDraining,
        DoorRefusal::Standby => Reason::NodeStandby,
        DoorRefusal::Unhealthy(_) => Reason::NodeUnhealthy,
        DoorRefusal::NotReady(_) => Reason::NodeNotReady,
    }
}

impl From<DeleteError> for ApiError {
    fn from(error: DeleteError) -> Self {
        let text = error.to_string();
        match error {
            DeleteError::Unknown(_) => Self::new(Reason::SandboxNotFound, SandboxAfter::None, text),
            DeleteError::Mismatch { present, .. } => {
                Self::new(Reason::LifecycleMismatch, SandboxAfter::Untouched, text)
                    .with("lifecycle_id", present.as_str())
            }
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        let text = error.to_string();
        match error {
            ChangeError::Invalid(mistakes) => Self::bad_request(SandboxAfter::Untouched, &mistakes),
            ChangeError::Refused(UpdateError::Unknown(_)) => {
                Self::new(Reason::SandboxNotFound, SandboxAfter::None, text)
            }
            ChangeError::Refused(UpdateError::Ending { state, .. }) => {
                Self::new(Reason::WrongState, SandboxAfter::Untouched, text)
                    .with("state", state.as_str())
            }
            ChangeError::Refused(UpdateError::Earlier { .. }) => {
                let mistakes = Mistakes::one("ttl", text);
                Self::bad_request(SandboxAfter::Untouched, &mistakes)
            }
        }
    }
}

impl From<StatusError> for ApiError {
    fn from(error: StatusError) -> Self {
        let reason = match error {
            StatusError::Transition => Reason::StatusTransition,
            StatusError::ShuttingDown => Reason::ShuttingDown,
        };
        Self::new(reason, SandboxAfter::Untouched, error.to_string())
    }
}

impl From<OperationRefused> for ApiError {
    fn from(error: OperationRefused) -> Self {
        let text = error.to_string();
        let untouched = |reason| Self::new(reason, SandboxAfter::Untouched, text.clone());
        let none = |reason| Self::new(reason, SandboxAfter::None, text.clone());
        match error {
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
        }
    }
}

impl From<RestartError> for ApiError {
    fn from(error: RestartError) -> Self {
        let text = error.to_string();
        let untouched = |reason| Self::new(reason, SandboxAfter::Untouched, text.clone());
        let restored = |reason| Self::new(reason, SandboxAfter::Running, text.clone());
        match error {
            RestartError::Invalid(mistakes) => {
                Self::bad_request(SandboxAfter::Untouched, &mistakes)
            }
            RestartError::Refused(refused) => refused.into(),
            RestartError::Driver(error) => match error {
                DriverRestartError::Unsupported => untouched(Reason::Unsupported),
                DriverRestartError::Busy => untouched(Reason::OperationInProgress),
                DriverRestartError::Refused(text) => {
                    let mistakes = Mistakes::one("flags", text);
                    Self::bad_request(SandboxAfter::Untouched, &mistakes)
                }
                DriverRestartError::Gone => untouched(Reason::WrongState),
                DriverRestartError::Restored { generation, .. } => {
                    restored(Reason::RestartFailed).with("generation", generation.to_string())
                }
                DriverRestartError::Down { .. } => restored(Reason::RestartFailed),
            },
        }
    }
}

impl From<PauseError> for ApiError {
    fn from(error: PauseError) -> Self {
        let text = error.to_string();
        match error {
            PauseError::Refused(refused) => refused.into(),
            PauseError::NoRoom(refused) => refused.into(),
            PauseError::NotSaved(_) => {
                Self::new(Reason::PauseNotSaved, SandboxAfter::Running, text)
            }
            PauseError::Gone { reason, .. } => {
                Self::new(Reason::PauseNotSaved, SandboxAfter::Gone, text)
                    .with("stop_reason", reason.as_str())
            }
            PauseError::ForceStopped => {
                Self::new(Reason::ForceStopped, SandboxAfter::Untouched, text)
            }
        }
    }
}

impl From<ResumeError> for ApiError {
    fn from(error: ResumeError) -> Self {
        let text = error.to_string();
        let untouched = |reason| Self::new(reason, SandboxAfter::Untouched, text.clone());
        match error {
            ResumeError::Refused(refused) => refused.into(),
            ResumeError::Door(refusal) => untouched(door_reason(&refusal)),
            ResumeError::Admit(AdmitRefusal::Full { retry, .. }) => {
                untouched(Reason::NodeFull).retry_after(retry)
            }
            ResumeError::Admit(AdmitRefusal::Busy { retry, .. })
            | ResumeError::NoSlot { retry } => untouched(Reason::NodeBusy).retry_after(retry),
            ResumeError::Admit(AdmitRefusal::Exists { .. }) => untouched(Reason::SandboxExists),
            ResumeError::Timeout(_) => untouched(Reason::StartTimeout),
            ResumeError::StartFailed(_) => untouched(Reason::BrowserStartFailed),
            ResumeError::RunnerFailed(_) => untouched(Reason::RunnerStartFailed),
            ResumeError::ForceStopped => untouched(Reason::ForceStopped),
            ResumeError::Ended { reason } => {
                Self::new(Reason::StartCancelled, SandboxAfter::Gone, text)
                    .with("stop_reason", reason.as_str())
            }
        }
    }
}

/// What a failure of the store before anything was done means.
fn store_error(error: &StoreError, after: SandboxAfter) -> ApiError {
    let reason = match error {
        StoreError::NotFound(_) => Reason::SnapshotNotFound,
        StoreError::Full(_) => Reason::StoreFull,
        StoreError::Damaged(_) => Reason::SnapshotIncompatible,
        StoreError::Unavailable(_) | StoreError::Cut | StoreError::Profile(_) => {
            Reason::StoreUnavailable
        }
    };
    ApiError::new(reason, after, error.to_string())
}

impl From<SnapshotError> for ApiError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::NoStore => {
                Self::new(Reason::Unsupported, SandboxAfter::None, error.to_string())
            }
            SnapshotError::Store(error) => store_error(&error, SandboxAfter::None),
        }
    }
}

impl From<RoomRefused> for ApiError {
    fn from(error: RoomRefused) -> Self {
        let reason = match error {
            RoomRefused::DiskLow { .. } => Reason::DiskLow,
            RoomRefused::Unsupported => Reason::Unsupported,
            RoomRefused::Unwritable(_) => Reason::StoreUnavailable,
        };
        Self::new(reason, SandboxAfter::Untouched, error.to_string())
    }
}

impl From<CheckpointError> for ApiError {
    fn from(error: CheckpointError) -> Self {
        let text = error.to_string();
        let new = |reason, after| Self::new(reason, after, text.clone());
        match error {
            CheckpointError::Refused(refused) => refused.into(),
            CheckpointError::NoRoom(refused) => refused.into(),
            CheckpointError::Door(refusal) => new(door_reason(&refusal), SandboxAfter::Untouched),
            CheckpointError::NoStore => new(Reason::Unsupported, SandboxAfter::Untouched),
            CheckpointError::NoSlot { retry } => {
                new(Reason::NodeBusy, SandboxAfter::Untouched).retry_after(retry)
            }
            CheckpointError::Store(error) => store_error(&error, SandboxAfter::Untouched),
            CheckpointError::NotSaved(_) => new(Reason::CheckpointNotSaved, SandboxAfter::Running),
            CheckpointError::Gone { reason, snapshot, .. } => {
                let error = new(Reason::CheckpointNotSaved, SandboxAfter::Gone)
                    .with("stop_reason", reason.as_str());
                match snapshot {
                    Some(id) => error.with("snapshot_id", id.as_str()),
                    None => error,
                }
            }
            CheckpointError::ForceStopped => new(Reason::ForceStopped, SandboxAfter::Untouched),
        }
    }
}
