//! One connection, from its accept to its end or its upgrade.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use telemetry::fields;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::head_timer::{HeadTimer, Polls};
use super::in_time::{InTime, Late};
use super::{HttpLimits, http2};
use crate::access::{Scheme, error_body};

/// The smallest read buffer hyper takes.
const SMALLEST_BUFFER: usize = 8192;

const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\
content-type: text/plain; charset=utf-8\r\ncontent-length: 48\r\n\r\n\
the request head did not arrive within the time\n";

/// How much of a body that is too large is read only to be able to answer.
pub(super) const DISCARD_BYTES: usize = 16 << 20;
/// How long that may take.
pub(super) const DISCARD_TIME: Duration = Duration::from_secs(2);
/// How long a client has to take what is said to it last. The kernel takes it at once; over TLS it
/// may have to be written behind what the client has not read yet.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is said to a connection that is one too many.
pub(super) const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\
retry-after: 1\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 44\r\n\r\n\
too many connections; try again in a second\n";

/// Serves one connection until it ends, is upgraded, or `stop` is cancelled and its request has ended.
pub(super) async fn serve<S>(
    stream: S,
    (peer, scheme): (SocketAddr, Scheme),
    router: Router,
    limits: Arc<HttpLimits>,
    streams: TaskTracker,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let polls = Arc::new(Polls::default());
    let timer = HeadTimer::new(Arc::clone(&polls), limits.header_timeout, limits.idle_timeout);
    let theirs = Arc::clone(&limits);
    let answers = move |request: Request<Incoming>| {
        let (router, limits) = (router.clone(), Arc::clone(&theirs));
        async move { answer(router, request, (peer, scheme), &limits).await }
    };
    let first = answers.clone();
    let service = service_fn(move |request| {
        let answered = first(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let mut connection = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(SMALLEST_BUFFER))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut stopping = false;
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = poll_fn(|cx| {
                polls.next();
                std::pin::Pin::new(&mut connection).poll(cx)
            }) => break outcome,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let Err(error) = outcome else { return };
    let parts = connection.into_parts();
    if let Some(parts) = parts.filter(|parts| !parts.read_buf.is_empty()) {
        let mut stream = parts.io.into_inner();
        if error.is_parse() && http2::begins(&parts.read_buf) {
            let ended = http2::serve(stream, parts.read_buf, answers, &limits, streams, stop).await;
            if let Err(error) = ended {
                tracing::debug!(peer = %peer, error = %error, "connection ended");
            }
            return;
        }
        if error.is_timeout() {
            // Best effort: who sends slowly may not read either.
            let _ = timeout(LAST_WORDS, async {
                stream.write_all(TOO_SLOW).await?;
                stream.shutdown().await
            })
            .await;
        }
    }
    tracing::debug!(peer = %peer, error = %error, "connection ended");
}

/// Reads what a client goes on sending, within bounds: a close with unread data is a reset, and would
/// take the answer with it before the client has read why.
async fn discard(mut body: Incoming) {
    let _ = timeout(DISCARD_TIME, async {
        let mut left = DISCARD_BYTES;
        while left > 0
            && let Some(Ok(frame)) = body.frame().await
        {
            left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len()));
        }
    })
    .await;
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    (peer, scheme): (SocketAddr, Scheme),
    limits: &HttpLimits,
) -> Response {
    let body_bytes = limits.body_bytes;
    if request.body().size_hint().lower() > body_bytes as u64 {
        let waits_for_us = request.headers().contains_key(header::EXPECT);
        if !waits_for_us {
            discard(request.into_body()).await;
        }
        let text = format!("the request body is larger than {body_bytes} bytes");
        let body = axum::Json(error_body("BAD_REQUEST", &text));
        return (StatusCode::PAYLOAD_TOO_LARGE, body).into_response();
    }
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(ConnectInfo(peer));
    parts.extensions.insert(scheme);
    let method = parts.method.clone();
    let late = Late::default();
    // Most requests have none, and need no timer.
    let body = match body.is_end_stream() {
        true => Body::empty(),
        false => {
            let body = Limited::new(body, body_bytes);
            Body::new(InTime::new(body, limits.body_timeout, late.clone()))
        }
    };
    let request = Request::from_parts(parts, body);
    let answered = AssertUnwindSafe(router.oneshot(request)).catch_unwind().await;
    match answered {
        // Whatever the handler made of half a body.
        Ok(Ok(_)) if late.is_set() => {
            let text = "the request body did not arrive within the time";
            let body = axum::Json(error_body("BAD_REQUEST", text));
            (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")], body).into_response()
        }
        Ok(Ok(response)) => {
            let status = response.status().as_u16();
            tracing::debug!(
                { fields::HTTP_METHOD } = %method,
                { fields::HTTP_STATUS } = status,
                "answered"
            );
            response
        }
        Err(panic) => {
            let what = crate::panic_text(&*panic);
            tracing::error!({ fields::HTTP_METHOD } = %method, "a handler panicked: {what}");
            let text = "a defect in this service; its log says which";
            let body = axum::Json(error_body("BUG", text));
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}
