//! The client: one request, one connection.

use std::fmt;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::listener::Reason;

use super::connect::{Connector, Io, Resolve, SystemResolver};
use super::error::{SendError, io_reason};
use super::guard::{Blocked, Guard};
use super::headers::Headers;
use super::response::{Body, Response};
use super::tls::Trust;
use super::wire::{Head, request_head, response_head};

/// How often a connect for a posted run is tried: a runner that starts needs about a minute.
const CONNECTS: u32 = 15;

/// The first pause between two such connects, how it grows, and the longest.
const PAUSE: (Duration, f64, Duration) = (Duration::from_millis(500), 1.5, Duration::from_secs(5));

/// What a client may reach, and how long it waits.
pub struct Options {
    /// The allow-list.
    pub guard: Guard,
    /// Who turns names into addresses.
    pub resolver: Box<dyn Resolve>,
    /// Whose certificates are trusted.
    pub trust: Trust,
    /// The longest connect: name, TCP and TLS together.
    pub connect: Duration,
}

impl Default for Options {
    /// Loopback only, the system's resolver and roots, 10 s for a connect.
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            resolver: Box::new(SystemResolver::default()),
            trust: Trust::default(),
            connect: Duration::from_secs(10),
        }
    }
}

/// A request to a runner.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// How.
    pub method: Method,
    /// Where.
    pub url: &'a Url,
    /// What the session's settings add.
    pub headers: &'a Headers,
    /// A `traceparent` to pass on.
    pub traceparent: Option<HeaderValue>,
    /// The body, JSON; nothing with GET.
    pub body: Bytes,
    /// The longest wait for the answer's head once the request is sent.
    pub head: Duration,
}

/// Asks runners. Clones share everything.
#[derive(Clone)]
pub struct Client {
    connector: Arc<Connector>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("guard", &self.connector.guard).finish_non_exhaustive()
    }
}

impl Client {
    /// A client.
    pub fn new(options: Options) -> Self {
        let Options { guard, resolver, trust, connect } = options;
        Self { connector: Arc::new(Connector { guard, resolver, trust, timeout: connect }) }
    }

    /// Judges a URL of new settings by what its name means now. A name that nobody knows yet passes:
    /// each connect asks again.
    ///
    /// # Errors
    /// Why it is blocked.
    pub async fn check(&self, url: &Url) -> Result<(), Blocked> {
        match self.connector.addresses(url).await {
            Err(SendError::Blocked(why)) => Err(why),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Sends a request once. A redirect is not followed: it comes back like any other status.
    ///
    /// # Errors
    /// No answer.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection; the runner may have got the request.
    pub async fn send(&self, request: &Request<'_>) -> Result<Response, SendError> {
        let io = self.connector.connect(request.url).await?;
        exchange(io, request, &extra(request, "application/json")).await
    }

    /// Posts a run and returns the answer whose body is the run's events.
    ///
    /// While the runner cannot be reached it is tried up to fifteen times, about a minute in all. A
    /// request of which a byte was sent is never sent again.
    ///
    /// # Errors
    /// No answer, or `cancel` was cancelled.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection; the runner may have got the request.
    pub async fn post_stream(
        &self,
        request: &Request<'_>,
        cancel: &CancellationToken,
    ) -> Result<Response, SendError> {
        let post = async {
            let io = self.connect_again(request.url).await?;
            exchange(io, request, &extra(request, "text/event-stream")).await
        };
        cancel.run_until_cancelled(post).await.unwrap_or(Err(SendError::Cancelled))
    }

    async fn connect_again(&self, url: &Url) -> Result<Io, SendError> {
        let (mut pause, growth, longest) = PAUSE;
        for _ in 1..CONNECTS {
            match self.connector.connect(url).await {
                Err(error) if error.is_retriable() => tokio::time::sleep(pause).await,
                result => return result,
            }
            pause = pause.mul_f64(growth).min(longest);
        }
        self.connector.connect(url).await
    }

    /// Asks for a stream once, with these headers, and waits `head` for the answer.
    pub(super) async fn get(
        &self,
        url: &Url,
        headers: &Headers,
        extra: &HeaderMap,
        head: Duration,
    ) -> Result<Response, SendError> {
        let io = self.connector.connect(url).await?;
        let request = Request {
            method: Method::GET,
            url,
            headers,
            traceparent: None,
            body: Bytes::new(),
            head,
        };
        exchange(io, &request, extra).await
    }
}

/// The header fields that every request has, with what is accepted as its answer.
pub(super) fn fields(accept: &'static str) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(4);
    fields.insert(ACCEPT, HeaderValue::from_static(accept));
    fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields
}

fn extra(request: &Request<'_>, accept: &'static str) -> HeaderMap {
    let mut fields = fields(accept);
    if request.method != Method::GET {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(parent) = &request.traceparent {
        fields.insert(HeaderName::from_static("traceparent"), parent.clone());
    }
    fields
}

/// Writes the request and reads the answer's head, both at once: a runner may answer, and refuse,
/// before it has read all of a large body.
async fn exchange(
    mut io: Io,
    request: &Request<'_>,
    extra: &HeaderMap,
) -> Result<Response, SendError> {
    let headers = extra.iter().chain(request.headers.map().iter());
    let mut sent = request_head(&request.method, request.url, headers, request.body.len());
    sent.extend_from_slice(&request.body);
    let answer = async {
        let mut left = Some(&sent[..]);
        let mut unwritten = None;
        let mut came = BytesMut::new();
        loop {
            let read = std::future::poll_fn(|cx| {
                if let Some(rest) = &mut left {
                    match io.poll_write_all(cx, rest) {
                        Poll::Pending => {}
                        Poll::Ready(written) => {
                            left = None;
                            unwritten = written.err();
                        }
                    }
                }
                io.poll_read(cx)
            })
            .await;
            // What stopped us from writing says more than the end that followed.
            let reason = match (&read, &unwritten) {
                (Ok(bytes), _) if !bytes.is_empty() => None,
                (_, Some(error)) | (Err(error), None) => Some(io_reason(error)),
                (Ok(_), None) => Some(Reason::Reset),
            };
            if let Some(reason) = reason {
                return Err(SendError::Broken { reason });
            }
            came.extend_from_slice(&read.unwrap_or_default());
            if let Some(head) = response_head(&mut came, &request.method)? {
                return Ok((head, came));
            }
        }
    };
    let answered = tokio::time::timeout(request.head, answer).await;
    let (Head { status, headers, framing }, came) =
        answered.map_err(|_| SendError::HeaderTimeout)??;
    Ok(Response { status, headers, body: Body::new(io, framing, came.freeze()) })
}
