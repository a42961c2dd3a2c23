use super::*;
use crate::testing::{Bench, Mood, faulty_log, node_started, settings};

#[tokio::test(start_paused = true)]
async fn closing_takes_no_longer_than_it_may_with_a_log_that_hangs() {
    let bench = Bench::new().await;
    bench.log.set(Mood::Hang);
    for _ in 0..10 {
        bench.telemetry.publish(None, node_started());
    }
    let started = Instant::now();
    let report = bench.owner.close(Duration::from_secs(60)).await;
    assert_eq!(report, CloseReport { left: 10, clean: true });
    assert_eq!(started.elapsed().as_secs(), 5, "the time to store what is left");
    let lost = r#"lockkeeper_events_lost_total{category="system",cause="shutdown"} 10"#;
    assert!(crate::metrics::write(&bench.registry).unwrap().contains(lost));
}

#[tokio::test(start_paused = true)]
async fn ending_streams_waits_for_the_log_within_its_bound() {
    let bench = Bench::new().await;
    bench.log.set(Mood::Hang);
    bench.telemetry.publish(None, node_started());
    let mut stream = bench.stream("", None).await;
    let started = Instant::now();
    bench.owner.streams().end(Duration::from_secs(2)).await;
    assert_eq!(started.elapsed().as_secs(), 2);
    assert!(stream.block().await.unwrap().starts_with("id: "));
    assert_eq!(stream.block().await.as_deref(), Some(": draining"));
    assert_eq!(stream.block().await, None);
}

#[tokio::test]
async fn dropping_the_owner_leaves_publishers_unharmed() {
    let Bench { telemetry, owner, .. } = Bench::new().await;
    drop(owner);
    for _ in 0..crate::QUEUE_EVENTS * 2 {
        telemetry.publish(None, node_started());
    }
}

#[tokio::test]
async fn a_log_that_had_to_be_replaced_is_told() {
    let log = faulty_log().await;
    let lost = Recovery::Replaced { lost_from: Some(7), lost_to: None };
    *log.recovery.lock().unwrap() = Some(lost);
    let bench = Bench::on(log, settings());
    bench.stored().await;
    let events = bench.call("GET", "/v1/telemetry/events", "").await.json();
    assert_eq!(events[0]["type"], "log_recovered");
    assert_eq!(events[0]["data"], serde_json::json!({"log": "telemetry", "lost_from": 7}));
}
