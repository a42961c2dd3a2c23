use serde_json::json;

use super::*;
use crate::testing::Bench;

async fn armed() -> Bench {
    let bench = Bench::new().await;
    let on = r#"{"categories": {"control": {"enabled": true}},
        "control": {"excluded_methods": ["Page.reload"]}}"#;
    assert_eq!(bench.call("PUT", "/v1/telemetry", on).await.status, 200);
    bench
}

fn session() -> Session {
    Session { sandbox: Some("box".into()), connection_id: "c1".into(), generation: 3 }
}

fn offer(tap: &CommandTap, message: &str) {
    tap.offer(Bytes::copy_from_slice(message.as_bytes()), message.len() as u64);
}

#[tokio::test]
async fn a_click_is_three_events_with_nothing_dropped() {
    let bench = armed().await;
    let (tap, worker) = CommandWorker::new(bench.telemetry.clone(), session());
    let before = eventlog::micros(SystemTime::now());
    for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
        offer(
            &tap,
            &format!(
                r#"{{"id":7,"sessionId":"ABCD","method":"Input.dispatchMouseEvent","params":{{"type":"{kind}","x":1,"y":2}}}}"#
            ),
        );
    }
    drop(tap);
    assert_eq!(worker.run().await, CommandCounts::default());
    bench.stored().await;
    let events = bench.call("GET", "/v1/telemetry/events?type=cdp_command", "").await.json();
    assert_eq!(events.as_array().unwrap().len(), 3);
    assert!(events[0]["ts"].as_i64().unwrap() >= before);
    assert_eq!((&events[0]["sandbox"], &events[0]["category"]), (&json!("box"), &json!("control")));
    assert_eq!(
        events[1]["data"],
        json!({"method": "Input.dispatchMouseEvent", "connection_id": "c1", "generation": 3,
            "session_id": "ABCD", "command_id": 7, "message_bytes": 108, "type": "mousePressed",
            "x": 1, "y": 2})
    );
}

#[tokio::test]
async fn each_loss_is_counted_once_and_what_is_left_out_apart() {
    let bench = armed().await;
    let (tap, worker) = CommandWorker::new(bench.telemetry.clone(), session());
    offer(&tap, r#"{"method":"Page.close","params":[]}"#);
    offer(&tap, r#"{"method":"Page.reload","params":[]}"#);
    offer(&tap, r#"{"method":"Page.reload"}"#);
    offer(&tap, r#"{"method":"Runtime.enable"}"#);
    tap.offer(Bytes::from_static(b"{"), 3_000_000);
    tap.missed(2);
    drop(tap);
    assert_eq!(worker.run().await, CommandCounts { dropped: 4, excluded: 2 });
}

#[tokio::test]
async fn a_queue_that_is_full_drops_and_counts() {
    let bench = armed().await;
    let (tap, worker) = CommandWorker::new(bench.telemetry.clone(), session());
    for _ in 0..IN_FLIGHT_MESSAGES + 10 {
        offer(&tap, r#"{"method":"Page.close"}"#);
    }
    assert_eq!(tap.counts().dropped, 10);
    drop(tap);
    assert_eq!(worker.run().await.dropped, 10);

    let (tap, worker) = CommandWorker::new(bench.telemetry.clone(), session());
    let long = Bytes::from(vec![b' '; MESSAGE_MAX]);
    for _ in 0..6 {
        tap.offer(long.clone(), MESSAGE_MAX as u64);
    }
    assert_eq!(tap.counts().dropped, 2, "four times 2 MiB fit");
    drop(tap);
    assert_eq!(worker.run().await.dropped, 2);
}

#[tokio::test]
async fn a_panic_while_decoding_is_contained_and_counted() {
    let bench = armed().await;
    let (tap, mut worker) = CommandWorker::new(bench.telemetry.clone(), session());
    worker.decode = |message| {
        assert_ne!(message[0], b'!', "a panic, on purpose");
        decode(message)
    };
    offer(&tap, "!");
    offer(&tap, r#"{"method":"Page.close"}"#);
    drop(tap);
    assert_eq!(worker.run().await.dropped, 1);
    bench.stored().await;
    bench.metric(r#"lockkeeper_events_published_total{category="control"} 1"#).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_a_second_after_the_end_is_counted() {
    let bench = armed().await;
    let (tap, mut worker) = CommandWorker::new(bench.telemetry.clone(), session());
    for _ in 0..10 {
        offer(&tap, r#"{"method":"Page.close"}"#);
    }
    drop(tap);
    // Decoding the first message takes longer than there is time.
    worker.decode = |message| {
        let slow = tokio::time::advance(Duration::from_secs(2));
        futures_util::FutureExt::now_or_never(slow);
        decode(message)
    };
    assert_eq!(worker.run().await.dropped, 9);
}

#[tokio::test]
async fn while_it_is_off_nothing_is_wanted() {
    let bench = Bench::new().await;
    let (tap, worker) = CommandWorker::new(bench.telemetry.clone(), session());
    assert!(!tap.is_armed());
    offer(&tap, r#"{"method":"Page.close","params":[]}"#);
    drop(tap);
    assert_eq!(worker.run().await, CommandCounts::default());
    let (tap, _worker) = CommandWorker::new(crate::Telemetry::disconnected(), session());
    assert!(!tap.is_armed());
}
