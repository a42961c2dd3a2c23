//! The accept loop and its end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, TOO_MANY};
use super::{HttpLimits, Tls, handshake};
use crate::access::Scheme;

/// Pause after an accept that failed for want of files or memory: connections have to end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener with its routes. Not `Clone`: it owns every connection's task.
#[must_use = "nothing is served until `run` is awaited"]
pub struct HttpServer {
    listener: TcpListener,
    router: Router,
    limits: Arc<HttpLimits>,
    tls: Option<Arc<Tls>>,
    handle: HttpStop,
    ended: watch::Sender<bool>,
}

/// Ends an [`HttpServer`]. Clones end the same one.
#[derive(Clone)]
pub struct HttpStop {
    closing: CancellationToken,
    deadline: Arc<watch::Sender<Option<Instant>>>,
    ended: watch::Receiver<bool>,
}

/// What a server did in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HttpReport {
    /// Connections served.
    pub connections: u64,
    /// Connections refused because there were too many.
    pub refused: u64,
    /// Connections that were cut at the end because a request of theirs did not end in time.
    pub cut: u64,
    /// Connections whose task panicked, which is a defect.
    pub panicked: u64,
}

impl fmt::Display for HttpReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, refused, cut, panicked } = self;
        write!(f, "{connections} connections, {refused} refused, {cut} cut, {panicked} panicked")
    }
}

impl HttpServer {
    /// A server that will answer with `router` on `listener`.
    pub fn new(listener: TcpListener, router: Router, limits: HttpLimits) -> Self {
        let (ended, has_ended) = watch::channel(false);
        let handle = HttpStop {
            closing: CancellationToken::new(),
            deadline: Arc::new(watch::Sender::new(None)),
            ended: has_ended,
        };
        Self { listener, router, limits: Arc::new(limits), tls: None, handle, ended }
    }

    /// With `Some`, it speaks TLS and nothing else; requests are then marked with [`Scheme::Https`].
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// Where clients reach it if it listens on `address`: `https://127.0.0.1:7300`.
    pub fn origin(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { Scheme::Https } else { Scheme::Http };
        format!("{}://{address}", scheme.as_str())
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What ends it.
    pub fn stop_handle(&self) -> HttpStop {
        self.handle.clone()
    }

    /// Serves until it is stopped: then nothing is accepted any more, idle connections end, requests
    /// end by themselves until the stop's deadline, and the rest is cut.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener and aborts every connection that was not upgraded.
    pub async fn run(self) -> HttpReport {
        let Self { listener, router, limits, tls, handle, ended } = self;
        let mut report = HttpReport::default();
        let mut tasks = JoinSet::new();
        // Requests of HTTP/2 connections; each ends with its connection.
        let streams = TaskTracker::new();
        let mut troubled = false;
        loop {
            tokio::select! {
                biased;
                () = handle.closing.cancelled() => break,
                Some(done) = tasks.join_next(), if !tasks.is_empty() => note(&mut report, done),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) if tasks.len() >= limits.connections => {
                        report.refused += 1;
                        say_once(&mut troubled, "too many connections, refusing more");
                        // Who speaks TLS would take these words for a broken record.
                        if tls.is_none() {
                            refuse(&stream);
                        }
                    }
                    Ok((stream, peer)) => {
                        report.connections += 1;
                        troubled = false;
                        // Small answers must not wait for the client's acknowledgement.
                        let _ = stream.set_nodelay(true);
                        bound_stall(&stream, limits.stall_timeout);
                        tasks.spawn(begin(
                            stream,
                            peer,
                            tls.clone(),
                            router.clone(),
                            Arc::clone(&limits),
                            streams.clone(),
                            handle.closing.clone(),
                        ));
                    }
                    Err(error) if of_the_client(&error) => {}
                    Err(error) => {
                        say_once(&mut troubled, &format!("cannot accept: {error}"));
                        let _ = timeout(ACCEPT_PAUSE, handle.closing.cancelled()).await;
                    }
                },
            }
        }
        drop(listener);
        finish(&mut tasks, handle.deadline.subscribe(), &mut report).await;
        streams.close();
        streams.wait().await;
        ended.send_replace(true);
        report
    }
}

/// Serves one connection to its end, with TLS if this server speaks it.
async fn begin(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Tls>>,
    router: Router,
    limits: Arc<HttpLimits>,
    streams: TaskTracker,
    stop: CancellationToken,
) {
    let Some(tls) = tls else {
        let from = (peer, Scheme::Http);
        return connection::serve(stream, from, router, limits, streams, stop).await;
    };
    // On the heap, so that a plain connection has not the room of one with TLS.
    Box::pin(async move {
        let shaken = handshake::shake(stream, peer, &tls, limits.header_timeout, &stop).await;
        if let Some(stream) = shaken {
            let from = (peer, Scheme::Https);
            connection::serve(stream, from, router, limits, streams, stop).await;
        }
    })
    .await;
}

/// One line when the trouble begins, not one per connection.
fn say_once(said: &mut bool, what: &str) {
    if !std::mem::replace(said, true) {
        tracing::warn!("{what}");
    }
}

async fn finish(
    tasks: &mut JoinSet<()>,
    mut deadline: watch::Receiver<Option<Instant>>,
    report: &mut HttpReport,
) {
    loop {
        let until = deadline.borrow_and_update().unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            done = tasks.join_next() => match done {
                Some(done) => note(report, done),
                None => return,
            },
            () = sleep_until(until) => break,
            Ok(()) = deadline.changed() => {}
        }
    }
    tasks.abort_all();
    while let Some(done) = tasks.join_next().await {
        note(report, done);
    }
}

fn note(report: &mut HttpReport, done: Result<(), JoinError>) {
    match done {
        Ok(()) => {}
        Err(error) if error.is_cancelled() => report.cut += 1,
        Err(error) => {
            report.panicked += 1;
            tracing::error!(error = %error, "a connection's task panicked");
        }
    }
}

/// Says why before the connection closes. It may not arrive: what the client sent is not read, and a
/// close with unread data is a reset.
fn refuse(stream: &TcpStream) {
    let _ = stream.try_write(TOO_MANY);
}

/// Lets the kernel end a connection whose client reads nothing. Nobody else could: a body that waits for
/// room is not asked, and a client that is alive acknowledges that it has none.
fn bound_stall(stream: &TcpStream, limit: Duration) {
    #[cfg(target_os = "linux")]
    {
        let millis = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        // Refused only of a connection that has ended already.
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, millis);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, limit);
}

/// The connection ended before we took it; the next one is not affected.
fn of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

impl HttpStop {
    /// Stops accepting now and gives open requests until `deadline`. Of several deadlines the
    /// earliest holds.
    pub fn stop_by(&self, deadline: Instant) {
        self.deadline.send_if_modified(|have| {
            let earlier = have.is_none_or(|have| deadline < have);
            if earlier {
                *have = Some(deadline);
            }
            earlier
        });
        self.closing.cancel();
    }

    /// Stops as [`stop_by`](Self::stop_by) does and waits until the last connection has ended.
    ///
    /// # Cancel safety
    /// Dropping the future stops waiting, not the stop.
    pub async fn finish(&self, deadline: Instant) {
        self.stop_by(deadline);
        self.ended().await;
    }

    /// Waits until the server has ended, or was dropped.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub async fn ended(&self) {
        // An error means that the server is gone, which is what is waited for.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}
