//! What the tests share: telemetry on a log that can be told to fail, and a reader of streams.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use eventlog::memory::MemoryStore;
use eventlog::{
    AppendError, Appended, Batch, BoxFuture, Epoch, Head, Log, LogName, LogOptions, Page,
    ReadError, ReadLimit, Recovery, Status, Store, StoreError,
};
use futures_util::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::events::{NodeStarted, OomKill};
use crate::metrics::{Registry, registry, write};
use crate::sinks::Sinks;
use crate::words::OomScope;
use crate::{Settings, Telemetry, TelemetryMetrics, TelemetryOwner};

/// What a log does with an append.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mood {
    Good,
    Refuse(AppendError),
    /// Never answers.
    Hang,
}

/// A log in memory that can be told to fail.
pub(crate) struct FaultyLog {
    log: Arc<dyn Log>,
    mood: watch::Sender<Mood>,
    /// The next batch is stored, and its acknowledgement lost.
    pub(crate) lose_one_answer: Mutex<bool>,
    /// What had to be done to open it.
    pub(crate) recovery: Mutex<Option<Recovery>>,
}

impl FaultyLog {
    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

impl Log for FaultyLog {
    fn name(&self) -> &LogName {
        self.log.name()
    }
    fn epoch(&self) -> &Epoch {
        self.log.epoch()
    }
    fn max_batch(&self) -> usize {
        self.log.max_batch()
    }
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let mood = self.mood.borrow().clone();
            match mood {
                Mood::Good => {}
                Mood::Refuse(error) => return Err(error),
                Mood::Hang => std::future::pending().await,
            }
            let appended = self.log.append(batch).await;
            if std::mem::take(&mut *self.lose_one_answer.lock().unwrap()) {
                return Err(AppendError::Unavailable { cause: "no answer".into() });
            }
            appended
        })
    }
    fn read_from(&self, offset: u64, limit: ReadLimit) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.log.read_from(offset, limit)
    }
    fn head(&self) -> watch::Receiver<Head> {
        self.log.head()
    }
    fn trim(&self, before: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.log.trim(before)
    }
    fn status(&self) -> Status {
        Status { recovery: *self.recovery.lock().unwrap(), ..self.log.status() }
    }
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.log.close()
    }
}

/// Telemetry under test.
pub(crate) struct Bench {
    pub(crate) telemetry: Telemetry,
    pub(crate) owner: TelemetryOwner,
    pub(crate) log: Arc<FaultyLog>,
    pub(crate) router: Router,
    pub(crate) registry: Registry,
}

pub(crate) fn settings() -> Settings {
    Settings::new("n1")
}

pub(crate) async fn faulty_log() -> Arc<FaultyLog> {
    let store = MemoryStore::default();
    let name = LogName::new("telemetry").unwrap();
    let log = store.open(&name, LogOptions::default()).await.unwrap();
    let mood = watch::Sender::new(Mood::Good);
    Arc::new(FaultyLog { log, mood, lose_one_answer: Mutex::default(), recovery: Mutex::default() })
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::on(faulty_log().await, settings())
    }

    pub(crate) fn on(log: Arc<FaultyLog>, settings: Settings) -> Self {
        let mut registry = registry();
        let metrics = TelemetryMetrics::register(&mut registry, "memory");
        let (telemetry, owner) = Telemetry::start(settings, Arc::clone(&log) as _, metrics);
        let router = owner.router();
        Self { telemetry, owner, log, router, registry }
    }

    /// On a log, with sinks.
    pub(crate) fn with_sinks(log: Arc<FaultyLog>, sinks: Sinks) -> Self {
        Self::on(log, Settings { sinks: Some(sinks), ..settings() })
    }

    /// Switches one sink on or off.
    pub(crate) async fn switch(&self, sink: &str, on: bool) {
        let change = serde_json::json!({"sinks": {sink: {"enabled": on}}}).to_string();
        let answer = self.call("PATCH", "/v1/telemetry", &change).await;
        assert_eq!(answer.json()["config"]["sinks"][sink]["enabled"], on, "{answer:?}");
    }

    /// The same log with fewer records, after a restart: nothing of it is in memory.
    pub(crate) async fn trimmed(self, before: u64) -> Self {
        assert_eq!(self.owner.close(Duration::from_secs(60)).await.left, 0);
        assert_eq!(self.log.trim(before).await, Ok(before));
        Self::on(self.log, settings())
    }

    pub(crate) fn epoch(&self) -> &Epoch {
        self.log.epoch()
    }

    /// Publishes so many events and waits until they can be read.
    pub(crate) async fn publish(&self, events: u64) {
        for number in 0..events {
            self.telemetry
                .publish(Some("box"), OomKill { scope: OomScope::Daemon, killed: number });
        }
        self.stored().await;
    }

    /// Publishes an event of another category than [`Self::publish`] does.
    pub(crate) fn publish_other(&self) {
        let event = crate::events::samples::connect();
        self.telemetry.publish(Some("box"), event);
    }

    /// Waits until everything that was published is stored or lost.
    pub(crate) async fn stored(&self) {
        let streams = self.owner.streams();
        let handled = streams.handled(Duration::from_secs(60)).await;
        assert!(handled, "not stored in time: {:?}", self.log.status());
    }

    /// Waits until a metric's line starts so.
    pub(crate) async fn metric(&self, line: &str) {
        let seen = async {
            while !write(&self.registry).unwrap().lines().any(|there| there == line) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(30), seen).await;
        assert!(done.is_ok(), "`{line}` is not in\n{}", write(&self.registry).unwrap());
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: bytes.to_vec() }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = Request::builder().method(method).uri(path);
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Opens a stream.
    pub(crate) async fn stream(&self, query: &str, last_event_id: Option<&str>) -> Sse {
        open(&self.router, query, last_event_id).await
    }
}

/// Opens a stream.
pub(crate) async fn open(router: &Router, query: &str, last_event_id: Option<&str>) -> Sse {
    let mut request = Request::get(format!("/v1/telemetry/stream?{query}"));
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    Sse { body: response.into_body().into_data_stream(), text: String::new(), read: 0 }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A stream of events, block by block.
pub(crate) struct Sse {
    body: BodyDataStream,
    text: String,
    /// How far `text` was read.
    read: usize,
}

impl Sse {
    /// The next block, up to its blank line; `None` = the stream ended.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text[self.read..].find("\n\n") {
                let block = self.text[self.read..self.read + end].to_owned();
                self.read += end + 2;
                return Some(block);
            }
            self.text.drain(..std::mem::take(&mut self.read));
            let bytes = self.body.next().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event or gap: its id, whether it is a gap, and its data.
    pub(crate) async fn event(&mut self) -> Option<(String, bool, Value)> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            if let Some(data) = field("data: ") {
                let id = field("id: ").unwrap_or_default().to_owned();
                return Some((
                    id,
                    field("event: ") == Some("gap"),
                    serde_json::from_str(data).unwrap(),
                ));
            }
        }
    }

    /// The offsets of the next so many events, none of which may be a gap.
    pub(crate) async fn offsets(&mut self, events: usize) -> Vec<u64> {
        let mut offsets = Vec::new();
        while offsets.len() < events {
            let (id, gap, data) = self.event().await.unwrap();
            assert!(!gap, "{data}");
            assert_eq!(id, format!("{}-{}", data["epoch"].as_str().unwrap(), data["offset"]));
            offsets.push(data["offset"].as_u64().unwrap());
        }
        offsets
    }

    /// Polls for the next piece once, without waiting.
    pub(crate) async fn piece(&mut self) -> Option<Result<bytes::Bytes, axum::Error>> {
        self.body.next().await
    }
}

pub(crate) fn node_started() -> NodeStarted {
    NodeStarted { version: "1".into() }
}
