//! The routes below `/v1/telemetry`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::feed::Feed;
use crate::handle::Intake;
use crate::metrics::EventMetrics;
use crate::query::{BadQuery, Query};
use crate::store::ConfigStore;
use crate::stream::{StreamSettings, stream};

mod config;
mod page;
mod post;

#[cfg(test)]
mod tests;

/// Longest body of a request.
pub const BODY_MAX: usize = 1024 * 1024;

/// What the routes work on.
pub(crate) struct Api {
    pub(crate) feed: Arc<Feed>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) config: ConfigStore,
    pub(crate) metrics: EventMetrics,
    pub(crate) stream: StreamSettings,
}

impl Api {
    pub(crate) fn router(self: Arc<Self>) -> Router {
        let config =
            get(config::read).put(config::replace).patch(config::merge).delete(config::switch_off);
        Router::new()
            .route("/v1/telemetry", config)
            .route("/v1/telemetry/events", get(page::read).post(post::publish))
            .route("/v1/telemetry/stream", get(live))
            .route("/v1/telemetry/schema.json", get(schema))
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .with_state(self)
    }
}

async fn schema() -> axum::Json<serde_json::Value> {
    axum::Json(crate::catalogue::schema())
}

async fn live(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let query = Query::read(query.as_deref().unwrap_or_default())?;
    let last_event_id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let place = query.place(api.feed.epoch(), last_event_id)?;
    let events =
        stream(Arc::clone(&api.feed), place, query.filter, api.stream.clone(), api.metrics.clone());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Proxies that collect answers before they pass them on: do not.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// Why a request was refused: status, a word for programs, a sentence for people.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds after which it may work.
    retry_after: Option<u32>,
}

impl Refusal {
    fn bad_request(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self { status, code, message: message.to_string(), retry_after: None }
    }

    fn later(code: &'static str, message: impl ToString) -> Self {
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        Self { retry_after: Some(1), ..refusal }
    }
}

impl From<BadQuery> for Refusal {
    fn from(error: BadQuery) -> Self {
        Self::bad_request(error)
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let message = format!("the body is longer than {BODY_MAX} bytes");
            return Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message);
        }
        Self::bad_request("the body could not be read")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, message, retry_after } = self;
        let mut error = serde_json::json!({ "code": code, "message": message });
        if let Some(seconds) = retry_after {
            error["retry_after_ms"] = (u64::from(seconds) * 1000).into();
        }
        let mut response =
            (status, axum::Json(serde_json::json!({ "error": error }))).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A body, or why there is none.
type Received = Result<Bytes, BytesRejection>;
