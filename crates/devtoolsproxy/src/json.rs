//! `/json/*`: asked of the browser, rewritten for this client.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body::Frame;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use upstream::{Upstream, WaitReady, WsUrl};

use crate::browser::{self, FetchError};
use crate::dial::Unreachable;
use crate::directory::Target;
use crate::external::External;
use crate::refusal::Refusal;
use crate::rewrite::rewrite;
use crate::route::{Endpoint, Route};
use crate::settings::EdgeSettings;
use crate::stops::Stops;

/// One `/json` request as it goes upstream.
pub(crate) enum Ask {
    /// The answer is JSON with addresses in it.
    Rewritten { method: Method, path: String },
    /// The answer's status and text are the browser's.
    PassedOn { path: String },
    /// The answer is long and holds no address.
    Streamed { path: &'static str },
}

impl Ask {
    /// What to ask for a route, or the socket that it is.
    pub(crate) fn of(route: Route) -> Result<Self, Endpoint> {
        let get = |path: &str| Self::Rewritten { method: Method::GET, path: path.to_owned() };
        Ok(match route {
            Route::Version => get("/json/version"),
            Route::List => get("/json/list"),
            Route::Protocol => Self::Streamed { path: "/json/protocol" },
            Route::New { url } => {
                let query = if url.is_empty() { "" } else { "?" };
                Self::Rewritten { method: Method::PUT, path: format!("/json/new{query}{url}") }
            }
            Route::Activate { target } => {
                Self::PassedOn { path: format!("/json/activate/{target}") }
            }
            Route::Close { target } => Self::PassedOn { path: format!("/json/close/{target}") },
            Route::Socket(endpoint) => return Err(endpoint),
        })
    }
}

/// Waits for the browser as a session does, asks it, and makes the answer.
pub(crate) async fn answer(
    settings: &EdgeSettings,
    target: &Target,
    ask: &Ask,
    external: &External,
    mut stops: Stops,
) -> Result<Response<Body>, Refusal> {
    let deadline = Instant::now() + settings.dial.hold_max;
    let work = async {
        loop {
            let (generation, url) = match target.upstream.wait_ready(deadline).await {
                WaitReady::Ready { generation, url } => (generation, url),
                WaitReady::Gone { .. } => return Err(Refusal::Unreachable(Unreachable::Gone)),
                WaitReady::TimedOut { .. } => {
                    return Err(Refusal::Unreachable(Unreachable::NotReady));
                }
            };
            match once(settings, &url, ask, external).await {
                Err(Refusal::Unreachable(Unreachable::Refused))
                    if moved_on(&target.upstream, generation, settings.waits.settle).await => {}
                done => return done,
            }
        }
    };
    tokio::select! {
        biased;
        detail = stops.wait() => Err(Refusal::Stopped(detail)),
        done = work => done,
    }
}

/// Whether the browser that refused is known to be another one or none within the time that it
/// takes to notice a death.
async fn moved_on(upstream: &Upstream, generation: u64, settle: Duration) -> bool {
    upstream.hint();
    let mut changes = upstream.changes();
    let other = async {
        loop {
            let state = changes.changed().await;
            if !state.is_ready() || state.generation != generation {
                return;
            }
        }
    };
    tokio::time::timeout(settle, other).await.is_ok()
}

async fn once(
    settings: &EdgeSettings,
    url: &WsUrl,
    ask: &Ask,
    external: &External,
) -> Result<Response<Body>, Refusal> {
    match ask {
        Ask::Rewritten { method, path } => {
            let limits = (settings.fetch_limit, settings.fetch_body_max);
            let answer = browser::fetch(url, method.clone(), path, limits.0, limits.1).await?;
            if answer.status() != StatusCode::OK {
                return Err(Refusal::BadAnswer("the browser refused this request"));
            }
            let body = rewrite(answer.body(), url.authority(), external).map_err(|error| {
                tracing::info!(error = %error, "bad /json answer");
                Refusal::BadAnswer("the browser's answer is not JSON")
            })?;
            Ok(json(StatusCode::OK, Body::from(body)))
        }
        Ask::PassedOn { path } => {
            let limits = (settings.fetch_limit, settings.fetch_body_max);
            let answer = browser::fetch(url, Method::GET, path, limits.0, limits.1).await?;
            let status = answer.status();
            let mut response = Response::new(Body::from(answer.into_body()));
            *response.status_mut() = status;
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
            Ok(response)
        }
        Ask::Streamed { path } => {
            let asked = browser::request(url, Method::GET, path);
            let (response, connection) = tokio::time::timeout(settings.fetch_limit, asked)
                .await
                .unwrap_or(Err(FetchError::TimedOut))?;
            if response.status() != StatusCode::OK {
                return Err(Refusal::BadAnswer("the browser refused this request"));
            }
            let body = Streamed {
                body: response.into_body(),
                connection: Box::pin(connection),
                stalled: Box::pin(tokio::time::sleep(settings.fetch_limit)),
                limit: settings.fetch_limit,
            };
            Ok(json(StatusCode::OK, Body::new(body)))
        }
    }
}

fn json(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // As Chromium spells it.
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Refused => Self::Unreachable(Unreachable::Refused),
            FetchError::TimedOut => Self::NoAnswer,
            FetchError::TooLarge => Self::BadAnswer("the browser's answer is too large"),
        }
    }
}

type Connection = Pin<Box<dyn Future<Output = std::convert::Infallible> + Send>>;

/// A body that drives the connection it comes from, so that no task is needed for it.
struct Streamed {
    body: Incoming,
    connection: Connection,
    stalled: Pin<Box<Sleep>>,
    limit: Duration,
}

/// The browser stopped in the middle of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the browser's answer stalled or broke")]
struct Broken;

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let Poll::Pending = this.connection.as_mut().poll(cx);
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            // Only the browser's own pauses count, not those of a slow client.
            this.stalled.as_mut().reset(Instant::now() + this.limit);
            return Poll::Ready(frame.map(|frame| frame.map_err(|_| Broken)));
        }
        this.stalled.as_mut().poll(cx).map(|()| Some(Err(Broken)))
    }
}
