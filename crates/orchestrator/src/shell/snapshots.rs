//! Snapshots: what is stored, and sandboxes that are made from them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use lockkeeper_api::{CreateRequest, Mistakes};
use telemetry::fields;
use tokio_util::sync::CancellationToken;

use super::checkpoint::panicked;
use super::create::CreateError;
use super::task::Life;
use super::{Orchestrator, Shared, now};
use crate::driver::ProfileId;
use crate::launch::{Plan, PlanError};
use crate::lifecycle::State;
use crate::snapshots::{
    Manifest, SnapshotId, SnapshotIdError, SnapshotPage, SnapshotStore, StoreError,
};

/// Why a call about snapshots failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// This node has no store.
    #[error("this node keeps no snapshots")]
    NoStore,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SnapshotError {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoStore => "no_store",
            Self::Store(error) => error.kind(),
        }
    }
}

/// How often it is looked at what has been kept for long enough.
const LOOK: Duration = Duration::from_secs(10 * 60);

impl Orchestrator {
    /// Snapshots behind `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn snapshots(
        &self,
        after: Option<&SnapshotId>,
        limit: usize,
    ) -> Result<SnapshotPage, SnapshotError> {
        Ok(self.store()?.list(after, limit).await?)
    }

    /// One of them.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Manifest, SnapshotError> {
        Ok(self.store()?.get(id).await?)
    }

    /// Removes one. Sandboxes that were made from it keep their copies.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    ///
    /// # Cancel safety
    /// May be dropped; it is then there or gone, never half.
    pub async fn delete_snapshot(&self, id: &SnapshotId) -> Result<(), SnapshotError> {
        Ok(self.store()?.remove(id).await?)
    }

    fn store(&self) -> Result<&SnapshotStore, SnapshotError> {
        self.shared.config.snapshots.as_ref().ok_or(SnapshotError::NoStore)
    }
}

impl Shared {
    /// What a create asks for, and the snapshot that it begins with.
    ///
    /// # Errors
    /// What can be said before anything is reserved.
    pub(super) async fn plan(
        &self,
        mut request: CreateRequest,
    ) -> Result<(Plan, Option<Manifest>), CreateError> {
        let repeats = |id: &str| self.lock().made_by(id).is_some();
        let manifest = match request.snapshot_id.take() {
            // A repeat gets the first outcome, whatever became of the snapshot since.
            Some(_) if request.request_id.as_deref().is_some_and(repeats) => None,
            Some(text) => {
                let id: SnapshotId = text.parse().map_err(|error: SnapshotIdError| {
                    PlanError::Invalid(Mistakes::one("snapshot_id", error.to_string()))
                })?;
                // A node that takes no new work does not look at its store for it.
                self.lock().node.admit()?;
                let store = self.config.snapshots.as_ref().ok_or(SnapshotError::NoStore)?;
                Some(store.get(&id).await.map_err(SnapshotError::Store)?)
            }
            None => None,
        };
        let usual = manifest.as_ref().map(|manifest| manifest.about.flavour);
        if let Some(manifest) = &manifest {
            request.template.get_or_insert_with(|| manifest.about.template.clone());
        }
        let plan = Plan::with(request, usual, &self.config, &self.capabilities)?;
        match usual.filter(|usual| *usual != plan.flavour) {
            Some(usual) => Err(CreateError::Misfit(format!(
                "the snapshot is of a {usual}, and a {asked} was asked for; they cannot read each \
                 other's profiles",
                usual = usual.as_str(),
                asked = plan.flavour.as_str(),
            ))),
            None => Ok((plan, manifest)),
        }
    }

    /// Removes what an earlier daemon did not finish, then from time to time what is too old or too
    /// much. Ends with the node.
    pub(super) async fn keep_store(self: Arc<Self>) {
        let Some(store) = self.config.snapshots.clone() else { return };
        match store.sweep().await {
            Ok(0) => {}
            Ok(swept) => tracing::info!(swept, "unfinished snapshots were removed"),
            Err(error) => tracing::warn!(%error, "unfinished snapshots could not be looked for"),
        }
        if store.retention() == crate::snapshots::Retention::default() {
            return;
        }
        loop {
            retain(&store).await;
            tokio::select! {
                () = self.abandon.cancelled() => return,
                () = self.stored.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

async fn retain(store: &SnapshotStore) {
    match store.retain(now().wall).await {
        Ok(removed) => {
            for id in removed {
                tracing::info!(snapshot.id = %id, "a snapshot was kept for long enough");
            }
        }
        Err(error) => tracing::warn!(%error, "old snapshots could not be removed"),
    }
}

impl Life {
    /// Makes the profile of a sandbox that is to begin where a snapshot was taken.
    ///
    /// # Errors
    /// One line for a person. What was made goes with the sandbox.
    pub(super) async fn unpack(&mut self, manifest: &Manifest) -> Result<(), String> {
        let Some(store) = self.shared.config.snapshots.clone() else {
            return Err("this node keeps no snapshots".to_owned());
        };
        let lifecycle = self.handles.lifecycle.clone();
        let profile = ProfileId::of(&lifecycle);
        // Noted before there is anything, so that it is removed whatever happens.
        self.shared.change(|registry, _| {
            registry.note_profile(&lifecycle, Some(profile.clone()));
            Vec::new()
        });
        let (driver, stop) = (Arc::clone(&self.shared.driver), CancellationToken::new());
        let read = |source| {
            let most = manifest.unpacked;
            let import = async move { driver.import(profile, source, most).await };
            async { panicked(AssertUnwindSafe(import).catch_unwind().await) }
        };
        let mut load = Box::pin(store.load(manifest, &stop, read));
        let mut progress = self.handles.progress.subscribe();
        let unwanted = progress.wait_for(|progress| progress.state != State::Starting);
        tokio::select! {
            outcome = &mut load => {
                return outcome.map(drop).map_err(|error| {
                    tracing::warn!({ fields::LIFECYCLE_ID } = %lifecycle, %error, "not restored");
                    format!("the snapshot could not be restored: {error}")
                });
            }
            _ = unwanted => stop.cancel(),
        }
        let grace = self.shared.config.cancel_grace;
        let _ = tokio::time::timeout(grace, load).await;
        Err("it is no longer wanted".to_owned())
    }
}
