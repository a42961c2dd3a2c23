//! `GET`, `PUT`, `PATCH`, `DELETE /v1/telemetry`: what is on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use eventlog::Cursor;
use http::StatusCode;
use serde::Serialize;

use super::{Api, Received, Refusal};
use crate::config::{BadChange, Change, Config};
use crate::store::Applied;

#[derive(Serialize)]
struct Answer {
    config: Config,
    cursor: String,
    applied_at: i64,
}

impl Api {
    fn answer(&self, applied: Applied) -> Json<Answer> {
        let offset = self.feed.news().next - 1;
        let cursor = Cursor { epoch: self.feed.epoch().clone(), offset }.to_string();
        Json(Answer { config: applied.config, cursor, applied_at: applied.at })
    }
}

impl From<BadChange> for Refusal {
    fn from(error: BadChange) -> Self {
        Self::bad_request(error)
    }
}

fn off() -> Refusal {
    let message = "telemetry is switched off: PUT /v1/telemetry switches it on";
    Refusal::new(StatusCode::NOT_FOUND, "TELEMETRY_OFF", message)
}

pub(super) async fn read(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    let applied = api.config.current();
    if applied.config.is_on() { Ok(api.answer(applied).into_response()) } else { Err(off()) }
}

pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    body: Received,
) -> Result<Response, Refusal> {
    let change = Change::read(&body?)?;
    let (before, after) = api.config.change(|config| config.replaced(change))?;
    let created = after.config.is_on() && !before.config.is_on();
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, api.answer(after)).into_response())
}

pub(super) async fn merge(
    State(api): State<Arc<Api>>,
    body: Received,
) -> Result<Response, Refusal> {
    let change = Change::read(&body?)?;
    let (before, after) = api.config.change(|config| {
        // Nothing to merge into; the caller learns it below.
        if config.is_on() { config.merged(change) } else { Ok(config.clone()) }
    })?;
    if before.config.is_on() { Ok(api.answer(after).into_response()) } else { Err(off()) }
}

pub(super) async fn switch_off(State(api): State<Arc<Api>>) -> Result<StatusCode, Refusal> {
    api.config.change(|config| Ok(config.switched_off()))?;
    Ok(StatusCode::NO_CONTENT)
}
