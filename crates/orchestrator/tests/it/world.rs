//! A node on the fake driver, with a clock that only moves when everybody waits.

use std::sync::Arc;
use std::time::Duration;

use eventlog::memory::MemoryStore;
use eventlog::{Log, LogName, LogOptions, ReadLimit, Store};
use lockkeeper_api::{CreateRequest, SandboxState};
use orchestrator::driver::LifecycleId;
use orchestrator::{
    Config, CreateError, DeleteOptions, ListFilter, Metrics, Orchestrator, Snapshot,
};
use serde_json::Value;
use telemetry::metrics::Registry;
use telemetry::{Telemetry, TelemetryMetrics, TelemetryOwner};
use testkit::fake_driver::{Counts, FakeDriver};
use tokio::task::JoinHandle;

/// What most tests need.
pub(crate) struct World {
    pub(crate) node: Orchestrator,
    pub(crate) driver: Arc<FakeDriver>,
    events: TelemetryOwner,
    log: Arc<dyn Log>,
    registry: Registry,
}

pub(crate) fn config() -> Config {
    Config { max_sandboxes: 10, start_slots: 4, ..Config::default() }
}

impl World {
    pub(crate) async fn open() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::on(FakeDriver::new(), config).await
    }

    pub(crate) async fn on(driver: FakeDriver, config: Config) -> Self {
        let driver = Arc::new(driver);
        let mut registry = telemetry::metrics::registry();
        let name = LogName::new("telemetry").unwrap();
        let log = MemoryStore::default().open(&name, LogOptions::default()).await.unwrap();
        let numbers = TelemetryMetrics::register(&mut registry, "memory");
        let settings = telemetry::Settings::new("n1");
        let (telemetry, events) = Telemetry::start(settings, Arc::clone(&log), numbers);
        let metrics = Metrics::register(&mut registry);
        let node = Orchestrator::with_metrics(config, driver.shared(), telemetry, metrics);
        node.reclaim().await.unwrap();
        Self { node, driver, events, log, registry }
    }

    /// Every event so far, in the order of the log.
    pub(crate) async fn events(&self) -> Vec<Value> {
        self.events.streams().end(secs(60)).await;
        let (mut all, mut from) = (Vec::new(), 1);
        loop {
            let page = self.log.read_from(from, ReadLimit::default()).await.unwrap();
            if page.records.is_empty() {
                return all;
            }
            assert_eq!(page.gap, None, "events are missing");
            from = page.next;
            let values = page.records.iter().map(|r| serde_json::from_slice(&r.payload).unwrap());
            all.extend(values);
        }
    }

    /// Every event so far of one type.
    pub(crate) async fn events_of(&self, kind: &str) -> Vec<Value> {
        let mut all = self.events().await;
        all.retain(|event| event["type"] == kind);
        all
    }

    /// Whether a scrape has this line.
    pub(crate) fn has_metric(&self, line: &str) -> bool {
        telemetry::metrics::write(&self.registry).unwrap().lines().any(|found| found == line)
    }

    pub(crate) async fn create(&self, id: &str) -> Result<Snapshot, CreateError> {
        self.node.create(named(id)).await
    }

    /// A create whose outcome is looked at later.
    #[expect(clippy::disallowed_methods, reason = "a test is the owner of its tasks")]
    pub(crate) fn creating(
        &self,
        request: CreateRequest,
    ) -> JoinHandle<Result<Snapshot, CreateError>> {
        let node = self.node.clone();
        tokio::spawn(async move { node.create(request).await })
    }

    #[expect(clippy::disallowed_methods, reason = "a test is the owner of its tasks")]
    pub(crate) fn deleting(&self, id: &str) -> JoinHandle<Result<Snapshot, String>> {
        let (node, id) = (self.node.clone(), id.to_owned());
        tokio::spawn(async move {
            node.delete(&id, by("test")).await.map_err(|error| error.to_string())
        })
    }

    pub(crate) async fn delete(&self, id: &str) -> Snapshot {
        self.node.delete(id, by("test")).await.unwrap()
    }

    /// Looks without counting as use of it.
    pub(crate) fn state(&self, id: &str) -> Option<SandboxState> {
        let all = ListFilter { states: SandboxState::ALL.to_vec(), ..ListFilter::default() };
        let page = self.node.list(&all);
        let found = page.sandboxes.iter().find(|snapshot| snapshot.record().id.as_str() == id)?;
        Some(found.state().word())
    }

    /// Word of the reason for which it ended or is ending.
    pub(crate) fn stop_reason(&self, id: &str) -> Option<&'static str> {
        self.node.get(id)?.state().stop().map(|stop| stop.reason.as_str())
    }

    pub(crate) fn lifecycle(&self, id: &str) -> LifecycleId {
        self.node.get(id).unwrap().record().lifecycle.clone()
    }

    /// Waits until the sandbox is in that state.
    pub(crate) async fn reaches(&self, id: &str, state: SandboxState) {
        eventually(&format!("{id} is {}", state.as_str()), || {
            let now = self.state(id);
            (now == Some(state)).then_some(()).ok_or(format!("{now:?}"))
        })
        .await;
    }

    /// Waits until nothing is left of anything: no incarnation, slot, process, directory or call.
    pub(crate) async fn nothing_left(&self) {
        eventually("nothing is left", || {
            let (info, counts) = (self.node.info(), self.driver.counts());
            let Counts { processes, directories, calls, .. } = counts;
            let left = (info.capacity.used, info.slots.used, info.slots.queued, info.sessions);
            match (left, processes, directories, calls) {
                ((0, 0, 0, 0), 0, 0, 0) => Ok(()),
                other => Err(format!("{other:?} {:?}", self.node.blockers())),
            }
        })
        .await;
    }
}

/// Waits for a predicate, for at most a minute of the tests' clock.
pub(crate) async fn eventually(what: &str, check: impl Fn() -> Result<(), String>) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        match check() {
            Ok(()) => return,
            Err(state) => {
                assert!(tokio::time::Instant::now() < deadline, "never: {what}; it is {state}");
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Lets every task run as far as it can without time passing.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn request(body: &str) -> CreateRequest {
    CreateRequest::from_json(body.as_bytes()).unwrap()
}

pub(crate) fn named(id: &str) -> CreateRequest {
    CreateRequest { id: Some(id.to_owned()), ..CreateRequest::default() }
}

pub(crate) fn flagged(id: &str, flag: &str) -> CreateRequest {
    CreateRequest { flags: Some(vec![flag.to_owned()]), ..named(id) }
}

pub(crate) fn by(detail: &str) -> DeleteOptions {
    DeleteOptions { detail: detail.to_owned(), ..DeleteOptions::default() }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
