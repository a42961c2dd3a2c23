//! `/healthz`, `/readyz`, `/metrics`. The first two need no token and name nothing of the users'.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use prometheus_client::registry::Registry;
use serde_json::json;

use crate::access::{Access, protect, protect_without_token};
use crate::readiness::{Readiness, Verdict};

/// What the admin routes tell.
#[derive(Clone)]
pub struct Admin {
    /// The daemon's name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its readiness.
    pub readiness: Readiness,
    /// Its metrics.
    pub registry: Arc<Registry>,
    /// Whether `/metrics` needs no token.
    pub metrics_public: bool,
}

impl Admin {
    /// The routes with their access checks.
    pub fn router(self, access: &Access) -> Router {
        let metrics_public = self.metrics_public;
        let this = Arc::new(self);
        let open = Router::new().route("/healthz", get(health)).route("/readyz", get(ready));
        let metrics = Router::new().route("/metrics", get(metrics));
        let open = protect_without_token(access, open.with_state(Arc::clone(&this)));
        let metrics = metrics.with_state(this);
        let metrics = if metrics_public {
            protect_without_token(access, metrics)
        } else {
            protect(access, metrics)
        };
        open.merge(metrics)
    }
}

/// The process works, also while it starts or drains: restarting it would only make that worse.
async fn health(State(admin): State<Arc<Admin>>) -> Response {
    let status = admin.readiness.verdict().status();
    Json(json!({ "name": admin.name, "version": admin.version, "status": status })).into_response()
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let verdict = admin.readiness.verdict();
    let body = match verdict {
        Verdict::Starting { step } => json!({ "status": "starting", "step": step }),
        Verdict::Ready | Verdict::NotReady { .. } => json!({ "status": verdict.status() }),
    };
    let status = match verdict {
        Verdict::Ready => StatusCode::OK,
        Verdict::Starting { .. } | Verdict::NotReady { .. } => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(body)).into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    match telemetry::metrics::write(&admin.registry) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, telemetry::metrics::MEDIA_TYPE)], text).into_response()
        }
        Err(error) => {
            tracing::error!(error = %error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests;
