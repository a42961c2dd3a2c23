//! `/v1/sandboxes`.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use lockkeeper_api::{
    ApiError, CreateRequest, DeleteWait, SandboxAfter, SandboxState, UpdateRequest,
};

use super::answer::{Answer, json};
use super::query::Parameters;
use super::{body, host};
use crate::ListFilter;
use crate::face::{Caller, Face, wrong};

pub(super) async fn create(
    State(face): State<Face>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    Parameters::parse(&uri, &[])?.finish(())?;
    let bytes = body::read(&face, &headers, body).await?;
    let request = CreateRequest::from_json(&bytes)
        .map_err(|mistakes| ApiError::bad_request(SandboxAfter::None, &mistakes))?;
    let view = face.create(request, host(&uri, &headers).as_deref()).await?;
    let mut response = json(StatusCode::CREATED, &view);
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/sandboxes/{}", view.id)) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

pub(super) async fn list(State(face): State<Face>, uri: Uri, headers: HeaderMap) -> Answer {
    let known = ["state", "label", "template", "limit", "after"];
    let mut query = Parameters::parse(&uri, &known)?;
    let mut filter = ListFilter { template: query.one("template"), ..ListFilter::default() };
    let states = SandboxState::ALL.map(|state| (state.as_str(), state));
    for word in query.all("state") {
        filter.states.extend(query.word("state", &word, &states));
    }
    for pair in query.all("label") {
        match pair.split_once('=') {
            Some((key, value)) => {
                filter.labels.insert(key.to_owned(), value.to_owned());
            }
            None => query.mistake("label", "must be written `key=value`".to_owned()),
        }
    }
    filter.after = query.number("after");
    filter.limit = query.page_limit();
    let filter = query.finish(filter)?;
    Ok(json(StatusCode::OK, &face.list(&filter, host(&uri, &headers).as_deref())))
}

pub(super) async fn get(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let mut query = Parameters::parse(&uri, &["view"])?;
    let mut full = false;
    if let Some(word) = query.one("view") {
        full = query.word("view", &word, &[("basic", false), ("full", true)]).unwrap_or_default();
    }
    let full = query.finish(full)?;
    Ok(json(StatusCode::OK, &face.look(&id, full, host(&uri, &headers).as_deref()).await?))
}

pub(super) async fn delete(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
) -> Answer {
    let mut query = Parameters::parse(&uri, &["wait", "lifecycle_id"])?;
    let mut wait = DeleteWait::default();
    if let Some(word) = query.one("wait") {
        wait = query.word("wait", &word, DeleteWait::WORDS).unwrap_or_default();
    }
    let lifecycle = query.one("lifecycle_id");
    let lifecycle = query.finish(lifecycle)?;
    let caller = caller.as_deref();
    let view = face.delete(&id, wait, lifecycle, caller, host(&uri, &headers).as_deref()).await?;
    let accepted = wait == DeleteWait::Accepted;
    let status = if accepted { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(json(status, &view))
}

pub(super) async fn update(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    Parameters::parse(&uri, &[])?.finish(())?;
    let bytes = body::read(&face, &headers, body).await?;
    let request = UpdateRequest::from_json(&bytes).map_err(|mistakes| wrong(&mistakes))?;
    let view = face.update(&id, request, host(&uri, &headers).as_deref())?;
    Ok(json(StatusCode::OK, &view))
}
