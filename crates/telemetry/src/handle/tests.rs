use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;
use crate::events::{NodeStarted, OomKill};
use crate::words::OomScope;

#[derive(Default)]
struct Losses(Mutex<Vec<(Category, LossCause)>>);

impl LossCounter for Losses {
    fn lost(&self, category: Category, cause: LossCause, events: u64) {
        for _ in 0..events {
            self.0.lock().unwrap().push((category, cause));
        }
    }
}

fn telemetry() -> (Telemetry, Outlet, Arc<Losses>, Arc<Intake>) {
    let losses = Arc::new(Losses::default());
    let (intake, outlet) = queue(bit(Category::System), Arc::clone(&losses) as _);
    (Telemetry::connected(Arc::clone(&intake)), outlet, losses, intake)
}

fn oom() -> OomKill {
    OomKill { scope: OomScope::Renderer, killed: 1 }
}

#[test]
fn an_event_of_a_category_that_is_off_leaves_no_trace() {
    let (telemetry, mut outlet, losses, intake) = telemetry();
    intake.set_categories(bit(Category::Drain));
    telemetry.publish(Some("s"), oom());
    assert!(!telemetry.enabled(Category::System));
    assert_eq!((intake.queued(), intake.queued_bytes()), (0, 0));
    assert!(losses.0.lock().unwrap().is_empty());
    outlet.close();
}

#[tokio::test]
async fn a_full_queue_drops_counts_and_the_next_event_tells() {
    let (telemetry, mut outlet, losses, intake) = telemetry();
    for _ in 0..QUEUE_EVENTS {
        telemetry.publish(None, oom());
    }
    let mut took = [Duration::ZERO; 100];
    for one in &mut took {
        let started = Instant::now();
        telemetry.publish(None, oom());
        *one = started.elapsed();
    }
    took.sort();
    // The median: a thread may lose its processor at any point.
    assert!(took[50] < Duration::from_micros(10), "{took:?}");
    assert_eq!(*losses.0.lock().unwrap(), [(Category::System, LossCause::QueueFull); 100]);

    let mut items = Vec::new();
    outlet.receive(&mut items, QUEUE_EVENTS).await;
    assert!(items.iter().all(|item| item.lost == 0));
    assert_eq!((intake.queued(), intake.queued_bytes()), (0, 0));
    telemetry.publish(None, oom());
    telemetry.publish(None, oom());
    items.clear();
    outlet.receive(&mut items, 2).await;
    assert_eq!(items.iter().map(|item| item.lost).collect::<Vec<_>>(), [100, 0]);
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_too() {
    let (telemetry, mut outlet, losses, intake) = telemetry();
    let data = || {
        let mut data = serde_json::Map::new();
        data.insert("text".into(), "x".repeat(1_000_000).into());
        let source = crate::events::PostedSource {
            kind: crate::words::SourceKind::Client,
            event: None,
            metadata: Vec::new(),
        };
        crate::events::Posted::new("custom", Some(Category::System), source, data).unwrap()
    };
    for _ in 0..20 {
        telemetry.publish(None, data());
    }
    assert_eq!(intake.queued(), 16);
    assert!(intake.queued_bytes() <= QUEUE_BYTES);
    assert_eq!(losses.0.lock().unwrap().len(), 4);
    telemetry.publish(None, NodeStarted { version: "1".into() });
    let mut items = Vec::new();
    outlet.receive(&mut items, 100).await;
    assert_eq!(items.last().map(|item| item.lost), Some(4));
}

#[tokio::test]
async fn after_the_end_publishing_is_harmless_and_counted() {
    let (telemetry, mut outlet, losses, _) = telemetry();
    telemetry.publish(None, oom());
    outlet.close();
    telemetry.publish(None, oom());
    let mut items = Vec::new();
    assert_eq!(outlet.receive(&mut items, 10).await, 1, "what was inside is still received");
    assert_eq!(outlet.receive(&mut items, 10).await, 0);
    assert_eq!(*losses.0.lock().unwrap(), [(Category::System, LossCause::Shutdown)]);
    Telemetry::disconnected().publish(None, oom());
}
