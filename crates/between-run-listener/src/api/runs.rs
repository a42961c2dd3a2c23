//! Posted runs.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use eventlog::Cursor as LogCursor;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::error::Refused;
use super::events::{Stream, answer};
use super::{Api, BODY_MAX, Names, find, read};
use crate::session::Start;
use crate::session::sessions::RunInput;
use crate::session::view::Which;

/// `POST agui`: a run, answered with its events.
pub(super) async fn agui(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let held = find(&sessions, &names)?;
    let body = read(body, BODY_MAX).await?;
    let input = RunInput::read(body).map_err(|error| Refused::bad(error.kind(), &error))?;
    let pin = sessions.pin(held.session.key());
    let accepted = sessions.post(&held, input, headers.get("traceparent").cloned()).await?;
    let epoch = held.session.tail().epoch().clone();
    let start = Start::After(LogCursor { epoch, offset: accepted.behind });
    let (cursor, view, lost) = held.session.subscribe(start, Which::Run(accepted.number)).await?;
    let counted = held.session.count_subscriber();
    Ok(answer(Stream::new(cursor, view, lost, true, sessions.leaving(), (pin, counted))))
}

/// `POST agui/run`: a run, answered at once.
pub(super) async fn run(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let held = find(&sessions, &names)?;
    let body = read(body, BODY_MAX).await?;
    let input = RunInput::complete(&body, &held.thread());
    let input = input.map_err(|error| Refused::bad(error.kind(), &error))?;
    let accepted = sessions.post(&held, input, headers.get("traceparent").cloned()).await?;
    let body = json!({ "runId": accepted.run, "threadId": accepted.thread });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}
