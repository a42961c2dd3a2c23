//! From a target to an open event stream: redirects, and what an answer means.

use std::time::{Duration, SystemTime};

use bytestring::ByteString;
use http::header::{HeaderName, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

use crate::listener::{Failure, Reason};

use super::Target;
use super::client::{Client, fields};
use super::headers::Headers;
use super::response::{Body, Response, is_event_stream};

/// Most redirects that are followed.
const HOPS: usize = 5;

/// How long a runner may take for the head of its answer.
const HEAD: Duration = Duration::from_secs(30);

/// A longer id is not sent: no common server takes such a header, and the answer would be an error
/// for ever.
const ID_MAX: usize = 4 << 10;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

impl Client {
    /// Opens a target's event stream, going on behind `last_event_id`.
    ///
    /// # Errors
    /// Why there is no stream, and when to ask again.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    pub(crate) async fn open(
        &self,
        target: &Target,
        last_event_id: Option<ByteString>,
    ) -> Result<Body, Failure> {
        let mut extra = fields("text/event-stream");
        let id = last_event_id.filter(|id| !id.is_empty() && id.len() <= ID_MAX);
        // An id that no header can carry is left out; the runner then begins at its start.
        if let Some(value) = id.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok()) {
            extra.insert(LAST_EVENT_ID, value);
        }
        let none = Headers::default();
        let mut headers = &target.headers;
        let mut url = target.url.clone();
        for _ in 0..=HOPS {
            let Response { status, headers: fields, body } =
                self.get(&url, headers, &extra, HEAD).await.map_err(|error| error.reason())?;
            match answer(status, &fields, &url, SystemTime::now()) {
                Answer::Stream => return Ok(body),
                Answer::Failed(failure) => return Err(failure),
                Answer::Elsewhere(next) => {
                    if next.origin() != url.origin() {
                        headers = &none;
                    }
                    url = next;
                }
            }
        }
        Err(Reason::Redirect.into())
    }
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Stream,
    Elsewhere(Url),
    Failed(Failure),
}

fn answer(status: StatusCode, headers: &HeaderMap, url: &Url, now: SystemTime) -> Answer {
    let reason = match status.as_u16() {
        200 if is_event_stream(headers) => return Answer::Stream,
        200 => Reason::ContentType,
        204 => Reason::StoppedByServer,
        301 | 302 | 303 | 307 | 308 => {
            let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
            match location.and_then(|location| url.join(location).ok()) {
                Some(next) => return Answer::Elsewhere(next),
                None => Reason::Redirect,
            }
        }
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        410 => Reason::Gone,
        other => Reason::Http(other),
    };
    Answer::Failed(Failure { reason, retry_after: retry_after(headers, now) })
}

/// In seconds, or as a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests;
