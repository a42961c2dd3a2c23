//! `lockkeeper.v1.SnapshotService`.

use lockkeeper_api::proto::snapshot_service_server::SnapshotService;
use lockkeeper_api::proto::{
    DeleteSnapshotRequest, GetSnapshotRequest, ListSnapshotsRequest, ListSnapshotsResponse,
    Snapshot,
};
use tonic::Request;

use super::{Answer, answer, requests};
use crate::face::Face;

#[tonic::async_trait]
impl SnapshotService for Face {
    async fn list(&self, request: Request<ListSnapshotsRequest>) -> Answer<ListSnapshotsResponse> {
        answer(match requests::snapshots(request.into_inner()) {
            Ok((after, limit)) => Face::snapshots(self, after.as_ref(), limit).await,
            Err(error) => Err(error),
        })
    }

    async fn get(&self, request: Request<GetSnapshotRequest>) -> Answer<Snapshot> {
        answer(self.snapshot(&request.into_inner().id).await)
    }

    async fn delete(&self, request: Request<DeleteSnapshotRequest>) -> Answer<Snapshot> {
        answer(self.delete_snapshot(&request.into_inner().id).await)
    }
}
