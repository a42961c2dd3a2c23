//! What the supervisor, the metrics and the observers hear.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::time::sleep;

use super::*;
use crate::ExitStatus;
use crate::shutdown::{ShutdownFact, Step};

#[tokio::test(start_paused = true)]
async fn ready_comes_first_stopping_at_once_and_more_time_every_ten_seconds() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    let supervisor = Arc::new(Supervisor::default());
    let service = service(&fake, keys).notifier(supervisor.clone()).build();
    let report = drive(service, async {
        sleep(secs(1)).await;
        assert_eq!(supervisor.told()[..2].iter().filter(|(_, n)| *n == Notice::Ready).count(), 1);
        press.send(Heard::First).await.unwrap();
        fake.reached("wait_live").await;
        sleep(secs(35)).await;
        fake.release(Step::WaitLive);
    })
    .await;
    assert_eq!(report.exit(), ExitStatus::Success);
    let told = supervisor.told();
    let when = |wanted: fn(&Notice) -> bool| -> Vec<Duration> {
        told.iter().filter(|(_, notice)| wanted(notice)).map(|(at, _)| *at).collect()
    };
    assert_eq!(when(|n| *n == Notice::Stopping), [secs(1)]);
    let more = when(|n| matches!(n, Notice::MoreTime(_)));
    assert_eq!(more, [secs(1), secs(11), secs(21), secs(31)]);
    assert_eq!(when(|n| *n == Notice::Alive), [secs(0), secs(11), secs(21), secs(31)]);
    let waits = told.iter().any(|(_, notice)| {
        matches!(notice, Notice::Status(text) if text.starts_with("shutting down: wait_live, 0 live"))
    });
    assert!(waits, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn observers_hear_the_start_every_step_who_is_waited_for_and_the_outcome() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    fake.left.lock().unwrap().push("old-one".to_owned());
    let facts = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&facts);
    let service = service(&fake, keys)
        .observer(move |fact: &ShutdownFact| theirs.lock().unwrap().push(fact.clone()))
        .build();
    let report = drive(service, async {
        press.send(Heard::First).await.unwrap();
        fake.reached("wait_live").await;
        sleep(secs(12)).await;
        fake.left.lock().unwrap().clear();
        fake.release(Step::WaitLive);
    })
    .await;
    assert_eq!(report.exit(), ExitStatus::Success);
    let facts = facts.lock().unwrap();
    assert!(matches!(facts.first(), Some(ShutdownFact::Started { trigger: Trigger::Signal, .. })));
    let waiting: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            ShutdownFact::Progress { step: Step::WaitLive, elapsed, progress } => Some((
                *elapsed,
                progress.blockers.iter().map(|b| b.id.as_str()).collect::<Vec<_>>(),
            )),
            _ => None,
        })
        .collect();
    let named = |after| (after, vec!["old-one"]);
    assert_eq!(waiting, [named(secs(0)), named(secs(5)), named(secs(10))]);
    let Some(ShutdownFact::Drained { outcome, exit, elapsed, .. }) = facts.last() else {
        panic!("{facts:?}");
    };
    assert_eq!((outcome.as_str(), exit.code(), *elapsed), ("clean", 0, secs(12)));
}

#[tokio::test(start_paused = true)]
async fn metrics_say_which_step_and_how_many_are_waited_for() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    fake.left.lock().unwrap().extend(["a".to_owned(), "b".to_owned()]);
    let mut registry = Registry::default();
    let metrics = DrainMetrics::register(&mut registry);
    let service = service(&fake, keys).metrics(metrics).build();
    let report = drive(service, async {
        press.send(Heard::First).await.unwrap();
        fake.reached("wait_live").await;
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("drain_state 7\n"), "{text}");
        assert!(text.contains("drain_waiting{kind=\"live\"} 2\n"), "{text}");
        fake.release(Step::WaitLive);
    })
    .await;
    assert_eq!(report.exit(), ExitStatus::Success);
}
