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
    let bench =
        Bench { observe: Observe { telemetry, metrics, ..Observe::default() }, ..Bench::new() };
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

#[tokio::test(start_paused = true)]
async fn runs_are_heard_of_at_once_and_the_last_of_what_comes_between_in_its_time() {
    let (tell, mut heard) = mpsc::channel(64);
    let active = crate::session::OnActivity(Arc::new(move |key: &SessionKey| {
        tell.try_send((key.session().to_owned(), now())).expect("few enough");
    }));
    let bench =
        Bench { observe: Observe { active: Some(active), ..Observe::default() }, ..Bench::new() };
    let session = bench.open().await;
    let begin = now();
    let started = json!({ "type": "RUN_STARTED", "threadId": "t", "runId": "r" });
    session.accept(batch([(1, started)])).await.unwrap();
    for at in 2..=5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        session.accept(batch([tick(at)])).await.unwrap();
    }
    let mut after = async || {
        let (key, at) = heard.recv().await.unwrap();
        assert_eq!(key, "s");
        at.duration_since(begin).as_secs()
    };
    assert_eq!((after().await, after().await), (0, 10));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ended = json!({ "type": "RUN_FINISHED", "threadId": "t", "runId": "r" });
    session.accept(batch([(6, ended)])).await.unwrap();
    assert_eq!(after().await, 12);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    bench.close(&session).await;
    drop(session);
    assert!(heard.try_recv().is_err(), "of nothing, nothing is heard");
}
