//! `POST /v1/telemetry/events`: an event of a client's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::{Api, Received, Refusal};
use crate::events::{Posted, PostedSource};
use crate::handle::Item;
use crate::value::{TEXT_MAX, Text};
use crate::words::{Category, SourceKind};

/// How long a client waits for the log.
const WAIT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    category: Option<Category>,
    #[serde(default)]
    source: Source,
    sandbox: Option<String>,
    #[serde(default)]
    data: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    kind: Option<SourceKind>,
    event: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

fn read(body: &[u8]) -> Result<(Posted, Option<String>), Refusal> {
    let Body { kind, category, source, sandbox, data } =
        serde_json::from_slice(body).map_err(Refusal::bad_request)?;
    if kind.is_empty() || kind.len() > TEXT_MAX {
        return Err(Refusal::bad_request("`type` has 1 to 128 bytes"));
    }
    let from = source.kind.unwrap_or(SourceKind::Client);
    if from == SourceKind::Telemetry {
        return Err(Refusal::bad_request("`source.kind`: `telemetry` is reserved"));
    }
    let source = PostedSource {
        kind: from,
        event: source.event.map(Text::from),
        metadata: source.metadata.into_iter().collect(),
    };
    let event = Posted::new(&kind, category, source, data).map_err(Refusal::bad_request)?;
    Ok((event, sandbox))
}

pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    body: Received,
) -> Result<Response, Refusal> {
    let (event, sandbox) = read(&body?)?;
    if !api.intake.enabled(event.category()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let log_down = || Refusal::later("LOG_UNAVAILABLE", "the event log takes no events now");
    if !api.feed.news().log_good {
        return Err(log_down());
    }
    let (reply, accepted) = oneshot::channel();
    let mut item = Item::new(SystemTime::now(), sandbox.as_deref(), event.into());
    item.reply = Some(reply);
    if !api.intake.take(item) {
        return Err(Refusal::later("QUEUE_FULL", "too many events wait for the log"));
    }
    // Dropped without an answer: the log refused it.
    let accepted = tokio::time::timeout(WAIT, accepted).await.map_err(|_| log_down())?;
    let envelope = accepted.map_err(|_| log_down())?.envelope;
    Ok(([(header::CONTENT_TYPE, "application/json")], envelope).into_response())
}
