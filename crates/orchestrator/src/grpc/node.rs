//! `lockkeeper.v1.NodeService`.

use futures_util::stream::unfold;
use lockkeeper_api::proto::node_service_server::NodeService;
use lockkeeper_api::proto::{
    DrainReport, DrainRequest, InfoRequest, NodeInfo, SetStatusRequest, WatchDrainRequest,
};
use tonic::{Request, Response};

use super::{Answer, Answers, answer, requests};
use crate::face::Face;

#[tonic::async_trait]
impl NodeService for Face {
    async fn info(&self, _: Request<InfoRequest>) -> Answer<NodeInfo> {
        answer(Ok(Face::info(self)))
    }

    async fn set_status(&self, request: Request<SetStatusRequest>) -> Answer<NodeInfo> {
        let request = requests::status(&request.into_inner());
        answer(request.and_then(|request| Face::set_status(self, request)))
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Answer<NodeInfo> {
        let request = requests::drain(request.into_inner());
        answer(request.and_then(|request| Face::drain(self, request)))
    }

    type WatchDrainStream = Answers<DrainReport>;

    async fn watch_drain(&self, _: Request<WatchDrainRequest>) -> Answer<Self::WatchDrainStream> {
        let stream = unfold(self.orchestrator.watch_drain(), async |mut watch| {
            let report = watch.next().await?;
            Some((Ok(report.into()), watch))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}
