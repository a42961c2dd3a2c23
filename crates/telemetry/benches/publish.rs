//! What publishing costs the thread that publishes.
//!
//! `cargo bench -p telemetry --bench publish`

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use eventlog::memory::MemoryStore;
use eventlog::{Log, LogName, LogOptions, Store};
use telemetry::events::{ApiCall, CdpConnect, OomKill};
use telemetry::value::Millis;
use telemetry::words::{Addressing, EndpointKind, OomScope};
use telemetry::{Settings, Telemetry, TelemetryMetrics, metrics};
use tokio::runtime::Runtime;

/// Fewer than the queue takes.
const ROUND: u64 = 4_096;

fn connect(id: &Arc<str>) -> CdpConnect {
    let ms = Millis(Duration::from_micros(1_500));
    CdpConnect {
        connection_id: id.into(),
        generation: 1,
        endpoint: EndpointKind::Browser,
        target_id: None,
        addressing: Addressing::Path,
        hold_ms: ms,
        dial_ms: ms,
        dial_attempts: 1,
        tls: false,
        local: true,
        user_agent: None,
        client_ip: None,
    }
}

/// Times so many publishes, in rounds that the queue can take, each stored before the next begins.
fn accepted(log: &dyn Log, iterations: u64, mut publish: impl FnMut(u64)) -> Duration {
    let mut spent = Duration::ZERO;
    let mut done = 0;
    while done < iterations {
        let round = ROUND.min(iterations - done);
        let stored = log.status().next + round;
        let started = Instant::now();
        (done..done + round).for_each(&mut publish);
        spent += started.elapsed();
        while log.status().next < stored {
            std::thread::yield_now();
        }
        done += round;
    }
    spent
}

fn publish(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let store = MemoryStore::default();
    let name = LogName::new("telemetry").expect("a name");
    let log = runtime.block_on(store.open(&name, LogOptions::default())).expect("a log");
    let counted = TelemetryMetrics::register(&mut metrics::registry(), "memory");
    let (telemetry, owner) = {
        let _inside = runtime.enter();
        Telemetry::start(Settings::new("n1"), Arc::clone(&log), counted)
    };

    let mut group = criterion.benchmark_group("publish");
    group.bench_function("filtered", |bench| {
        let took = Millis(Duration::from_millis(3));
        bench.iter(|| {
            let event = ApiCall {
                method: "GET".into(),
                route: "/v1".into(),
                status: 200,
                duration_ms: took,
                principal: None,
            };
            telemetry.publish(Some(black_box("box")), black_box(event));
        });
    });
    group.bench_function("accepted_small", |bench| {
        bench.iter_custom(|iterations| {
            accepted(&*log, iterations, |killed| {
                telemetry.publish(Some("box"), OomKill { scope: OomScope::Daemon, killed });
            })
        });
    });
    group.bench_function("accepted_connect", |bench| {
        let id: Arc<str> = Arc::from("01JABCDEFGHJKMNPQRSTVWXYZ0");
        bench.iter_custom(|iterations| {
            accepted(&*log, iterations, |_| telemetry.publish(Some("box"), connect(&id)))
        });
    });
    group.finish();
    runtime.block_on(owner.close(Duration::from_secs(5)));
}

criterion_group!(benches, publish);
criterion_main!(benches);
