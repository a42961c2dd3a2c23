//! What a session is doing.

use std::time::Instant;

use axum::Json;
use http::StatusCode;
use serde_json::{Value, json};

use super::error::Refused;
use super::{Api, Names, find};
use crate::listener::{State, Status};
use crate::registry::{Ensured, Refusal};
use crate::session::lane::Began;

/// `GET status`.
pub(super) async fn status(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
) -> Result<Json<Value>, Refused> {
    let held = find(&sessions, &names)?;
    let now = tokio::time::Instant::now().into_std();
    let session = &held.session;
    let snapshot = session.snapshot();
    let log = session.log().status();
    let listener = sessions.registry().status(session.key()).or_else(|| session.listener());
    let open_run = snapshot.open_run.as_ref().map(|(run, began)| {
        let began = match began {
            Began::Client => "client",
            Began::Runner => "runner",
            Began::Between => "between",
        };
        json!({ "runId": run, "began": began })
    });
    let (counts, stall) = (&snapshot.counts, session.stall());
    let base = session
        .base()
        .map(|base| json!({ "from": base.from, "covers": base.covers, "bytes": base.bytes }));
    Ok(Json(json!({
        "agent": {
            "status": snapshot.agent,
            "last_error": snapshot.last_error,
            "thread_id": snapshot.thread,
            "stopped": held.is_stopped(),
        },
        "listener": listener.map(|status| told(&status, now)),
        "log": {
            "epoch": session.log().epoch().as_str(),
            "first": log.first,
            "tail": session.tail().head().borrow().last,
            "base": base,
            "bytes": log.bytes,
            "log_stalled": stall.is_some(),
            "log_error": stall.map(|stall| stall.why.to_string()),
        },
        "lane": { "open_run": open_run, "held": snapshot.held },
        "subscribers": session.tail().subscribers(),
        "counters": {
            "events": counts.events,
            "duplicates": counts.duplicates,
            "losses": counts.losses,
            "rejected": counts.rejected,
        },
    })))
}

fn told(status: &Status, now: Instant) -> Value {
    let age = |at: Option<Instant>| at.map(|at| millis(now, at));
    let (attempt, next, reason) = match &status.state {
        State::Connecting { attempt } => (Some(*attempt), None, None),
        State::Streaming { .. } | State::Cancelled => (None, None, None),
        State::Waiting { until, .. } => (None, Some(millis(*until, now)), None),
        State::GaveUp(why) => (None, None, Some(why.to_string())),
    };
    json!({
        "state": status.state.kind(),
        "generation": status.generation,
        "attempt": attempt,
        "failures": status.failures,
        "reason": reason.or_else(|| status.reason.map(|reason| reason.to_string())),
        "since_ms": millis(now, status.since),
        "next_try_ms": next,
        "last_byte_ms": age(status.last_byte),
        "last_event_ms": age(status.last_event),
        "reconnects": status.counts.connections.saturating_sub(1),
        "bytes": status.counts.bytes,
        "events": status.counts.events,
    })
}

fn millis(later: Instant, earlier: Instant) -> u64 {
    let span = later.saturating_duration_since(earlier);
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// `POST listener/rearm`.
pub(super) async fn rearm(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let held = find(&sessions, &names)?;
    let told = match sessions.ensure(&held).await {
        None => json!({ "listener": "stopped" }),
        Some(Ensured::Started(generation)) => {
            json!({ "listener": "started", "generation": generation })
        }
        Some(Ensured::Already(generation)) => {
            json!({ "listener": "already", "generation": generation })
        }
        Some(Ensured::Refused(refusal @ Refusal::TooSoon { .. })) => {
            json!({ "listener": "too_soon", "message": refusal.to_string() })
        }
        Some(Ensured::Refused(Refusal::Draining)) => {
            return Err(crate::session::SessionsError::Draining.into());
        }
    };
    Ok((StatusCode::ACCEPTED, Json(told)))
}
