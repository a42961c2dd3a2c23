//! What the tests stand on: an edge with the log of its events, and sessions in the test's hands.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use draingate::Keeper;
use eventlog::memory::MemoryStore;
use eventlog::{Log, LogName, LogOptions, ReadLimit, Store};
use futures_util::FutureExt;
use telemetry::metrics::registry;
use telemetry::words::{Addressing, EndpointKind};
use telemetry::{Settings, Telemetry, TelemetryMetrics, TelemetryOwner};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::watch;
use tokio::time::Instant as Clock;
use tower::ServiceExt;
use upstream::{Answer, Cause, Fact, Probe, Publisher, WsUrl};

use super::super::*;
use crate::directory::{
    Admitted, Authorize, BoxFuture, Denied, Directory, LookupError, QuickOptions, QuickRefused,
};
use crate::edge::Edge;
use crate::settings::EdgeSettings;

pub(super) const KILLED: Cause = Cause::Signalled { signal: 9 };

pub(super) struct Nobody;

impl Directory for Nobody {
    fn lookup(&self, _: &str) -> Result<Target, LookupError> {
        Err(LookupError::Unknown)
    }

    fn create_quick(
        &self,
        _: QuickOptions,
        _: tokio_util::sync::CancellationToken,
    ) -> BoxFuture<'_, Result<Target, QuickRefused>> {
        Box::pin(async { Err(QuickRefused::Draining) })
    }

    fn delete_quick(&self, _: Arc<str>, _: Arc<str>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl Authorize for Nobody {
    fn authorize(
        &self,
        _: &http::request::Parts,
        _: Option<SocketAddr>,
    ) -> Result<Admitted, Denied> {
        Ok(Admitted::default())
    }
}

/// A browser that answers who it is as long as the test says so, and takes its time.
pub(super) struct Asked(watch::Receiver<Option<&'static str>>);

impl Probe for Asked {
    fn ask<'a>(&'a self, _: &'a str, _: u16) -> upstream::BoxFuture<'a, Answer> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            match *self.0.borrow() {
                Some(guid) => Answer::Alive { guid: guid.to_owned() },
                None => Answer::NoAnswer,
            }
        })
    }
}

pub(super) fn url(generation: u64) -> WsUrl {
    WsUrl::from_parts("127.0.0.1", 9000, &format!("guid-{generation}")).unwrap()
}

/// The client's side, with a fault that can be switched on.
pub(super) struct Faulty {
    stream: DuplexStream,
    panics: Arc<AtomicBool>,
}

impl wsproxy::Endpoint for Faulty {}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "injected");
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An edge with the log of its events.
pub(crate) struct Stage {
    pub(crate) edge: Edge,
    pub(super) log: Arc<dyn Log>,
    pub(super) telemetry: TelemetryOwner,
    pub(super) sessions: std::cell::Cell<u32>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with_ttl_grace(Duration::ZERO)
    }

    pub(crate) fn with_ttl_grace(ttl_grace: Duration) -> Self {
        let name = LogName::new("events").unwrap();
        let log = MemoryStore::default()
            .open(&name, LogOptions::default())
            .now_or_never()
            .expect("memory does not wait")
            .unwrap();
        let metrics = TelemetryMetrics::register(&mut registry(), "memory");
        let (telemetry, owner) = Telemetry::start(Settings::new("node"), Arc::clone(&log), metrics);
        let nobody = Arc::new(Nobody);
        let mut settings = EdgeSettings { ttl_grace, ..EdgeSettings::default() };
        // Small messages only, and thousands of sessions.
        settings.relay.buffer = 32 << 10;
        let edge = Edge::new(Arc::clone(&nobody) as _, nobody, telemetry, settings);
        Self { edge, log, telemetry: owner, sessions: std::cell::Cell::new(0) }
    }

    /// A session that has just got its 101.
    pub(super) fn session(&self, restart_expected: bool) -> Bench {
        let number = self.sessions.get();
        self.sessions.set(number + 1);
        let connection_id: Arc<str> = format!("c{number}").into();
        let (answers, asked) = watch::channel(Some("guid-1"));
        let publisher = Publisher::with_probe(restart_expected, Arc::new(Asked(asked)));
        publisher.apply(Fact::Ready { url: url(1) });
        let keeper = Keeper::new();
        let (stop, stop_rx) = watch::channel(None);
        let target = Target {
            id: "one".into(),
            lifecycle_id: "lc".into(),
            upstream: publisher.upstream(),
            gate: keeper.gate(),
            stop: stop_rx.clone(),
        };
        let mut changes = target.upstream.changes();
        changes.current();
        let session = Session {
            edge: Arc::clone(self.edge.inner()),
            connection_id: Arc::clone(&connection_id),
            generation: 1,
            endpoint: Endpoint::Browser,
            target,
            changes,
            stops: Stops::new(stop_rx, self.edge.inner().stop.subscribe(), None),
        };
        let record = session.open(CdpConnect {
            connection_id: connection_id.into(),
            generation: 1,
            endpoint: EndpointKind::Browser,
            target_id: None,
            addressing: Addressing::Path,
            hold_ms: Duration::ZERO.into(),
            dial_ms: Duration::ZERO.into(),
            dial_attempts: 1,
            tls: false,
            local: true,
            user_agent: None,
            client_ip: None,
        });
        let (client, client_end) = tokio::io::duplex(1 << 16);
        let (browser, browser_end) = tokio::io::duplex(1 << 16);
        let faulty = Arc::new(AtomicBool::new(false));
        let client_end = Faulty { stream: client_end, panics: Arc::clone(&faulty) };
        let mut task = tokio::task::JoinSet::new();
        let run = session.run(record, (), (client_end, Bytes::new()), (browser_end, Bytes::new()));
        let size = size_of_val(&run);
        task.spawn(run);
        let began = Clock::now();
        Bench {
            publisher,
            answers,
            stop,
            client,
            browser,
            faulty,
            size,
            task,
            began,
            _keeper: keeper,
        }
    }

    /// Changes what telemetry keeps.
    pub(crate) async fn configure(&self, change: &'static str) {
        let request =
            http::Request::patch("/v1/telemetry").body(axum::body::Body::from(change)).unwrap();
        let answer = self.telemetry.router().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// Every event, in order.
    pub(super) async fn events(self) -> Vec<serde_json::Value> {
        self.telemetry.close(Duration::from_secs(1)).await;
        let mut events = Vec::new();
        let mut offset = 1;
        loop {
            let page = self.log.read_from(offset, ReadLimit::default()).await.unwrap();
            assert_eq!(page.gap, None);
            let Some(last) = page.records.last() else { break };
            offset = last.offset + 1;
            let read = |record: &eventlog::Record| serde_json::from_slice(&record.payload).unwrap();
            events.extend(page.records.iter().map(read));
        }
        events
    }

    /// The ends of all sessions in their order; each had one connect and one disconnect.
    pub(super) async fn ends(self) -> Vec<serde_json::Value> {
        let mut seen = vec![(0, Vec::new()); self.sessions.get() as usize];
        for event in self.events().await {
            let id = event["data"]["connection_id"].as_str().unwrap_or("c");
            let Ok(number) = id[1..].parse::<usize>() else { continue };
            let (connects, ends) = &mut seen[number];
            match event["type"].as_str().unwrap() {
                "cdp_connect" => *connects += 1,
                "cdp_disconnect" => ends.push(event["data"].clone()),
                "cdp_command" => {}
                other => panic!("{other}"),
            }
        }
        seen.into_iter()
            .map(|(connects, mut ends)| {
                assert_eq!((connects, ends.len()), (1, 1), "{ends:?}");
                ends.remove(0)
            })
            .collect()
    }

    /// The verdicts of all sessions in their order.
    pub(super) async fn verdicts(self) -> Vec<String> {
        let word = |end: &serde_json::Value, name: &str| end[name].as_str().unwrap().to_owned();
        let verdict = |end| format!("{}/{}", word(&end, "reason"), word(&end, "detail"));
        self.ends().await.into_iter().map(verdict).collect()
    }
}

/// One session with everything around it in the hands of the test.
pub(super) struct Bench {
    pub(super) publisher: Publisher,
    pub(super) answers: watch::Sender<Option<&'static str>>,
    pub(super) stop: watch::Sender<Option<ContextDetail>>,
    pub(super) client: DuplexStream,
    pub(super) browser: DuplexStream,
    /// Makes the next read of the client's side panic.
    pub(super) faulty: Arc<AtomicBool>,
    pub(super) size: usize,
    pub(super) task: tokio::task::JoinSet<()>,
    pub(super) began: Clock,
    _keeper: Keeper,
}

impl Bench {
    /// Lets the session run until it waits for something.
    pub(super) async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn ready(&self, generation: u64) {
        self.publisher.apply(Fact::Ready { url: url(generation) });
    }

    /// The browser's socket ends, and its process is known to have ended or not.
    pub(super) fn dies(&mut self, cause: Option<Cause>) {
        self.browser = tokio::io::duplex(1).0;
        self.answers.send_replace(None);
        if let Some(cause) = cause {
            self.publisher.apply(Fact::Ended { cause });
        }
    }

    /// The client sends a short text message.
    pub(super) async fn asks(&mut self, text: &str) {
        let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        self.client.write_all(&[&head, text.as_bytes()].concat()).await.unwrap();
    }

    /// The browser gets this text message, as it was sent.
    pub(super) async fn is_asked(&mut self, text: &str) {
        let mut frame = vec![0; 6 + text.len()];
        self.browser.read_exact(&mut frame).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&frame[6..]), text);
    }

    /// The browser sends a short text message, and the client gets it.
    pub(super) async fn answers(&mut self, text: &str) {
        let sent = [&[0x81, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        self.browser.write_all(&sent).await.unwrap();
        let mut frame = vec![0; sent.len()];
        self.client.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame, sent);
    }

    /// The code of the Close that the client gets, and when.
    pub(super) async fn told(&mut self) -> (u16, Duration) {
        let mut head = [0; 2];
        self.client.read_exact(&mut head).await.unwrap();
        assert_eq!(head[0], 0x88, "a Close");
        let mut payload = vec![0; usize::from(head[1])];
        self.client.read_exact(&mut payload).await.unwrap();
        let after = self.began.elapsed();
        // Answered, so that the close handshake ends at once.
        let answer = [0x88, 0x82, 0, 0, 0, 0, payload[0], payload[1]];
        // It may be over by then.
        let _ = self.client.write_all(&answer).await;
        (u16::from_be_bytes([payload[0], payload[1]]), after)
    }

    /// Waits until nothing of the session is left, and says when that was.
    pub(super) async fn ended(mut self) -> Duration {
        while let Some(done) = self.task.join_next().await {
            done.unwrap();
        }
        assert_eq!(self.publisher.upstream().subscribers(), 0);
        self.began.elapsed()
    }
}
