//! Pure: the answer to a request that is not served: status, one line of text, one header.
//!
//! The text says what is wrong and what to do; it holds the connection id, so that a user can name
//! it to an operator, and no path, host, token or trace.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use telemetry::words::{ContextDetail, Detail};
use wsproxy::handshake::HandshakeRefused;

use crate::dial::Unreachable;
use crate::directory::{Denied, LookupError, QuickRefused};
use crate::route::RouteRefused;
use crate::verdict::Verdict;

#[cfg(test)]
pub(crate) mod tests;

/// Longest body in bytes.
const BODY_MAX: usize = 200;

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may not come in.
    Denied(Denied),
    /// The request line or headers make no WebSocket handshake.
    BadHandshake(HandshakeRefused),
    /// Nothing is served under this path.
    NoSuchPath,
    /// The id leads to no sandbox.
    Lookup(LookupError),
    /// The path inside the sandbox leads nowhere.
    Route(RouteRefused),
    /// This many sessions are the limit for one sandbox.
    SandboxFull(usize),
    /// This many sessions are the limit for this process.
    ProcessFull(usize),
    /// The sandbox, or this process, takes no new session.
    Draining,
    /// The session was cancelled before it began.
    Stopped(ContextDetail),
    /// No browser was reached.
    Unreachable(Unreachable),
    /// No sandbox was made for a quick connect.
    Quick(QuickRefused),
    /// The browser answered a `/json` request with something that cannot be passed on; the text
    /// says what.
    BadAnswer(&'static str),
    /// The browser did not answer a `/json` request in time.
    NoAnswer,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Denied(Denied::BadHost(_)) | Self::Quick(QuickRefused::BadOptions(_)) => {
                StatusCode::BAD_REQUEST
            }
            Self::BadHandshake(why) => why.status(),
            Self::Denied(Denied::Token(_)) => StatusCode::UNAUTHORIZED,
            Self::Denied(Denied::Forbidden(_)) => StatusCode::FORBIDDEN,
            Self::NoSuchPath
            | Self::Lookup(LookupError::Unknown)
            | Self::Route(RouteRefused::Target)
            | Self::Unreachable(Unreachable::NoSuchTarget) => StatusCode::NOT_FOUND,
            Self::Route(RouteRefused::Method { .. }) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Lookup(LookupError::Paused { retry_after: None, .. }) => StatusCode::CONFLICT,
            Self::Lookup(LookupError::Stopped { .. })
            | Self::Stopped(
                ContextDetail::SandboxDeleted
                | ContextDetail::SandboxPaused
                | ContextDetail::TtlExpired,
            ) => StatusCode::GONE,
            Self::Route(RouteRefused::UpgradeMissing) => StatusCode::UPGRADE_REQUIRED,
            Self::SandboxFull(_)
            | Self::ProcessFull(_)
            | Self::Quick(QuickRefused::NoCapacity { .. } | QuickRefused::Busy { .. })
            | Self::Stopped(ContextDetail::OverLimit) => StatusCode::TOO_MANY_REQUESTS,
            Self::Stopped(ContextDetail::InternalError) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unreachable(Unreachable::Refused | Unreachable::Gone)
            | Self::Quick(QuickRefused::Failed(_))
            | Self::BadAnswer(_) => StatusCode::BAD_GATEWAY,
            Self::Draining
            | Self::Lookup(LookupError::Paused { retry_after: Some(_), .. })
            | Self::Stopped(
                ContextDetail::NodeDrain
                | ContextDetail::ForcedStop
                | ContextDetail::AuthRevoked
                | ContextDetail::RequestCancelled
                | ContextDetail::IdleTimeout,
            )
            | Self::Unreachable(Unreachable::NotReady)
            | Self::Quick(QuickRefused::Draining | QuickRefused::Cancelled(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unreachable(Unreachable::TimedOut)
            | Self::Quick(QuickRefused::TimedOut)
            | Self::NoAnswer => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The pair that `cdp_refused` carries; `None` for requests that were never a session: not
    /// let in, malformed, or for something that does not exist.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        Some(match self {
            Self::Denied(_)
            | Self::BadHandshake(_)
            | Self::NoSuchPath
            | Self::Lookup(_)
            | Self::Route(_)
            | Self::BadAnswer(_)
            | Self::NoAnswer
            | Self::Quick(QuickRefused::BadOptions(_)) => return None,
            Self::SandboxFull(_)
            | Self::ProcessFull(_)
            | Self::Quick(QuickRefused::NoCapacity { .. } | QuickRefused::Busy { .. }) => {
                Verdict::cancelled(ContextDetail::OverLimit)
            }
            Self::Draining | Self::Quick(QuickRefused::Draining) => {
                Verdict::cancelled(ContextDetail::NodeDrain)
            }
            Self::Stopped(detail) | Self::Quick(QuickRefused::Cancelled(detail)) => {
                Verdict::cancelled(*detail)
            }
            Self::Unreachable(Unreachable::NoSuchTarget) => Verdict::upstream(Detail::TargetClosed),
            Self::Unreachable(
                Unreachable::NotReady
                | Unreachable::Refused
                | Unreachable::TimedOut
                | Unreachable::Gone,
            )
            | Self::Quick(QuickRefused::Failed(_) | QuickRefused::TimedOut) => {
                Verdict::upstream(Detail::BrowserUnreachable)
            }
        })
    }

    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Denied(Denied::BadHost(text) | Denied::Token(text) | Denied::Forbidden(text)) => {
                Cow::Borrowed(text)
            }
            Self::BadHandshake(why) => why.to_string().into(),
            Self::NoSuchPath => Cow::Borrowed(
                "nothing here; a sandbox's address is /sandboxes/{id} or /devtools/browser/{id}",
            ),
            Self::Lookup(error) => error.to_string().into(),
            Self::Route(error) => error.to_string().into(),
            Self::SandboxFull(limit) => {
                format!("this sandbox has {limit} sessions, its limit; close one").into()
            }
            Self::ProcessFull(limit) => {
                format!("this proxy has {limit} sessions, its limit; close one").into()
            }
            Self::Draining => Cow::Borrowed("draining: no new session is taken here"),
            Self::Stopped(detail) => {
                format!("cancelled before the session began: {}", detail.as_str()).into()
            }
            Self::Unreachable(why) => why.to_string().into(),
            Self::Quick(why) => why.to_string().into(),
            Self::BadAnswer(text) => Cow::Borrowed(text),
            Self::NoAnswer => Cow::Borrowed("the browser did not answer in time"),
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let after = |seconds: u64| Some((header::RETRY_AFTER, HeaderValue::from(seconds)));
        match self {
            Self::Denied(Denied::Token(_)) => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            Self::Route(RouteRefused::Method { allow }) => {
                Some((header::ALLOW, HeaderValue::from_static(allow)))
            }
            Self::Route(RouteRefused::UpgradeMissing) => {
                Some((header::UPGRADE, HeaderValue::from_static("websocket")))
            }
            Self::BadHandshake(why) => why.header(),
            Self::SandboxFull(_) | Self::ProcessFull(_) => after(1),
            Self::Lookup(LookupError::Paused { retry_after: Some(time), .. }) => {
                after(whole_seconds(*time))
            }
            Self::Quick(
                QuickRefused::NoCapacity { retry_after } | QuickRefused::Busy { retry_after },
            ) => after(retry_after.map_or(1, whole_seconds)),
            Self::Draining
            | Self::Quick(QuickRefused::Draining | QuickRefused::Cancelled(_))
            | Self::Stopped(
                ContextDetail::NodeDrain
                | ContextDetail::ForcedStop
                | ContextDetail::RequestCancelled
                | ContextDetail::IdleTimeout,
            ) => after(5),
            Self::Unreachable(Unreachable::NotReady) => after(2),
            Self::Unreachable(Unreachable::Refused | Unreachable::TimedOut)
            | Self::Quick(QuickRefused::Failed(_) | QuickRefused::TimedOut)
            | Self::BadAnswer(_)
            | Self::NoAnswer
            | Self::Stopped(ContextDetail::OverLimit) => after(1),
            Self::Denied(Denied::BadHost(_) | Denied::Forbidden(_))
            | Self::NoSuchPath
            | Self::Lookup(_)
            | Self::Route(RouteRefused::Target)
            | Self::Unreachable(Unreachable::Gone | Unreachable::NoSuchTarget)
            | Self::Quick(QuickRefused::BadOptions(_))
            | Self::Stopped(
                ContextDetail::SandboxDeleted
                | ContextDetail::SandboxPaused
                | ContextDetail::TtlExpired
                | ContextDetail::AuthRevoked
                | ContextDetail::InternalError,
            ) => None,
        }
    }

    /// The whole answer.
    #[must_use]
    pub fn response<B: From<String>>(&self, connection_id: &str) -> Response<B> {
        let body = line(&self.text(), connection_id);
        let mut response = Response::new(B::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.header() {
            headers.insert(name, value);
        }
        response
    }
}

/// One line within the limit; what is too long is cut in the text, never in the id.
fn line(text: &str, connection_id: &str) -> String {
    let room = BODY_MAX.saturating_sub(connection_id.len() + 4);
    let mut out = String::with_capacity(BODY_MAX);
    for character in text.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if out.len() + character.len_utf8() > room {
            break;
        }
        out.push(character);
    }
    out.push_str(" [");
    out.push_str(connection_id);
    out.push_str("]\n");
    out
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
