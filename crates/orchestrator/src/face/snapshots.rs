//! Calls about snapshots.

use lockkeeper_api::{ApiError, Mistakes, SandboxAfter, SnapshotList, SnapshotView};

use super::Face;
use crate::shell::millis;
use crate::snapshots::{Manifest, SnapshotId, SnapshotIdError};

/// How many a page has that does not say: each of them is read from the store.
const PAGE: usize = 100;

impl Face {
    pub(crate) async fn snapshots(
        &self,
        after: Option<&SnapshotId>,
        limit: Option<usize>,
    ) -> Result<SnapshotList, ApiError> {
        let page = self.orchestrator.snapshots(after, limit.unwrap_or(PAGE)).await?;
        Ok(SnapshotList {
            snapshots: page.snapshots.iter().map(|manifest| self.manifest(manifest)).collect(),
            next: page.next.map(|id| id.to_string()),
            node_id: self.node_id(),
        })
    }

    pub(crate) async fn snapshot(&self, id: &str) -> Result<SnapshotView, ApiError> {
        Ok(self.manifest(&self.orchestrator.snapshot(&snapshot_id(id)?).await?))
    }

    /// Shown a last time, so that whoever removed the wrong one knows what it was.
    pub(crate) async fn delete_snapshot(&self, id: &str) -> Result<SnapshotView, ApiError> {
        let id = snapshot_id(id)?;
        let manifest = self.orchestrator.snapshot(&id).await?;
        self.orchestrator.delete_snapshot(&id).await?;
        Ok(self.manifest(&manifest))
    }

    pub(super) fn manifest(&self, manifest: &Manifest) -> SnapshotView {
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

fn snapshot_id(id: &str) -> Result<SnapshotId, ApiError> {
    id.parse().map_err(|error: SnapshotIdError| {
        ApiError::bad_request(SandboxAfter::None, &Mistakes::one("id", error.to_string()))
    })
}
