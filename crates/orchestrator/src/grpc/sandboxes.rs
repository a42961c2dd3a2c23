//! `lockkeeper.v1.SandboxService`.

use futures_util::stream::unfold;
use lockkeeper_api::proto::sandbox_service_server::SandboxService;
use lockkeeper_api::proto::{
    CheckpointResponse, CreateSandboxRequest, DeleteSandboxRequest, GetSandboxRequest,
    ListSandboxesRequest, ListSandboxesResponse, OperationRequest, RestartBrowserRequest, Sandbox,
    SandboxEvent, UpdateSandboxRequest, WatchSandboxesRequest,
};
use tonic::{Request, Response};

use super::{Answer, Answers, answer, host, refusal, requests};
use crate::face::{Caller, Face};

#[tonic::async_trait]
impl SandboxService for Face {
    async fn create(&self, request: Request<CreateSandboxRequest>) -> Answer<Sandbox> {
        let host = host(&request);
        answer(match requests::create(request.into_inner()) {
            Ok(request) => Face::create(self, request, host.as_deref()).await,
            Err(error) => Err(error),
        })
    }

    async fn get(&self, request: Request<GetSandboxRequest>) -> Answer<Sandbox> {
        let host = host(&request);
        let GetSandboxRequest { id, full } = request.into_inner();
        answer(self.look(&id, full, host.as_deref()).await)
    }

    async fn list(&self, request: Request<ListSandboxesRequest>) -> Answer<ListSandboxesResponse> {
        let host = host(&request);
        let filter = requests::list(request.into_inner());
        answer(filter.map(|filter| Face::list(self, &filter, host.as_deref())))
    }

    type WatchStream = Answers<SandboxEvent>;

    async fn watch(&self, request: Request<WatchSandboxesRequest>) -> Answer<Self::WatchStream> {
        let host = host(&request);
        let after =
            requests::watch(request.into_inner()).map_err(|error| refusal::status(&error))?;
        let watch = self.orchestrator.watch(after.as_ref());
        let state = (watch, self.clone(), host);
        let stream = unfold(state, async |(mut watch, face, host)| {
            let watched = watch.next().await?;
            let mut event = SandboxEvent::from(face.event(&watched, host.as_deref()));
            event.cursor = watched.cursor().map(ToString::to_string);
            Some((Ok(event), (watch, face, host)))
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn update(&self, request: Request<UpdateSandboxRequest>) -> Answer<Sandbox> {
        let host = host(&request);
        let request = requests::update(request.into_inner());
        answer(request.and_then(|(id, request)| Face::update(self, &id, request, host.as_deref())))
    }

    async fn pause(&self, request: Request<OperationRequest>) -> Answer<Sandbox> {
        let host = host(&request);
        answer(match requests::operation(request.into_inner()) {
            Ok((id, request)) => Face::pause(self, &id, request, host.as_deref()).await,
            Err(error) => Err(error),
        })
    }

    async fn resume(&self, request: Request<OperationRequest>) -> Answer<Sandbox> {
        let host = host(&request);
        answer(match requests::operation(request.into_inner()) {
            Ok((id, request)) => Face::resume(self, &id, request, host.as_deref()).await,
            Err(error) => Err(error),
        })
    }

    async fn checkpoint(&self, request: Request<OperationRequest>) -> Answer<CheckpointResponse> {
        let host = host(&request);
        answer(match requests::operation(request.into_inner()) {
            Ok((id, request)) => Face::checkpoint(self, &id, request, host.as_deref()).await,
            Err(error) => Err(error),
        })
    }

    async fn restart_browser(&self, request: Request<RestartBrowserRequest>) -> Answer<Sandbox> {
        let host = host(&request);
        answer(match requests::restart(request.into_inner()) {
            Ok((id, request)) => Face::restart_browser(self, &id, request, host.as_deref()).await,
            Err(error) => Err(error),
        })
    }

    async fn delete(&self, request: Request<DeleteSandboxRequest>) -> Answer<Sandbox> {
        let host = host(&request);
        let caller = request.extensions().get::<Caller>().cloned();
        answer(match requests::delete(request.get_ref()) {
            Ok(wait) => {
                let DeleteSandboxRequest { id, lifecycle_id, .. } = request.into_inner();
                let caller = caller.as_ref();
                Face::delete(self, &id, wait, lifecycle_id, caller, host.as_deref()).await
            }
            Err(error) => Err(error),
        })
    }
}
