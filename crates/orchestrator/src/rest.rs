//! The REST face: reads requests and writes answers; what is between is the [`Face`].

mod answer;
mod body;
mod node;
mod openapi;
mod operations;
mod query;
mod sandboxes;
mod snapshots;
mod streams;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post, put};
use http::header::HOST;
use http::{HeaderMap, Uri};

use crate::Orchestrator;
use crate::face::Face;
use crate::urls::{OwnPorts, UrlBuilder};

impl Orchestrator {
    /// The routes `/v1/sandboxes` and `/v1/node`.
    ///
    /// Answers advertise addresses made by `urls`. Access checks are the caller's: wrap the router.
    pub fn router(&self, urls: UrlBuilder) -> Router {
        routes(Face::new(self, urls, None))
    }

    /// The same, where answers also show the sandboxes' own ports, if there are any.
    pub fn router_with_ports(&self, urls: UrlBuilder, ports: Option<Arc<dyn OwnPorts>>) -> Router {
        routes(Face::new(self, urls, ports))
    }
}

fn routes(face: Face) -> Router {
    Router::new()
        .route("/v1/sandboxes", only("GET, POST", get(sandboxes::list).post(sandboxes::create)))
        .route("/v1/sandboxes/events", only("GET", get(streams::sandboxes)))
        .route(
            "/v1/sandboxes/{id}",
            only(
                "GET, PATCH, DELETE",
                get(sandboxes::get).patch(sandboxes::update).delete(sandboxes::delete),
            ),
        )
        .route("/v1/sandboxes/{id}/pause", only("POST", post(operations::pause)))
        .route("/v1/sandboxes/{id}/checkpoint", only("POST", post(operations::checkpoint)))
        .route("/v1/snapshots", only("GET", get(snapshots::list)))
        .route(
            "/v1/snapshots/{id}",
            only("GET, DELETE", get(snapshots::get).delete(snapshots::delete)),
        )
        .route("/v1/sandboxes/{id}/resume", only("POST", post(operations::resume)))
        .route(
            "/v1/sandboxes/{id}/restart-browser",
            only("POST", post(operations::restart_browser)),
        )
        .route("/v1/openapi.json", only("GET", get(openapi::document)))
        .route("/v1/node", only("GET", get(node::info)))
        .route("/v1/node/status", only("PUT", put(node::set_status)))
        .route("/v1/node/drain", only("POST", post(node::drain)))
        .route("/v1/node/drain/events", only("GET", get(streams::drain)))
        .with_state(face)
}

/// Answers every other method with what is allowed.
fn only(allowed: &'static str, methods: MethodRouter<Face>) -> MethodRouter<Face> {
    methods.fallback(move |method| answer::method_not_allowed(method, allowed))
}

/// The host that the client used, for the addresses that it is shown.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let header = headers.get(HOST).and_then(|value| value.to_str().ok());
    header.or_else(|| uri.authority().map(|authority| authority.as_str())).map(str::to_owned)
}
