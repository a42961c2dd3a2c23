use std::sync::Arc;

use eventlog::Log;
use serde_json::Value;
use tokio::task::JoinSet;

use super::*;
use crate::handle;
use crate::testing::{Bench, Mood, faulty_log, node_started, settings};

fn full() -> Mood {
    Mood::Refuse(AppendError::Full { cause: "no space left".into() })
}

async fn stored(bench: &Bench) -> Vec<Value> {
    bench
        .call("GET", "/v1/telemetry/events?limit=1000", "")
        .await
        .json()
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_publishers_get_each_offset_once() {
    let bench = Bench::new().await;
    let mut publishers = JoinSet::new();
    for _ in 0..8 {
        let telemetry = bench.telemetry.clone();
        publishers.spawn(async move {
            for _ in 0..50 {
                telemetry.publish(None, node_started());
                tokio::task::yield_now().await;
            }
        });
    }
    publishers.join_all().await;
    bench.stored().await;
    let offsets: Vec<_> = stored(&bench).await.iter().map(|e| e["offset"].as_u64()).collect();
    assert_eq!(offsets, (1..=400).map(Some).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_time_of_an_event_is_when_it_happened() {
    let bench = Bench::new().await;
    let before = micros(std::time::SystemTime::now());
    bench.telemetry.publish(None, node_started());
    let after = micros(std::time::SystemTime::now());
    let pinned = std::time::SystemTime::now() - Duration::from_secs(3_600);
    bench.telemetry.publish_at(pinned, None, node_started());
    bench.stored().await;
    let events = stored(&bench).await;
    let ts = events[0]["ts"].as_i64().unwrap();
    assert!((before..=after).contains(&ts));
    assert_eq!(events[1]["ts"], micros(pinned));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_refuses_is_tried_again_and_the_trouble_is_told() {
    let bench = Bench::new().await;
    bench.log.set(full());
    bench.telemetry.publish(None, node_started());
    tokio::time::sleep(Duration::from_secs(8)).await;
    bench.log.set(Mood::Good);
    bench.stored().await;
    bench.stored().await;
    let events = stored(&bench).await;
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["node_started", "log_degraded", "log_recovered"]);
    assert_eq!(events[1]["data"]["error"], "the log is full: no space left");
    let down = events[2]["data"]["down_ms"].as_f64().unwrap();
    assert!((8_000.0..=14_500.0).contains(&down), "{down}");
    assert!(events.iter().all(|event| event.get("lost").is_none()));
    bench.metric(r#"lockkeeper_events_published_total{category="system"} 3"#).await;
}

#[tokio::test(start_paused = true)]
async fn an_append_whose_answer_was_lost_is_stored_once() {
    let bench = Bench::new().await;
    *bench.log.lose_one_answer.lock().unwrap() = true;
    bench.publish(3).await;
    bench.stored().await;
    let events = stored(&bench).await;
    let numbers: Vec<_> = events.iter().filter_map(|e| e["data"]["killed"].as_u64()).collect();
    assert_eq!(numbers, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn events_that_the_log_refuses_for_good_are_counted_and_told() {
    let bench = Bench::new().await;
    bench.log.set(Mood::Refuse(AppendError::Fenced));
    bench.publish(2).await;
    bench.stored().await;
    bench.log.set(Mood::Good);
    bench.publish(1).await;
    bench.stored().await;
    let events = stored(&bench).await;
    // The two, and the one that says that the log is degraded.
    assert_eq!((&events[0]["type"], &events[0]["lost"]), (&"oom_kill".into(), &3.into()));
    assert_eq!(events[1]["type"], "log_recovered");
    let lost = r#"lockkeeper_events_lost_total{category="system",cause="refused"} 3"#;
    bench.metric(lost).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_costs_events_beyond_the_queue_and_makes_none() {
    let bench = Bench::new().await;
    bench.log.set(Mood::Hang);
    bench.publish_other();
    // The writer takes one batch; the queue takes its own number more.
    tokio::task::yield_now().await;
    for _ in 0..handle::QUEUE_EVENTS + 100 {
        bench.telemetry.publish(None, node_started());
    }
    let lost = r#"lockkeeper_events_lost_total{category="system",cause="queue_full"} 100"#;
    bench.metric(lost).await;
    let report = bench.owner.close(Duration::from_secs(60)).await;
    let left = handle::QUEUE_EVENTS as u64 + 1;
    assert_eq!(report, crate::CloseReport { left, clean: true });
}

#[tokio::test]
async fn closing_stores_what_is_in_the_queue() {
    let bench = Bench::new().await;
    for _ in 0..5_000 {
        bench.telemetry.publish(None, node_started());
    }
    let report = bench.owner.close(Duration::from_secs(60)).await;
    assert_eq!(report, crate::CloseReport { left: 0, clean: true });
    assert_eq!(bench.log.status().next, 5_001);
    bench.telemetry.publish(None, node_started());
    assert_eq!(bench.log.status().next, 5_001, "too late, and harmless");
}

#[tokio::test]
async fn a_panic_while_writing_an_event_loses_that_event_only() {
    fn panics_at_times(node: &str, item: &Item, lost: u64) -> serde_json::Result<Rendered> {
        assert!(item.sandbox.is_none(), "a panic, on purpose");
        crate::envelope::render(node, item, lost)
    }
    let log = faulty_log().await;
    let mut registry = crate::metrics::registry();
    let metrics = crate::TelemetryMetrics::register(&mut registry, "memory");
    let (intake, outlet) = handle::queue(u32::MAX, Arc::new(metrics.events.clone()));
    let telemetry = Telemetry::connected(Arc::clone(&intake));
    let (stop, stopped) = watch::channel(None);
    let writer = Writer {
        node: settings().node,
        outlet,
        intake,
        telemetry: telemetry.clone(),
        feed: Arc::new(Feed::new(log.clone())),
        events: metrics.events,
        log: metrics.log,
        render: panics_at_times,
        stop: stopped,
        lost: 0,
        refused_since: None,
    };
    telemetry.publish(None, node_started());
    telemetry.publish(Some("box"), node_started());
    telemetry.publish(Some("box"), node_started());
    telemetry.publish(None, node_started());
    stop.send_replace(Some(Instant::now() + Duration::from_secs(60)));
    assert_eq!(writer.run().await, 0);
    let page = log.read_from(1, eventlog::ReadLimit::default()).await.unwrap();
    let lost: Vec<_> = page
        .records
        .iter()
        .map(|record| serde_json::from_slice::<Value>(&record.payload).unwrap()["lost"].as_u64())
        .collect();
    assert_eq!(lost, [None, Some(2)]);
}
