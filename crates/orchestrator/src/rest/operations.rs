//! `/v1/sandboxes/{id}/pause`, `/resume`, `/checkpoint` and `/restart-browser`.

use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode, Uri};
use lockkeeper_api::{OperationRequest, RestartRequest};

use super::answer::{Answer, Refusal, json};
use super::query::Parameters;
use super::{body, host};
use crate::face::{Face, wrong};

pub(super) async fn pause(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let request = request(&face, &uri, &headers, body).await?;
    let view = face.pause(&id, request, host(&uri, &headers).as_deref()).await?;
    Ok(json(StatusCode::OK, &view))
}

pub(super) async fn resume(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let request = request(&face, &uri, &headers, body).await?;
    let view = face.resume(&id, request, host(&uri, &headers).as_deref()).await?;
    Ok(json(StatusCode::OK, &view))
}

pub(super) async fn checkpoint(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let request = request(&face, &uri, &headers, body).await?;
    let made = face.checkpoint(&id, request, host(&uri, &headers).as_deref()).await?;
    Ok(json(StatusCode::OK, &made))
}

pub(super) async fn restart_browser(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    Parameters::parse(&uri, &[])?.finish(())?;
    let bytes = body::read(&face, &headers, body).await?;
    let request = RestartRequest::from_json(&bytes).map_err(|mistakes| wrong(&mistakes))?;
    let view = face.restart_browser(&id, request, host(&uri, &headers).as_deref()).await?;
    Ok(json(StatusCode::OK, &view))
}

async fn request(
    face: &Face,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<OperationRequest, Refusal> {
    Parameters::parse(uri, &[])?.finish(())?;
    let bytes = body::read(face, headers, body).await?;
    Ok(OperationRequest::from_json(&bytes).map_err(|mistakes| wrong(&mistakes))?)
}
