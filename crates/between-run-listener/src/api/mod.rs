//! The HTTP side of sessions, as routes that a daemon mounts behind its own access checks.

mod error;
mod events;
mod export;
mod runner;
mod runs;
mod settings;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::{MethodRouter, get, post, put};
use bytes::Bytes;
use http::StatusCode;

use crate::SessionKey;
use crate::session::{Held, Sessions};

use error::Refused;

/// Largest body of a request: 16 MiB, like the largest event.
const BODY_MAX: usize = 16 << 20;

type Api = axum::extract::State<Arc<Sessions>>;
type Names = axum::extract::Path<(String, String)>;

/// Where a session is.
const SESSION: &str = "/v1/projects/{project}/sessions/{session}";

/// The routes below `/v1/projects`.
pub fn router(sessions: Arc<Sessions>) -> Router {
    let made = put(settings::put).delete(settings::delete).get(settings::show);
    routes(made.with_state(Arc::clone(&sessions)), sessions)
}

/// The same for sessions that the daemon itself makes and deletes: PUT and DELETE of a session are
/// refused with 403 and this text.
pub fn router_without_put(sessions: Arc<Sessions>, why: &'static str) -> Router {
    let refuse = move || async move { Refused::new(StatusCode::FORBIDDEN, "not_by_clients", &why) };
    let made = put(refuse).delete(refuse).get(settings::show);
    routes(made.with_state(Arc::clone(&sessions)), sessions)
}

fn routes(session: MethodRouter, sessions: Arc<Sessions>) -> Router {
    let at = |rest: &str| format!("{SESSION}{rest}");
    Router::new()
        .route("/v1/projects/{project}/sessions", get(settings::list))
        .route(&at("/status"), get(status::status))
        .route(&at("/listener/rearm"), post(status::rearm))
        .route(&at("/export"), get(export::export))
        .route(&at("/agui"), post(runs::agui))
        .route(&at("/agui/run"), post(runs::run))
        .route(&at("/agui/events"), get(events::events))
        .route(&at("/agui/interrupt"), post(runner::interrupt))
        .route(&at("/agui/feedback"), post(runner::feedback))
        .route(&at("/agui/capabilities"), get(runner::capabilities))
        .route(&at("/agui/tasks"), get(runner::tasks))
        .route(&at("/agui/tasks/{task}"), get(runner::task))
        .route(&at("/agui/tasks/{task}/output"), get(runner::output))
        .route(&at("/agui/tasks/{task}/stop"), post(runner::stop))
        .with_state(sessions)
        .route(SESSION, session)
}

fn key(project: &str, session: &str) -> Result<SessionKey, Refused> {
    SessionKey::new(project, session).map_err(|error| Refused::bad(error.kind(), &error))
}

fn find(sessions: &Sessions, names: &(String, String)) -> Result<Arc<Held>, Refused> {
    let key = key(&names.0, &names.1)?;
    sessions.find(&key).ok_or_else(|| Refused::no_session(&key))
}

async fn read(body: Body, most: usize) -> Result<Bytes, Refused> {
    axum::body::to_bytes(body, most).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            if error.is::<http_body_util::LengthLimitError>() {
                return Refused::too_large(most);
            }
            cause = error.source();
        }
        Refused::bad("body_broken", &"the body broke off")
    })
}

/// The values of a query by name; the last one of a name counts.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(query: Option<&str>, known: &[&str]) -> Result<Self, Refused> {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let pairs: Vec<(String, String)> = pairs.into_owned().collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            // Daemons may take a token from the query; they have taken it out before.
            Some((name, _)) => {
                let known = known.join(", ");
                Err(Refused::bad("unknown_parameter", &format!("{name:?} is none of {known}")))
            }
            None => Ok(Self(pairs)),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &'static str, default: bool) -> Result<bool, Refused> {
        match self.get(name) {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(Refused::bad("bad_parameter", &format!("{name} is true or false"))),
        }
    }
}
