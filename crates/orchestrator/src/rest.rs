//! The REST face: thin, every decision is made by the [`Orchestrator`].

mod answer;
mod body;
mod errors;
mod node;
mod openapi;
mod park;
mod query;
mod sandboxes;
mod snapshots;
mod streams;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post, put};

use crate::Orchestrator;
use crate::urls::{OwnPorts, UrlBuilder};

/// Who sent a request: an extension that the access checks in front may set, told in why a sandbox
/// ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub Arc<str>);

/// What the handlers share.
#[derive(Clone)]
struct Face {
    orchestrator: Orchestrator,
    urls: Arc<UrlBuilder>,
    ports: Option<Arc<dyn OwnPorts>>,
}

impl Orchestrator {
    /// The routes `/v1/sandboxes` and `/v1/node`.
    ///
    /// Answers advertise addresses made by `urls`. Access checks are the caller's: wrap the router.
    pub fn router(&self, urls: UrlBuilder) -> Router {
        self.face(urls, None)
    }

    /// The same, where answers also show the sandboxes' own ports.
    pub fn router_with_ports(&self, urls: UrlBuilder, ports: Arc<dyn OwnPorts>) -> Router {
        self.face(urls, Some(ports))
    }

    fn face(&self, urls: UrlBuilder, ports: Option<Arc<dyn OwnPorts>>) -> Router {
        let face = Face { orchestrator: self.clone(), urls: Arc::new(urls), ports };
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
            .route("/v1/sandboxes/{id}/pause", only("POST", post(park::pause)))
            .route("/v1/sandboxes/{id}/checkpoint", only("POST", post(snapshots::checkpoint)))
            .route("/v1/snapshots", only("GET", get(snapshots::list)))
            .route(
                "/v1/snapshots/{id}",
                only("GET, DELETE", get(snapshots::get).delete(snapshots::delete)),
            )
            .route("/v1/sandboxes/{id}/resume", only("POST", post(park::resume)))
            .route(
                "/v1/sandboxes/{id}/restart-browser",
                only("POST", post(sandboxes::restart_browser)),
            )
            .route("/v1/openapi.json", only("GET", get(openapi::document)))
            .route("/v1/node", only("GET", get(node::info)))
            .route("/v1/node/status", only("PUT", put(node::set_status)))
            .route("/v1/node/drain", only("POST", post(node::drain)))
            .route("/v1/node/drain/events", only("GET", get(streams::drain)))
            .with_state(face)
    }
}

/// Answers every other method with what is allowed.
fn only(allowed: &'static str, methods: MethodRouter<Face>) -> MethodRouter<Face> {
    methods.fallback(move |method| answer::method_not_allowed(method, allowed))
}
