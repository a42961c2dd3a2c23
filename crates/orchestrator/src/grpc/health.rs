//! `grpc.health.v1`, computed from the door: it cannot disagree with what is admitted.

use futures_util::stream::unfold;
use lockkeeper_api::proto::node_service_server as node;
use lockkeeper_api::proto::sandbox_service_server as sandbox;
use lockkeeper_api::proto::snapshot_service_server as snapshot;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{Answer, Answers};
use crate::{DrainWatch, Orchestrator};

pub(super) struct Health(pub(super) Orchestrator);

/// The empty name is the whole node. The door is one, so all have the same answer.
const NAMES: [&str; 4] = ["", sandbox::SERVICE_NAME, snapshot::SERVICE_NAME, node::SERVICE_NAME];

#[tonic::async_trait]
impl tonic_health::pb::health_server::Health for Health {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Answer<HealthCheckResponse> {
        let name = request.into_inner().service;
        if !NAMES.contains(&name.as_str()) {
            return Err(Status::not_found("no such service; the empty name is the whole node"));
        }
        Ok(Response::new(response(serving(&self.0))))
    }

    type WatchStream = Answers<HealthCheckResponse>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Answer<Self::WatchStream> {
        let known = NAMES.contains(&request.into_inner().service.as_str());
        let watching =
            Watching { node: self.0.clone(), news: self.0.watch_drain(), known, told: None };
        let stream = unfold(watching, async |mut watching| {
            let status = watching.next().await?;
            Some((Ok(response(status)), watching))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

struct Watching {
    node: Orchestrator,
    news: DrainWatch,
    known: bool,
    told: Option<ServingStatus>,
}

impl Watching {
    /// The status at once, then whenever it is another one; `None` when the daemon is ending.
    async fn next(&mut self) -> Option<ServingStatus> {
        loop {
            self.news.next().await?;
            let status = match self.known {
                true => serving(&self.node),
                false => ServingStatus::ServiceUnknown,
            };
            if self.told.replace(status) != Some(status) {
                return Some(status);
            }
        }
    }
}

fn serving(node: &Orchestrator) -> ServingStatus {
    match node.readiness() {
        Ok(()) => ServingStatus::Serving,
        Err(_) => ServingStatus::NotServing,
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
