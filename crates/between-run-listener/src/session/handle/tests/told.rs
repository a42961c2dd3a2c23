//! What a session does is told.

use eventlog::{LogName, LogOptions};
use telemetry::metrics::{ListenerMetrics, registry, write};
use telemetry::{Settings, Telemetry, TelemetryMetrics};

use super::*;
use crate::listener::{Counts, GiveUp, Reason, State, Status};

fn status(generation: u64, state: State, at: Instant) -> Status {
    Status {
        generation,
        state,
        since: at,
        failures: 0,
        reason: Some(Reason::Ended),
        last_byte: None,
        last_event: None,
        counts: Counts { attempts: 1, connections: 1, bytes: 7, events: 2, losses: 0 },
    }
}

#[tokio::test]
async fn listeners_and_runs_are_told_as_events_and_counted() {
    let log = MemoryStore::default();
    let log = log.open(&LogName::new("telemetry").unwrap(), LogOptions::default()).await.unwrap();
    let mut numbers = registry();
    let counted = TelemetryMetrics::register(&mut numbers, "memory");
    let (telemetry, owner) = Telemetry::start(Settings::new("n"), Arc::clone(&log), counted);
    let metrics = Some(ListenerMetrics::register(&mut numbers));
    let bench = Bench { observe: Observe { telemetry, metrics, stopped: None }, ..Bench::new() };
    let session = bench.open().await;

    let at = now();
    session.teller().set_runner("runner:80");
    session.status(&status(1, State::Connecting { attempt: 1 }, at));
    session.status(&status(1, State::Streaming { since: at, progress: false }, at));
    session.status(&status(1, State::Streaming { since: at, progress: true }, at));
    let own = json!({ "type": "RUN_STARTED", "threadId": "t", "runId": "r" });
    let stray = json!({ "type": "TEXT_MESSAGE_END", "messageId": "m" });
    let end = json!({ "type": "RUN_ERROR", "message": "m", "code": "C" });
    session.accept(batch([(1, own), (2, stray.clone()), (3, stray), (4, end)])).await.unwrap();
    let until = at + Duration::from_secs(2);
    session.status(&status(1, State::Waiting { until, failures: 1 }, at));
    let reading = session.count_subscriber();
    let text = write(&numbers).unwrap();
    for line in [
        "lockkeeper_listeners{state=\"waiting\"} 1",
        "lockkeeper_listener_reconnects_total{cause=\"ended\"} 1",
        "lockkeeper_runs_total{outcome=\"error\"} 1",
        "lockkeeper_session_subscribers 1",
        "lockkeeper_session_records_total{kind=\"rejected\"} 2",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
    drop(reading);
    session.status(&status(1, State::GaveUp(GiveUp::Permanent(Reason::Gone)), at));
    bench.close(&session).await;
    owner.close(Duration::from_secs(20)).await;

    let page = log.read_from(1, ReadLimit::default()).await.unwrap();
    let events: Vec<serde_json::Value> =
        page.records.iter().map(|r| serde_json::from_slice(&r.payload).unwrap()).collect();
    let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(
        types,
        [
            "listener_started",
            "listener_connected",
            "run_started",
            "run_event_rejected",
            "run_ended",
            "listener_disconnected",
            "listener_retry",
            "listener_stopped",
        ]
    );
    assert_eq!(events[0]["data"], json!({ "session": "p/s", "runner": "runner:80" }));
    assert_eq!(events[2]["data"]["origin"], "between_run");
    assert_eq!(events[3]["data"]["reason"], "not_open");
    let ended = &events[4]["data"];
    assert_eq!((&ended["outcome"], &ended["code"]), (&json!("error"), &json!("C")));
    assert_eq!((&ended["first_offset"], &ended["last_offset"]), (&json!(1), &json!(4)));
    assert_eq!(events[7]["data"]["cause"], "refused");
}
