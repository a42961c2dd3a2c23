//! Ends of critical services, closers and start-up: none is lost, and the exit code tells.

use std::sync::Arc;

use tokio::time::sleep;

use super::*;
use crate::shutdown::{CloserOutcome, Step};
use crate::{ExitStatus, Verdict};

fn failures(report: &ShutdownReport) -> Vec<String> {
    report.failures.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_before_any_signal_shuts_down_and_exits_70() {
    let (_press, keys) = keys();
    let fake = Fake::new();
    let service = service(&fake, keys)
        .critical("sink", async {
            sleep(secs(3)).await;
            Ok::<(), String>(())
        })
        .build();
    let report = drive(service, async {}).await;
    assert_eq!(report.trigger, Trigger::Failure { name: "sink" });
    assert_eq!(failures(&report), ["sink: ended before it was told to"]);
    assert_eq!(report.exit(), ExitStatus::Failed);
    assert_eq!(fake.calls().last().map(String::as_str), Some("wait_cleanup"), "it drained");
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_the_very_start_is_not_lost() {
    let (_press, keys) = keys();
    let service = service(&Fake::new(), keys)
        .critical("at once", async { Err::<(), _>("no such device") })
        .build();
    let report = drive(service, async {}).await;
    assert_eq!(failures(&report), ["at once: no such device"]);
    assert_eq!(report.exit(), ExitStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_during_the_drain_exits_70_and_the_drain_goes_on() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let service = service(&fake, keys)
        .critical("edge", async move {
            let _ = ended.await;
            Ok::<(), String>(())
        })
        .build();
    let report = drive(service, async {
        press.send(Heard::First).await.unwrap();
        fake.reached("wait_live").await;
        end.send(()).unwrap();
        sleep(secs(2)).await;
        assert_eq!(fake.calls().last().map(String::as_str), Some("wait_live"), "still waiting");
        fake.release(Step::WaitLive);
    })
    .await;
    assert_eq!(failures(&report), ["edge: ended before it was told to"]);
    assert_eq!((report.forced, report.exit()), (None, ExitStatus::Failed));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_while_closing_exits_70() {
    let (press, keys) = keys();
    let (stop, mut stopped) = watch::channel(false);
    let service = service(&Fake::new(), keys)
        .critical("log", async move {
            let _ = stopped.wait_for(|stop| *stop).await;
            Err::<(), _>("disk full")
        })
        .closer("log", secs(5), move |_| async move {
            stop.send_replace(true);
            Ok::<(), String>(())
        })
        .build();
    let report = drive(service, async {
        press.send(Heard::First).await.unwrap();
    })
    .await;
    assert_eq!(failures(&report), ["log: disk full"]);
    assert_eq!(report.exit(), ExitStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_service_has_its_name_and_its_text() {
    let (_press, keys) = keys();
    let service = service(&Fake::new(), keys)
        .critical("edge", async {
            assert!(std::hint::black_box(false), "a defect");
            Ok::<(), String>(())
        })
        .build();
    let report = drive(service, async {}).await;
    assert_eq!(failures(&report), ["edge: panicked: a defect"]);
    assert_eq!(report.exit(), ExitStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_wait_forces_the_end_and_exits_70() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.panics.lock().unwrap().push(Step::WaitLive);
    let report = drive(service(&fake, keys).build(), async {
        press.send(Heard::First).await.unwrap();
    })
    .await;
    assert_eq!(report.forced, Some(ForceCause::Defect));
    assert_eq!(failures(&report), ["wait_live: panicked: wait_live was told to panic"]);
    assert_eq!(report.exit(), ExitStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn closers_that_fail_or_panic_do_not_stop_the_others_and_exit_70() {
    let (press, keys) = keys();
    let service = service(&Fake::new(), keys)
        .closer("last", secs(5), |_| async { Ok::<(), String>(()) })
        .closer("panics", secs(5), |_| async {
            assert!(std::hint::black_box(false), "a defect");
            Ok::<(), String>(())
        })
        .closer("fails", secs(5), |_| async { Err::<(), _>("no space") })
        .build();
    let report = drive(service, async {
        press.send(Heard::First).await.unwrap();
    })
    .await;
    let outcomes: Vec<_> = report.closers.iter().map(|c| (c.name, c.outcome.clone())).collect();
    let expected = [
        ("fails", CloserOutcome::Failed("no space".to_owned())),
        ("panics", CloserOutcome::Panicked("a defect".to_owned())),
        ("last", CloserOutcome::Closed),
        ("api", CloserOutcome::Closed),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(report.exit(), ExitStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn something_left_behind_and_a_failure_exit_70() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.left.lock().unwrap().push("stuck".to_owned());
    let force = ShutdownSettings { force_at_once: true, ..settings() };
    let service = service(&fake, keys)
        .shutdown(force)
        .closer("fails", secs(5), |_| async { Err::<(), _>("no space") })
        .build();
    let report = drive(service, async {
        press.send(Heard::First).await.unwrap();
    })
    .await;
    assert_eq!((report.left_count, report.exit()), (1, ExitStatus::Failed));
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_only_when_start_up_has_ended_and_never_again_once_the_end_begins() {
    let (press, keys) = keys();
    let readiness = Readiness::starting("listeners");
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let (ready, mut is_ready) = watch::channel(false);
    let steps = readiness.clone();
    let service = service(&Fake::new(), keys)
        .readiness(readiness.clone())
        .start_up(async move {
            steps.step("reclaim");
            gone.await.map_err(|e| e.to_string())
        })
        .when_ready(move || {
            ready.send_replace(true);
        })
        .build();
    let report = drive(service, async {
        sleep(secs(1)).await;
        assert_eq!(readiness.verdict(), Verdict::Starting { step: "reclaim" });
        assert!(!*is_ready.borrow());
        go.send(()).unwrap();
        is_ready.wait_for(|ready| *ready).await.unwrap();
        assert_eq!(readiness.verdict(), Verdict::Ready);
        press.send(Heard::First).await.unwrap();
    })
    .await;
    assert_eq!(readiness.verdict(), Verdict::NotReady { status: "draining" });
    assert_eq!(report.exit(), ExitStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn a_signal_during_start_up_ends_it_and_it_is_never_ready() {
    let (press, keys) = keys();
    press.send(Heard::First).await.unwrap();
    let service = service(&Fake::new(), keys)
        .start_up(std::future::pending::<Result<(), String>>())
        .when_ready(|| panic!("it became ready"))
        .build();
    let report = drive(service, async {}).await;
    assert_eq!((report.trigger, report.exit()), (Trigger::Signal, ExitStatus::Success));
}

#[tokio::test(start_paused = true)]
async fn a_start_up_that_fails_exits_70() {
    let (_press, keys) = keys();
    let service = service(&Fake::new(), keys)
        .start_up(async { Err::<(), _>("the process list cannot be read") })
        .build();
    let report = drive(service, async {}).await;
    assert_eq!(failures(&report), ["start-up: the process list cannot be read"]);
    assert_eq!(report.exit(), ExitStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_with_nothing_to_drain_ends_at_once() {
    let (press, keys) = keys();
    let builder = Service::builder("plain").signals(keys).notifier(Arc::new(Supervisor::default()));
    let report = drive(obedient(builder, "only").build(), async {
        press.send(Heard::First).await.unwrap();
    })
    .await;
    assert_eq!((report.took, report.exit()), (std::time::Duration::ZERO, ExitStatus::Success));
}
