//! One HTTP/2 connection: bounded streams, an end when it is idle or told to, no task left behind.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::HttpLimits;

/// How the preface begins (RFC 9113 section 3.4): what a client sends first that knows beforehand
/// that HTTP/2 is spoken here.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
/// A peer whose host is gone without a word is noticed after this and [`PING_ANSWER`].
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_ANSWER: Duration = Duration::from_secs(20);
/// What a stream may hold of an answer that its client does not read.
const SEND_BUFFER: usize = 64 * 1024;

/// Whether these are the first bytes of an HTTP/2 connection.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(PREFACE)
}

/// Serves a connection of which `read` was already read. Its streams run in `tasks` and are cut when
/// the future is dropped.
pub(super) async fn serve<S, A, F>(
    stream: S,
    read: Bytes,
    answer: A,
    limits: &HttpLimits,
    tasks: TaskTracker,
    stop: CancellationToken,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let io = tokio::io::join(std::io::Cursor::new(read).chain(reader), writer);
    let service = service_fn(move |request| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();
    let open = Arc::new(watch::Sender::new(0));
    let idle = self::idle(open.subscribe(), limits.idle_timeout);
    // Who does not answer is left: a graceful end waits for an answer of the client.
    let mute = self::idle(open.subscribe(), limits.header_timeout);
    let mut connection = std::pin::pin!(
        http2::Builder::new(Streams { tasks, open, cut })
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER)
            .serve_connection(TokioIo::new(io), service)
    );
    let mut told = false;
    let (mut idle, mut mute) = (std::pin::pin!(idle), std::pin::pin!(mute));
    loop {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => return outcome,
            () = stop.cancelled(), if !told => told = true,
            () = idle.as_mut(), if !told => told = true,
            () = mute.as_mut(), if told => return Ok(()),
        }
        // Streams that are open go on; no new ones are taken.
        connection.as_mut().graceful_shutdown();
    }
}

/// Waits until no stream has been open for so long.
async fn idle(mut open: watch::Receiver<usize>, limit: Duration) {
    // An error means that the connection has ended.
    while open.wait_for(|open| *open == 0).await.is_ok() {
        if timeout(limit, open.wait_for(|open| *open > 0)).await.is_err() {
            return;
        }
    }
}

/// Runs the streams of one connection.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    open: Arc<watch::Sender<usize>>,
    cut: CancellationToken,
}

/// A stream that is open.
struct Open(Arc<watch::Sender<usize>>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.open.send_modify(|open| *open += 1);
        let (open, cut) = (Open(Arc::clone(&self.open)), self.cut.clone());
        self.tasks.spawn(async move {
            let _open = open;
            cut.run_until_cancelled_owned(stream).await;
        });
    }
}
