//! `/v1/node`.

use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use lockkeeper_api::{DrainRequest, StatusRequest};

use super::answer::{Answer, json};
use super::body;
use crate::face::{Face, wrong};

pub(super) async fn info(State(face): State<Face>) -> Answer {
    Ok(json(StatusCode::OK, &face.info()))
}

pub(super) async fn set_status(State(face): State<Face>, headers: HeaderMap, body: Body) -> Answer {
    let bytes = body::read(&face, &headers, body).await?;
    let request = StatusRequest::from_json(&bytes).map_err(|mistakes| wrong(&mistakes))?;
    Ok(json(StatusCode::OK, &face.set_status(request)?))
}

pub(super) async fn drain(State(face): State<Face>, headers: HeaderMap, body: Body) -> Answer {
    let bytes = body::read(&face, &headers, body).await?;
    let request = DrainRequest::from_json(&bytes).map_err(|mistakes| wrong(&mistakes))?;
    Ok(json(StatusCode::ACCEPTED, &face.drain(request)?))
}
