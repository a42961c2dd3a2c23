//! How long the end of many sandboxes takes beyond the end of the slowest one, on a driver without
//! processes: once each deleted by its client while the node drains, once all by force.
//!
//! `cargo bench -p orchestrator --bench drain -- [sandboxes] [rounds]`; one line of JSON, times in
//! milliseconds, one for each round. `cargo xtask bench drain` states the goal.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program of its own, whose runtime owns its tasks"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use eventlog::memory::MemoryStore;
use eventlog::{LogName, LogOptions, Store};
use lockkeeper_api::CreateRequest;
use orchestrator::{Config, DeleteOptions, ForceReason, Metrics, Orchestrator};
use serde_json::json;
use telemetry::{Telemetry, TelemetryMetrics, TelemetryOwner};
use testkit::fake_driver::{Act, FakeDriver, Point};
use tokio::task::JoinSet;

/// How long the driver takes to end a browser: from the first to the second, each its own.
const STOP: (u64, u64) = (100, 400);

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let sandboxes = args.next().map_or(1000, |arg| arg.parse().expect("a number of sandboxes"));
    let rounds = args.next().map_or(11, |arg| arg.parse().expect("a number of rounds"));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    let (mut deleted, mut forced) = (Vec::new(), Vec::new());
    // The first round only warms up.
    for round in 0..=rounds {
        let took = runtime.block_on(async { (delete(sandboxes).await, force(sandboxes).await) });
        if round > 0 {
            deleted.push(took.0);
            forced.push(took.1);
        }
    }
    println!("{}", json!({"sandboxes": sandboxes, "deleted_ms": deleted, "forced_ms": forced}));
}

struct World {
    node: Orchestrator,
    /// The slowest end so far, in milliseconds.
    slowest: Arc<AtomicU64>,
    _events: TelemetryOwner,
}

/// A node with so many sandboxes.
async fn world(sandboxes: usize) -> World {
    let driver = FakeDriver::with_start_time(Duration::ZERO);
    let slowest = Arc::new(AtomicU64::new(0));
    let noted = Arc::clone(&slowest);
    driver.script(move |at| match at.point {
        Point::StopBegin => {
            let millis = fastrand::u64(STOP.0..=STOP.1);
            noted.fetch_max(millis, Ordering::Relaxed);
            Act::Wait(Duration::from_millis(millis))
        }
        _ => Act::Go,
    });
    let mut registry = telemetry::metrics::registry();
    let name = LogName::new("telemetry").unwrap();
    let log = MemoryStore::default().open(&name, LogOptions::default()).await.unwrap();
    let numbers = TelemetryMetrics::register(&mut registry, "memory");
    let settings = telemetry::Settings::new("n1");
    let (telemetry, events) = Telemetry::start(settings, log, numbers);
    let metrics = Metrics::register(&mut registry);
    let config = Config { max_sandboxes: sandboxes, start_slots: sandboxes, ..Config::default() };
    let driver = Arc::new(driver).shared();
    let node = Orchestrator::with_metrics(config, driver, telemetry, metrics);
    node.reclaim().await.unwrap();
    let mut creates = JoinSet::new();
    for _ in 0..sandboxes {
        let node = node.clone();
        creates.spawn(async move { node.create(CreateRequest::default()).await.map(drop) });
    }
    for created in creates.join_all().await {
        created.unwrap();
    }
    World { node, slowest, _events: events }
}

impl World {
    /// Since `began`, without the end of the slowest browser.
    fn beyond(&self, began: Instant) -> f64 {
        let slowest = self.slowest.load(Ordering::Relaxed) as f64;
        began.elapsed().as_secs_f64() * 1e3 - slowest
    }
}

async fn delete(sandboxes: usize) -> f64 {
    let world = world(sandboxes).await;
    let node = &world.node;
    node.begin_server_drain(None);
    node.wait_admitted().await;
    node.begin_factory_drain();
    node.wait_starts().await;
    let ids: Vec<_> = node.blockers().into_iter().map(|blocker| blocker.id).collect();
    assert_eq!(ids.len(), sandboxes);
    let began = Instant::now();
    let mut deletes = JoinSet::new();
    for id in ids {
        let node = node.clone();
        deletes.spawn(async move { node.delete(&id, DeleteOptions::default()).await.map(drop) });
    }
    node.wait_live_empty().await;
    node.wait_cleanup().await;
    let beyond = world.beyond(began);
    for deleted in deletes.join_all().await {
        deleted.unwrap();
    }
    beyond
}

async fn force(sandboxes: usize) -> f64 {
    let world = world(sandboxes).await;
    let began = Instant::now();
    let budget = Duration::from_secs(30);
    let report = world.node.force_stop(ForceReason::ForceStop, budget, |_| ()).await;
    let beyond = world.beyond(began);
    assert!(report.stuck.is_empty(), "{:?}", report.stuck.len());
    beyond
}
