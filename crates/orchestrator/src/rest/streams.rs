//! Streams of server-sent events: `/v1/sandboxes/events` and `/v1/node/drain/events`.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Uri};
use serde::Serialize;

use super::answer::Answer;
use super::host;
use super::query::Parameters;
use crate::face::Face;
use crate::watch::Cursor;

/// A stream without news says so this often, so that proxies and clients do not take it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A comment, which readers pass over.
const ALIVE: &[u8] = b": alive\n\n";

pub(super) async fn sandboxes(State(face): State<Face>, uri: Uri, headers: HeaderMap) -> Answer {
    let mut query = Parameters::parse(&uri, &["after"])?;
    let mut after = None;
    if let Some(text) = query.one("after") {
        match text.parse::<Cursor>() {
            Ok(cursor) => after = Some(cursor),
            Err(bad) => query.mistake("after", bad.to_string()),
        }
    }
    // A reader does not choose this header: one that is no cursor counts as absent.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let after = query.finish(last.and_then(|id| id.parse().ok()).or(after))?;
    let host = host(&uri, &headers);
    let watch = face.orchestrator.watch(after.as_ref());
    Ok(stream(unfold((watch, face, host), |(mut watch, face, host)| async move {
        let frame = match tokio::time::timeout(KEEP_ALIVE, watch.next()).await {
            Ok(watched) => {
                let watched = watched?;
                let event = face.event(&watched, host.as_deref());
                frame(event.name(), watched.cursor(), &event)
            }
            Err(_) => Bytes::from_static(ALIVE),
        };
        Some((frame, (watch, face, host)))
    })))
}

pub(super) async fn drain(State(face): State<Face>, uri: Uri) -> Answer {
    Parameters::parse(&uri, &[])?.finish(())?;
    let watch = face.orchestrator.watch_drain();
    Ok(stream(unfold(watch, |mut watch| async move {
        let frame = match tokio::time::timeout(KEEP_ALIVE, watch.next()).await {
            Ok(report) => frame("drain", None, &report?),
            Err(_) => Bytes::from_static(ALIVE),
        };
        Some((frame, watch))
    })))
}

fn frame(name: &str, cursor: Option<&Cursor>, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|error| {
        tracing::error!(error = %error, "an event could not be written");
        "{}".to_owned()
    });
    match cursor {
        Some(cursor) => format!("event: {name}\nid: {cursor}\ndata: {data}\n\n").into(),
        None => format!("event: {name}\ndata: {data}\n\n").into(),
    }
}

fn stream(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures_util::StreamExt as _;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Proxies that collect answers before they pass them on: do not.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(frames.map(Ok::<_, Infallible>))).into_response()
}
