//! The gRPC face: reads messages and writes answers; what is between is the same as for REST.

mod health;
mod node;
mod refusal;
mod requests;
mod sandboxes;
mod snapshots;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use futures_util::Stream;
use http::header::HOST;
use lockkeeper_api::proto::node_service_server::NodeServiceServer;
use lockkeeper_api::proto::sandbox_service_server::SandboxServiceServer;
use lockkeeper_api::proto::snapshot_service_server::SnapshotServiceServer;
use lockkeeper_api::{ApiError, proto};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Status;
use tonic::server::NamedService;
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH;
use tonic_health::pb::health_server::HealthServer;

use self::health::Health;
pub use self::refusal::answer_grpc;
use crate::Orchestrator;
use crate::face::Face;
use crate::urls::{OwnPorts, UrlBuilder};

/// What a call is answered with.
type Answer<T> = Result<tonic::Response<T>, Status>;
/// A stream of answers.
type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Orchestrator {
    /// The services of `lockkeeper.v1`, and reflection, as routes beside those of REST.
    ///
    /// Answers show the addresses that `urls` makes, and the sandboxes' own ports if there are any.
    /// Access checks are the caller's: wrap the router. [`answer_grpc`] makes what they refuse
    /// readable for gRPC clients.
    pub fn grpc(&self, urls: UrlBuilder, ports: Option<Arc<dyn OwnPorts>>) -> Router {
        let limit = self.config().body_limit;
        let face = Face::new(self, urls, ports);
        let files = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap_or_default();
        let sandboxes = SandboxServiceServer::new(face.clone()).max_decoding_message_size(limit);
        let snapshots = SnapshotServiceServer::new(face.clone()).max_decoding_message_size(limit);
        let node = NodeServiceServer::new(face).max_decoding_message_size(limit);
        let router = serve(Router::new(), &files, sandboxes);
        let router = serve(router, &files, snapshots);
        reflect(serve(router, &files, node)).layer(from_fn(note_host))
    }

    /// `grpc.health.v1`: the same verdict as readiness gives. It shows no ids, so that probes need
    /// no token.
    pub fn grpc_health(&self) -> Router {
        let files = FileDescriptorSet::decode(HEALTH).unwrap_or_default();
        serve(Router::new(), &files, HealthServer::new(Health(self.clone())))
    }
}

/// Adds a route for every method that the service has, so that each is told apart in metrics.
fn serve<S>(router: Router, files: &FileDescriptorSet, service: S) -> Router
where
    S: tonic::codegen::Service<Request, Error = std::convert::Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Response: axum::response::IntoResponse,
    S::Future: Send + 'static,
{
    let of_this = files.file.iter().flat_map(|file| {
        let package = file.package().to_owned();
        file.service
            .iter()
            .filter(move |service| format!("{package}.{}", service.name()) == S::NAME)
    });
    let methods = of_this.flat_map(|service| &service.method);
    methods.fold(router, |router, method| {
        router.route_service(&format!("/{}/{}", S::NAME, method.name()), service.clone())
    })
}

/// Tells clients which services there are, and of what messages.
fn reflect(router: Router) -> Router {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(HEALTH)
    };
    // Older clients ask for the one, newer ones for the other.
    match (builder().build_v1(), builder().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            let method = "ServerReflectionInfo";
            router
                .route_service(&format!("/grpc.reflection.v1.ServerReflection/{method}"), v1)
                .route_service(
                    &format!("/grpc.reflection.v1alpha.ServerReflection/{method}"),
                    v1alpha,
                )
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(error = %error, "reflection is off: its own files are unreadable");
            router
        }
    }
}

/// The host that the client used, for the addresses that it is shown.
#[derive(Clone)]
struct UsedHost(String);

async fn note_host(mut request: Request, next: Next) -> Response {
    let header = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = header.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    if let Some(host) = host.map(str::to_owned) {
        request.extensions_mut().insert(UsedHost(host));
    }
    next.run(request).await
}

fn host<T>(request: &tonic::Request<T>) -> Option<String> {
    request.extensions().get::<UsedHost>().map(|host| host.0.clone())
}

/// Turns the outcome of a call into what gRPC answers with.
fn answer<V, T: From<V>>(outcome: Result<V, ApiError>) -> Answer<T> {
    match outcome {
        Ok(view) => Ok(tonic::Response::new(view.into())),
        Err(error) => Err(refusal::status(&error)),
    }
}
