//! `/v1/node`.

use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use lockkeeper_api::{ApiError, DrainRequest, SandboxAfter, StatusRequest};

use super::answer::{Answer, json};
use super::{Face, body};

pub(super) async fn info(State(face): State<Face>) -> Answer {
    Ok(json(StatusCode::OK, &face.orchestrator.info()))
}

pub(super) async fn set_status(State(face): State<Face>, headers: HeaderMap, body: Body) -> Answer {
    let bytes = body::read(&headers, body, face.orchestrator.config().body_limit).await?;
    let request = StatusRequest::from_json(&bytes)
        .map_err(|mistakes| ApiError::bad_request(SandboxAfter::Untouched, &mistakes))?;
    face.orchestrator.set_status(request.status)?;
    Ok(json(StatusCode::OK, &face.orchestrator.info()))
}

/// Answers at once: the drain itself is seen in the answer of `GET /v1/node` and in the events.
pub(super) async fn drain(State(face): State<Face>, headers: HeaderMap, body: Body) -> Answer {
    let bytes = body::read(&headers, body, face.orchestrator.config().body_limit).await?;
    let request = DrainRequest::from_json(&bytes)
        .map_err(|mistakes| ApiError::bad_request(SandboxAfter::Untouched, &mistakes))?;
    face.orchestrator.drain(request.into())?;
    Ok(json(StatusCode::ACCEPTED, &face.orchestrator.info()))
}
