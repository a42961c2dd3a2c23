use serde_json::json;

use super::*;
use crate::commands::IN_FLIGHT_BYTES;
use crate::events::samples;
use crate::testing::{Bench, Mood};

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

fn worker(bench: &Bench) -> (CommandTap, CommandWorker) {
    CommandWorker::new(bench.telemetry.clone(), session(), &CommandRoom::default())
}

fn offer(tap: &mut CommandTap, message: &str) {
    let copied = tap.reserve(message.len());
    assert_eq!(copied, message.len());
    tap.offer(Bytes::copy_from_slice(message.as_bytes()), message.len() as u64);
}

#[tokio::test]
async fn a_click_is_three_events_with_nothing_dropped() {
    let bench = armed().await;
    let (mut tap, worker) = worker(&bench);
    let before = eventlog::micros(SystemTime::now());
    for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
        offer(
            &mut tap,
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
    let (mut tap, worker) = worker(&bench);
    offer(&mut tap, r#"{"method":"Page.close","params":[]}"#);
    offer(&mut tap, r#"{"method":"Page.reload","params":[]}"#);
    offer(&mut tap, r#"{"method":"Page.reload"}"#);
    offer(&mut tap, r#"{"method":"Runtime.enable"}"#);
    tap.offer(Bytes::from_static(b"{"), 3_000_000);
    drop(tap);
    assert_eq!(worker.run().await, CommandCounts { dropped: 2, excluded: 2 });
}

#[tokio::test]
async fn a_queue_that_is_full_drops_and_counts() {
    let bench = armed().await;
    let (mut tap, worker) = worker(&bench);
    for _ in 0..IN_FLIGHT_MESSAGES + 10 {
        offer(&mut tap, r#"{"method":"Page.close"}"#);
    }
    assert_eq!(tap.tally().counts().dropped, IN_FLIGHT_MESSAGES as u64 + 10);
    drop(tap);
    assert_eq!(worker.run().await.dropped, 10);
}

#[tokio::test]
async fn all_sessions_share_eight_mebibytes() {
    let bench = armed().await;
    let room = CommandRoom::default();
    let session = || CommandWorker::new(bench.telemetry.clone(), session(), &room);
    let command = r#"{"method":"Page.close"}"#;
    let long = Bytes::from(command.to_owned() + &" ".repeat(MESSAGE_MAX - command.len()));
    let (mut first, first_worker) = session();
    let (mut second, second_worker) = session();
    for tap in [&mut first, &mut second] {
        for _ in 0..3 {
            let copied = tap.reserve(MESSAGE_MAX + 1);
            tap.offer(long.slice(..copied), MESSAGE_MAX as u64);
        }
    }
    assert_eq!(room.used(), IN_FLIGHT_BYTES);
    let waits = |tap: &CommandTap| IN_FLIGHT_MESSAGES - tap.sender.capacity();
    assert_eq!((waits(&first), waits(&second)), (3, 1), "four times 2 MiB fit");
    drop(second);
    // A worker that was lost gives its room back, and what waited for it is counted.
    let lost = second_worker.tally.clone();
    drop(second_worker);
    assert_eq!((lost.counts().dropped, room.used()), (3, 3 * MESSAGE_MAX));
    drop(first);
    assert_eq!(first_worker.run().await.dropped, 0);
    assert_eq!(room.used(), 0);

    // What is copied of a message that never ends is given back too.
    let (mut tap, _worker) = session();
    assert_eq!((tap.reserve(100), room.used()), (100, 100));
    drop(tap);
    assert_eq!(room.used(), 0);
}

#[tokio::test]
async fn a_command_that_the_queue_of_events_cannot_take_counts_as_dropped() {
    let bench = armed().await;
    let connections = r#"{"categories": {"connection": {"enabled": true}}}"#;
    assert_eq!(bench.call("PATCH", "/v1/telemetry", connections).await.status, 200);
    let (mut tap, worker) = worker(&bench);
    offer(&mut tap, r#"{"method":"Page.close"}"#);
    bench.log.set(Mood::Hang);
    for _ in 0..2 * crate::QUEUE_EVENTS {
        bench.telemetry.publish(None, samples::disconnect());
    }
    drop(tap);
    assert_eq!(worker.run().await.dropped, 1);
}

// A slow machine needs seconds to write the trace of a panic; the flush allows one.
#[tokio::test(start_paused = true)]
async fn a_panic_while_decoding_is_contained_and_counted() {
    const POISON: &str = r#"{"method":"Page.stopLoading"}"#;
    let bench = armed().await;
    let (mut tap, mut worker) = worker(&bench);
    worker.decode = |message| {
        assert_ne!(message, POISON.as_bytes(), "a panic, on purpose");
        decode(message)
    };
    offer(&mut tap, POISON);
    offer(&mut tap, r#"{"method":"Page.close"}"#);
    drop(tap);
    assert_eq!(worker.run().await.dropped, 1);
    bench.stored().await;
    bench.metric(r#"lockkeeper_events_published_total{category="control"} 1"#).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_a_second_after_the_end_is_counted() {
    let bench = armed().await;
    let (mut tap, mut worker) = worker(&bench);
    for _ in 0..10 {
        offer(&mut tap, r#"{"method":"Page.close"}"#);
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
    let (mut tap, worker) = worker(&bench);
    assert!(!tap.is_armed());
    offer(&mut tap, r#"{"method":"Page.close","params":[]}"#);
    drop(tap);
    assert_eq!(worker.run().await, CommandCounts::default());
    let (tap, _worker) = {
        let room = CommandRoom::default();
        CommandWorker::new(crate::Telemetry::disconnected(), session(), &room)
    };
    assert!(!tap.is_armed());
}
