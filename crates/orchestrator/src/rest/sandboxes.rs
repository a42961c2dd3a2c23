//! `/v1/sandboxes`.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use lockkeeper_api::{
    ApiError, CreateRequest, DeleteWait, Mistakes, Reason, RestartRequest, SandboxAfter,
    SandboxList, SandboxState, SandboxView, UpdateRequest,
};

use super::answer::{Answer, Refusal, json};
use super::query::Parameters;
use super::{Caller, Face, body, streams};
use crate::ids::{LifecycleId, SandboxId};
use crate::{DeleteOptions, ListFilter, Snapshot};

/// At most so many sandboxes in one page.
const PAGE_MAX: u64 = 1000;

pub(super) async fn create(
    State(face): State<Face>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    Parameters::parse(&uri, &[])?.finish(())?;
    let bytes = body::read(&headers, body, face.orchestrator.config().body_limit).await?;
    let request = CreateRequest::from_json(&bytes)
        .map_err(|mistakes| ApiError::bad_request(SandboxAfter::None, &mistakes))?;
    let snapshot = face.orchestrator.create(request).await?;
    let view = face.view(&snapshot, &uri, &headers);
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
    let limit = query.number("limit");
    if let Some(n) = limit.filter(|n| !(1..=PAGE_MAX).contains(n)) {
        query.mistake("limit", format!("{n} is not between 1 and {PAGE_MAX}"));
    }
    filter.limit = limit.map(|n| n.min(PAGE_MAX) as usize);
    let filter = query.finish(filter)?;
    let page = face.orchestrator.list(&filter);
    let view = |snapshot: &Snapshot| face.view(snapshot, &uri, &headers);
    let list = SandboxList {
        sandboxes: page.sandboxes.iter().map(view).collect(),
        next: page.next.map(|seq| seq.to_string()),
        node_id: face.orchestrator.config().node_id.clone(),
    };
    Ok(json(StatusCode::OK, &list))
}

pub(super) async fn get(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let id = checked(&id)?;
    Parameters::parse(&uri, &[])?.finish(())?;
    let Some(snapshot) = face.orchestrator.get(id.as_str()) else {
        return Err(not_found(&id));
    };
    Ok(json(StatusCode::OK, &face.view(&snapshot, &uri, &headers)))
}

pub(super) async fn delete(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
) -> Answer {
    let id = checked(&id)?;
    let mut query = Parameters::parse(&uri, &["wait", "lifecycle_id"])?;
    let detail = match caller {
        Some(Extension(Caller(name))) => format!("api, by {name}"),
        None => "api".to_owned(),
    };
    let mut options = DeleteOptions { detail, ..DeleteOptions::default() };
    if let Some(word) = query.one("wait") {
        options.wait = query.word("wait", &word, DeleteWait::WORDS).unwrap_or_default();
    }
    options.lifecycle = query.one("lifecycle_id").map(LifecycleId::new);
    let options = query.finish(options)?;
    let accepted = options.wait == DeleteWait::Accepted;
    let snapshot = face.orchestrator.delete(id.as_str(), options).await?;
    let status = if accepted { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(json(status, &face.view(&snapshot, &uri, &headers)))
}

pub(super) async fn update(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let id = checked(&id)?;
    Parameters::parse(&uri, &[])?.finish(())?;
    let bytes = body::read(&headers, body, face.orchestrator.config().body_limit).await?;
    let request = UpdateRequest::from_json(&bytes)
        .map_err(|mistakes| ApiError::bad_request(SandboxAfter::Untouched, &mistakes))?;
    match face.orchestrator.update(id.as_str(), request) {
        Ok(snapshot) => Ok(json(StatusCode::OK, &face.view(&snapshot, &uri, &headers))),
        Err(error) => Err(face.ended(&id).unwrap_or_else(|| error.into())),
    }
}

pub(super) async fn restart_browser(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let id = checked(&id)?;
    Parameters::parse(&uri, &[])?.finish(())?;
    let bytes = body::read(&headers, body, face.orchestrator.config().body_limit).await?;
    let request = RestartRequest::from_json(&bytes)
        .map_err(|mistakes| ApiError::bad_request(SandboxAfter::Untouched, &mistakes))?;
    match face.orchestrator.restart_browser(id.as_str(), request).await {
        Ok(snapshot) => Ok(json(StatusCode::OK, &face.view(&snapshot, &uri, &headers))),
        Err(error) => Err(face.ended(&id).unwrap_or_else(|| error.into())),
    }
}

impl Face {
    pub(super) fn view(&self, snapshot: &Snapshot, uri: &Uri, headers: &HeaderMap) -> SandboxView {
        self.view_for(snapshot, streams::host(uri, headers).as_deref())
    }

    /// A sandbox as somebody is shown it who reached us as `host`.
    pub(super) fn view_for(&self, snapshot: &Snapshot, host: Option<&str>) -> SandboxView {
        let record = snapshot.record();
        let mut urls = self.urls.urls(host, record.id.as_str());
        let ports = self.ports.as_ref();
        urls.port_url =
            ports.and_then(|ports| ports.url(record.id.as_str(), &record.lifecycle, host));
        snapshot.view(urls, &self.orchestrator.config().node_id)
    }

    /// If it has ended and is remembered: why and when.
    fn ended(&self, id: &SandboxId) -> Option<Refusal> {
        let snapshot = self.orchestrator.get(id.as_str())?;
        let view = snapshot.view(self.urls.urls(None, id.as_str()), "");
        let at = view.stopped_at_ms?;
        let reason = view.stop_reason?;
        let text = format!("the sandbox `{id}` has ended: {reason}");
        let error = ApiError::new(Reason::SandboxStopped, SandboxAfter::None, text)
            .with("stop_reason", reason)
            .with("stopped_at_ms", at.to_string());
        Some(error.into())
    }
}

fn not_found(id: &SandboxId) -> Refusal {
    let text = format!("no sandbox with the id `{id}` is known");
    ApiError::new(Reason::SandboxNotFound, SandboxAfter::None, text).into()
}

/// An id in a path is checked as one in a body is.
pub(super) fn checked(id: &str) -> Result<SandboxId, Refusal> {
    id.parse().map_err(|error: crate::ids::SandboxIdError| {
        let mistakes = Mistakes::one("id", error.to_string());
        ApiError::bad_request(SandboxAfter::Untouched, &mistakes).into()
    })
}
