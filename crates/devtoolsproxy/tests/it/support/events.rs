//! The events that come out of an edge, in their order, each taken once.

use std::collections::VecDeque;
use std::sync::Arc;

use eventlog::memory::MemoryStore;
use eventlog::{Follower, LogName, LogOptions, ReadLimit, Step, Store};
use serde_json::Value;
use telemetry::events::ConfigChanged;
use telemetry::metrics::registry;
use telemetry::{Settings, Telemetry, TelemetryMetrics, TelemetryOwner};
use tokio::time::timeout;

use super::ws::PATIENCE;

/// One event.
#[derive(Clone, Debug)]
pub struct Seen(Value);

impl Seen {
    pub fn kind(&self) -> &str {
        self.0["type"].as_str().unwrap()
    }

    pub fn sandbox(&self) -> Option<&str> {
        self.0["sandbox"].as_str()
    }

    /// Microseconds since 1970.
    pub fn ts(&self) -> i64 {
        self.0["ts"].as_i64().unwrap()
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0["data"].get(name)
    }

    fn must(&self, name: &str) -> &Value {
        self.get(name).unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    pub fn str(&self, name: &str) -> &str {
        self.must(name).as_str().unwrap()
    }

    pub fn u64(&self, name: &str) -> u64 {
        self.must(name).as_u64().unwrap()
    }

    pub fn f64(&self, name: &str) -> f64 {
        self.must(name).as_f64().unwrap()
    }

    pub fn bool(&self, name: &str) -> bool {
        self.must(name).as_bool().unwrap()
    }

    pub fn reason(&self) -> &str {
        self.str("reason")
    }

    pub fn detail(&self) -> &str {
        self.str("detail")
    }
}

/// Telemetry on a log in memory, read from its beginning.
pub struct Events {
    telemetry: Telemetry,
    owner: TelemetryOwner,
    log: Follower,
    read: VecDeque<Seen>,
}

impl Events {
    pub async fn new() -> Self {
        let name = LogName::new("events").expect("a valid name");
        let log = MemoryStore::default().open(&name, LogOptions::default()).await.expect("opens");
        let metrics = TelemetryMetrics::register(&mut registry(), "memory");
        let (telemetry, owner) = Telemetry::start(Settings::new("node"), Arc::clone(&log), metrics);
        let log = Follower::new(log, 1, ReadLimit::default());
        Self { telemetry, owner, log, read: VecDeque::new() }
    }

    pub fn telemetry(&self) -> Telemetry {
        self.telemetry.clone()
    }

    /// Where the telemetry is configured and read.
    #[allow(dead_code, reason = "only a bench configures it")]
    pub fn router(&self) -> axum::Router {
        self.owner.router()
    }

    async fn next(&mut self) -> Seen {
        timeout(PATIENCE, self.follow()).await.expect("no event came")
    }

    async fn follow(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.read.pop_front() {
                return seen;
            }
            match self.log.next().await {
                Ok(Some(Step::Records(records))) => {
                    self.read.extend(records.iter().map(|record| {
                        Seen(serde_json::from_slice(&record.payload).expect("an envelope"))
                    }))
                }
                other => panic!("the log of events ended: {other:?}"),
            }
        }
    }

    async fn must(&mut self, kind: &str) -> Seen {
        let seen = self.next().await;
        assert_eq!(seen.kind(), kind, "{seen:?}");
        seen
    }

    pub async fn connect(&mut self) -> Seen {
        self.must("cdp_connect").await
    }

    pub async fn disconnect(&mut self) -> Seen {
        self.must("cdp_disconnect").await
    }

    pub async fn refused(&mut self) -> Seen {
        self.must("cdp_refused").await
    }

    /// The next so many events.
    pub async fn all(&mut self, count: usize) -> Vec<Seen> {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(self.next().await);
        }
        all
    }

    /// What else was reported before this call: everything in front of a mark that is set now.
    pub async fn rest(&mut self) -> Vec<String> {
        self.telemetry.publish(None, ConfigChanged { changed: Vec::new() });
        let mut rest = Vec::new();
        loop {
            let seen = self.next().await;
            if seen.kind() == ConfigChanged::TYPE.name {
                return rest;
            }
            rest.push(seen.0.to_string());
        }
    }
}
