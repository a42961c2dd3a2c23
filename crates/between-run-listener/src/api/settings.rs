//! Making, showing, listing and deleting sessions.

use axum::Json;
use axum::body::Body;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::error::Refused;
use super::{Api, Names, Query, find, key, read};
use crate::session::settings::{Checked, Settings};
use crate::session::{Held, Put};

/// Largest body of settings.
const SETTINGS_MAX: usize = 1 << 20;

/// Most sessions on a page, and how many without a wish.
const PAGE: (usize, usize) = (1_000, 100);

/// `PUT` of a session.
pub(super) async fn put(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
    body: Body,
) -> Result<Response, Refused> {
    let key = key(&names.0, &names.1)?;
    let body = read(body, SETTINGS_MAX).await?;
    let settings: Settings =
        serde_json::from_slice(&body).map_err(|error| Refused::bad("bad_body", &error))?;
    let checked = Checked::new(settings).map_err(|error| Refused::bad("bad_settings", &error))?;
    let status = match sessions.put(&key, checked).await? {
        Put::Created => StatusCode::CREATED,
        Put::Kept => StatusCode::OK,
    };
    let held = find(&sessions, &names)?;
    Ok((status, Json(shown(&held))).into_response())
}

/// `GET` of a session.
pub(super) async fn show(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
) -> Result<Json<Value>, Refused> {
    Ok(Json(shown(&*find(&sessions, &names)?)))
}

/// `DELETE` of a session.
pub(super) async fn delete(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Refused> {
    let key = key(&names.0, &names.1)?;
    let keep_log = Query::of(query.as_deref(), &["keep_log"])?.flag("keep_log", false)?;
    match sessions.delete(&key, keep_log).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refused::no_session(&key)),
    }
}

/// `GET` of a project's sessions.
pub(super) async fn list(
    axum::extract::State(sessions): Api,
    axum::extract::Path(project): axum::extract::Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refused> {
    key(&project, "s")?;
    let query = Query::of(query.as_deref(), &["after", "limit"])?;
    let limit = query.get("limit").map_or(Ok(PAGE.1), str::parse::<usize>);
    let limit = limit.ok().filter(|limit| (1..=PAGE.0).contains(limit));
    let limit =
        limit.ok_or_else(|| Refused::bad("bad_parameter", &format!("limit is 1 to {}", PAGE.0)))?;
    let page = sessions.list(&project, query.get("after"), limit);
    let next = (page.len() == limit).then(|| page.last()).flatten();
    let next = next.map(|held| held.session.key().session().to_owned());
    let all: Vec<Value> = page.iter().map(|held| shown(held)).collect();
    Ok(Json(json!({ "sessions": all, "next": next })))
}

/// A session as it is shown: of headers only their names.
fn shown(held: &Held) -> Value {
    let checked = held.settings();
    let mut fields = serde_json::to_value(checked.settings()).unwrap_or_default();
    let names: Vec<&str> = checked.headers().names().collect();
    fields["headers"] = json!(names);
    fields["project"] = held.session.key().project().into();
    fields["session"] = held.session.key().session().into();
    fields["thread_id"] = json!(held.session.snapshot().thread);
    fields["stopped"] = held.is_stopped().into();
    fields
}
