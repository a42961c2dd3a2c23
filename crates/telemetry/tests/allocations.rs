//! What publishing allocates: nothing at all for a category that is off.

use std::sync::Arc;
use std::time::Duration;

use eventlog::memory::MemoryStore;
use eventlog::{LogName, LogOptions, Store};
use telemetry::events::{ApiCall, OomKill};
use telemetry::words::{Category, OomScope};
use telemetry::{Settings, Telemetry, TelemetryMetrics, TelemetryOwner, metrics};

async fn start() -> Result<(Telemetry, TelemetryOwner), Box<dyn std::error::Error>> {
    let store = MemoryStore::default();
    let log = store.open(&LogName::new("telemetry")?, LogOptions::default()).await?;
    let counted = TelemetryMetrics::register(&mut metrics::registry(), "memory");
    Ok(Telemetry::start(Settings::new("n1"), log, counted))
}

fn api_call() -> ApiCall {
    let took = Duration::from_millis(3).into();
    ApiCall {
        method: "GET".into(),
        route: "/v1/node".into(),
        status: 200,
        duration_ms: took,
        principal: None,
    }
}

#[tokio::test]
async fn an_event_of_a_category_that_is_off_allocates_nothing()
-> Result<(), Box<dyn std::error::Error>> {
    let (telemetry, owner) = start().await?;
    let shared: Arc<str> = Arc::from("box");
    let measured = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            assert!(!telemetry.enabled(Category::Api));
            telemetry.publish(Some(&shared), api_call());
        }
    });
    assert_eq!(measured.count_total, 0, "{measured:?}");
    assert_eq!(owner.close(Duration::from_secs(5)).await.left, 0);
    Ok(())
}

#[tokio::test]
async fn an_accepted_event_allocates_its_sandbox_and_its_share_of_the_queue()
-> Result<(), Box<dyn std::error::Error>> {
    let (telemetry, owner) = start().await?;
    let measured = allocation_counter::measure(|| {
        for killed in 0..1_000 {
            telemetry.publish(Some("box"), OomKill { scope: OomScope::Daemon, killed });
        }
    });
    // One for the sandbox, and one block of the queue for each 32 events.
    assert!((1_000..1_050).contains(&measured.count_total), "{measured:?}");
    assert_eq!(owner.close(Duration::from_secs(5)).await.left, 0);
    Ok(())
}
