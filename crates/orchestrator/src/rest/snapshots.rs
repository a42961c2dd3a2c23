//! `/v1/sandboxes/{id}/checkpoint` and `/v1/snapshots`.

use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode, Uri};
use lockkeeper_api::{
    ApiError, CheckpointView, Mistakes, Reason, SandboxAfter, SnapshotList, SnapshotView,
};

use super::Face;
use super::answer::{Answer, Refusal, json};
use super::errors::door_reason;
use super::park::options;
use super::query::Parameters;
use super::sandboxes::checked;
use crate::shell::millis;
use crate::snapshots::{Manifest, SnapshotId, StoreError};
use crate::{CheckpointError, RoomRefused, SnapshotError};

/// At most so many snapshots in one page: each of them is read from the store.
const PAGE_MAX: u64 = 1000;

/// How many a page has that does not say.
const PAGE: usize = 100;

pub(super) async fn checkpoint(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let id = checked(&id)?;
    let options = options(&face, &uri, &headers, body).await?;
    let made = face.orchestrator.checkpoint(id.as_str(), options).await?;
    let sandbox = face.view(&made.sandbox, &uri, &headers);
    Ok(json(StatusCode::OK, &CheckpointView { snapshot: face.snapshot(&made.snapshot), sandbox }))
}

pub(super) async fn list(State(face): State<Face>, uri: Uri) -> Answer {
    let mut query = Parameters::parse(&uri, &["limit", "after"])?;
    let limit = query.number("limit");
    if let Some(n) = limit.filter(|n| !(1..=PAGE_MAX).contains(n)) {
        query.mistake("limit", format!("{n} is not between 1 and {PAGE_MAX}"));
    }
    let after = match query.one("after").map(|text| text.parse::<SnapshotId>()) {
        Some(Ok(id)) => Some(id),
        Some(Err(error)) => {
            query.mistake("after", error.to_string());
            None
        }
        None => None,
    };
    let after = query.finish(after)?;
    let limit = limit.map_or(PAGE, |n| n.min(PAGE_MAX) as usize);
    let page = face.orchestrator.snapshots(after.as_ref(), limit).await?;
    let list = SnapshotList {
        snapshots: page.snapshots.iter().map(|manifest| face.snapshot(manifest)).collect(),
        next: page.next.map(|id| id.to_string()),
        node_id: face.orchestrator.config().node_id.clone(),
    };
    Ok(json(StatusCode::OK, &list))
}

pub(super) async fn get(State(face): State<Face>, Path(id): Path<String>, uri: Uri) -> Answer {
    Parameters::parse(&uri, &[])?.finish(())?;
    let manifest = face.orchestrator.snapshot(&snapshot_id(&id)?).await?;
    Ok(json(StatusCode::OK, &face.snapshot(&manifest)))
}

pub(super) async fn delete(State(face): State<Face>, Path(id): Path<String>, uri: Uri) -> Answer {
    Parameters::parse(&uri, &[])?.finish(())?;
    let id = snapshot_id(&id)?;
    // Shown a last time, so that whoever removed the wrong one knows what it was.
    let manifest = face.orchestrator.snapshot(&id).await?;
    face.orchestrator.delete_snapshot(&id).await?;
    Ok(json(StatusCode::OK, &face.snapshot(&manifest)))
}

fn snapshot_id(id: &str) -> Result<SnapshotId, Refusal> {
    id.parse().map_err(|error: crate::snapshots::SnapshotIdError| {
        let mistakes = Mistakes::one("id", error.to_string());
        ApiError::bad_request(SandboxAfter::None, &mistakes).into()
    })
}

impl Face {
    fn snapshot(&self, manifest: &Manifest) -> SnapshotView {
        let config = self.orchestrator.config();
        let ends = config.snapshots.as_ref().and_then(|store| {
            let ttl = store.retention().ttl;
            (!ttl.is_zero()).then(|| manifest.created_at_ms.saturating_add(millis(ttl)))
        });
        let about = manifest.about.clone();
        SnapshotView {
            id: manifest.id().to_string(),
            sandbox_id: about.sandbox,
            execution_id: about.execution,
            lifecycle_id: about.lifecycle,
            template: about.template,
            flavour: about.flavour.as_str().to_owned(),
            browser: about.browser,
            labels: about.labels,
            created_at_ms: manifest.created_at_ms,
            expires_at_ms: ends,
            bytes: manifest.bytes,
            unpacked_bytes: manifest.unpacked,
            sha256: manifest.sha256.clone(),
            made_by: about.node,
            node_id: config.node_id.clone(),
        }
    }
}

/// What a failure of the store before anything was done means.
pub(super) fn store_error(error: &StoreError, after: SandboxAfter) -> ApiError {
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

impl From<SnapshotError> for Refusal {
    fn from(error: SnapshotError) -> Self {
        Self(match error {
            SnapshotError::NoStore => {
                ApiError::new(Reason::Unsupported, SandboxAfter::None, error.to_string())
            }
            SnapshotError::Store(error) => store_error(&error, SandboxAfter::None),
        })
    }
}

impl From<RoomRefused> for Refusal {
    fn from(error: RoomRefused) -> Self {
        let reason = match error {
            RoomRefused::DiskLow { .. } => Reason::DiskLow,
            RoomRefused::Unsupported => Reason::Unsupported,
            RoomRefused::Unwritable(_) => Reason::StoreUnavailable,
        };
        Self(ApiError::new(reason, SandboxAfter::Untouched, error.to_string()))
    }
}

impl From<CheckpointError> for Refusal {
    fn from(error: CheckpointError) -> Self {
        let text = error.to_string();
        let new = |reason, after| ApiError::new(reason, after, text.clone());
        Self(match error {
            CheckpointError::Refused(refused) => return refused.into(),
            CheckpointError::NoRoom(refused) => return refused.into(),
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
        })
    }
}
