//! Which step comes when, and what makes it go faster.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::ExitStatus;
use crate::shutdown::{CloserOutcome, Step};

#[tokio::test(start_paused = true)]
async fn a_clean_drain_walks_every_step_and_exits_zero() {
    let (press, keys) = keys();
    let fake = Fake::new();
    let report = drive(service(&fake, keys).build(), async {
        press.send(Heard::First).await.unwrap();
    })
    .await;
    assert_eq!(report.exit(), ExitStatus::Success, "{report:?}");
    let steps: Vec<_> = report.steps.iter().map(|(step, _)| step.as_str()).collect();
    assert_eq!(
        steps,
        [
            "server_gate",
            "wait_admitted",
            "factory_gate",
            "wait_starts",
            "pool",
            "wait_live",
            "wait_cleanup",
            "closers"
        ]
    );
    assert_eq!(fake.calls(), steps[..7], "each once, and the gates before the waits");
    assert_eq!(report.took, Duration::ZERO, "nothing was slower than it had to be");
}

#[tokio::test(start_paused = true)]
async fn the_announcement_comes_first_and_the_door_stays_open_meanwhile() {
    let (press, keys) = keys();
    let fake = Fake::new();
    let outside = ShutdownSettings { only_loopback: false, ..settings() };
    let service = service(&fake, keys).shutdown(outside).build();
    let report = drive(service, async {
        press.send(Heard::First).await.unwrap();
        fake.reached("announce").await;
        sleep(Duration::from_millis(14_999)).await;
        assert_eq!(fake.calls(), ["announce"]);
    })
    .await;
    assert_eq!(report.steps[0], (Step::Announce, secs(15)));
    assert_eq!(report.exit(), ExitStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn every_wait_is_waited_for_and_its_end_is_seen_at_once() {
    for step in
        [Step::WaitAdmitted, Step::WaitStarts, Step::Pool, Step::WaitLive, Step::WaitCleanup]
    {
        let (press, keys) = keys();
        let fake = Fake::new();
        fake.hold(step);
        let report = drive(service(&fake, keys).build(), async {
            press.send(Heard::First).await.unwrap();
            fake.reached(step.as_str()).await;
            sleep(Duration::from_millis(1500)).await;
            let calls = fake.calls();
            assert_eq!(calls.last().map(String::as_str), Some(step.as_str()), "{calls:?}");
            fake.release(step);
        })
        .await;
        assert_eq!(report.exit(), ExitStatus::Success, "{step}: {report:?}");
        assert_eq!(report.took, Duration::from_millis(1500), "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_a_drain_waits_for_days() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    let patient = ShutdownSettings { drain: None, ..settings() };
    let report = drive(service(&fake, keys).shutdown(patient).build(), async {
        press.send(Heard::First).await.unwrap();
        sleep(secs(3 * 86_400)).await;
        fake.release(Step::WaitLive);
    })
    .await;
    assert_eq!((report.forced, report.exit()), (None, ExitStatus::Success));
    assert_eq!(report.took, secs(3 * 86_400));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_forces_and_all_gone_exits_zero() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    let report = drive(service(&fake, keys).build(), async {
        press.send(Heard::First).await.unwrap();
    })
    .await;
    assert_eq!(report.forced, Some(ForceCause::Deadline));
    assert_eq!(report.exit(), ExitStatus::Success, "{report:?}");
    assert_eq!(report.took, secs(60));
    let calls = fake.calls();
    assert_eq!(calls[calls.len() - 3..], ["server_gate", "factory_gate", "force_stop(deadline)"]);
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_at_the_instant_of_its_deadline_counts_as_ended_a_thousand_times() {
    for round in 0..1000 {
        let (press, keys) = keys();
        let fake = Fake::new();
        *fake.live_for.lock().unwrap() = Some(secs(60));
        let report = drive(service(&fake, keys).build(), async {
            press.send(Heard::First).await.unwrap();
        })
        .await;
        assert_eq!((report.took, report.forced), (secs(60), None), "round {round}");
        assert_eq!(report.exit(), ExitStatus::Success, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_forces_from_every_wait() {
    for step in [Step::Announce, Step::WaitAdmitted, Step::WaitStarts, Step::WaitLive] {
        let (press, keys) = keys();
        let fake = Fake::new();
        fake.hold(step);
        let outside = ShutdownSettings { only_loopback: false, ..settings() };
        let report = drive(service(&fake, keys).shutdown(outside).build(), async {
            press.send(Heard::First).await.unwrap();
            fake.reached(step.as_str()).await;
            press.send(Heard::Second).await.unwrap();
        })
        .await;
        assert_eq!(report.forced, Some(ForceCause::SecondSignal), "{step}");
        assert_eq!(report.exit(), ExitStatus::Success, "{step}: {report:?}");
        let calls = fake.calls();
        let end = ["server_gate", "factory_gate", "force_stop(second_signal)"];
        assert_eq!(calls[calls.len() - 3..], end, "{step}: both doors first");
    }
}

#[tokio::test(start_paused = true)]
async fn signals_that_do_not_escalate_force_nothing() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    let report = drive(service(&fake, keys).build(), async {
        for heard in [Heard::Start, Heard::Start, Heard::First, Heard::Start, Heard::Repeat] {
            press.send(heard).await.unwrap();
            sleep(secs(5)).await;
        }
        fake.release(Step::WaitLive);
    })
    .await;
    assert_eq!((report.forced, report.took), (None, secs(25)));
}

#[tokio::test(start_paused = true)]
async fn the_force_setting_skips_announcement_and_waits_and_exits_zero() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    let force =
        ShutdownSettings { force_at_once: true, only_loopback: false, drain: None, ..settings() };
    let report = drive(service(&fake, keys).shutdown(force).build(), async {
        press.send(Heard::First).await.unwrap();
    })
    .await;
    assert_eq!(fake.calls(), ["server_gate", "factory_gate", "force_stop(setting)"]);
    assert_eq!((report.took, report.exit()), (Duration::ZERO, ExitStatus::Success));
}

#[tokio::test(start_paused = true)]
async fn hung_cleanup_is_killed_after_two_thirds_and_named_after_all_of_it() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    fake.hung_cleanup.store(true, Ordering::SeqCst);
    let names: Vec<String> = (0..50).map(|n| format!("sandbox-{n}")).collect();
    fake.left.lock().unwrap().extend(names.iter().cloned());
    let report = drive(service(&fake, keys).build(), async {
        press.send(Heard::First).await.unwrap();
        fake.reached("wait_live").await;
        press.send(Heard::Second).await.unwrap();
        fake.reached("force_stop(second_signal)").await;
        sleep(Duration::from_millis(19_999)).await;
        assert_eq!(fake.killed.load(Ordering::SeqCst), 0, "not yet");
        sleep(Duration::from_millis(2)).await;
        assert_eq!(fake.killed.load(Ordering::SeqCst), 1, "two thirds of 30 s");
    })
    .await;
    let force = report.steps.iter().find(|(step, _)| *step == Step::ForceStop);
    assert_eq!(force, Some(&(Step::ForceStop, secs(30))));
    assert_eq!(report.exit(), ExitStatus::LeftBehind);
    let left: Vec<_> = report.left.iter().map(|left| left.id.clone()).collect();
    assert_eq!((left, report.left_count), (names.clone(), 50), "every one is named");
    let faults: Vec<_> = report.faults.iter().map(|fault| fault.id.clone()).collect();
    assert_eq!(faults, names, "what was said before the deadline is kept");
}

#[tokio::test(start_paused = true)]
async fn the_third_signal_kills_does_the_last_rites_and_exits_75_within_three_seconds() {
    let (press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    fake.hung_cleanup.store(true, Ordering::SeqCst);
    let (synced, mut is_synced) = watch::channel(false);
    let service = service(&fake, keys)
        .last_rite("event log", async move {
            synced.send_replace(true);
        })
        .last_rite("a sink that hangs", std::future::pending())
        .build();
    let report = drive(service, async {
        press.send(Heard::First).await.unwrap();
        fake.reached("wait_live").await;
        press.send(Heard::Second).await.unwrap();
        fake.reached("force_stop(second_signal)").await;
        press.send(Heard::Third).await.unwrap();
    })
    .await;
    assert_eq!(fake.killed.load(Ordering::SeqCst), 1);
    assert!(*is_synced.borrow_and_update());
    assert!(report.took < secs(3), "{:?}", report.took);
    assert_eq!((report.at_once, report.exit()), (true, ExitStatus::LeftBehind));
    assert!(report.closers.is_empty(), "nothing was closed");
}

#[tokio::test(start_paused = true)]
async fn the_third_signal_cuts_closers_too_and_names_the_one_that_hung() {
    let (press, keys) = keys();
    let fake = Fake::new();
    let (closing, mut is_closing) = watch::channel(false);
    let service = service(&fake, keys)
        .closer("hangs", secs(20), move |_| async move {
            closing.send_replace(true);
            std::future::pending::<Result<(), String>>().await
        })
        .build();
    let report = drive(service, async {
        press.send(Heard::First).await.unwrap();
        is_closing.wait_for(|closing| *closing).await.unwrap();
        press.send(Heard::Second).await.unwrap();
        press.send(Heard::Third).await.unwrap();
    })
    .await;
    assert!(report.took < secs(3), "{:?}", report.took);
    assert_eq!(report.closers.len(), 1);
    assert_eq!(
        (report.closers[0].name, &report.closers[0].outcome),
        ("hangs", &CloserOutcome::Cut)
    );
    assert_eq!(report.exit(), ExitStatus::LeftBehind);
}

#[tokio::test(start_paused = true)]
async fn closers_run_in_reverse_each_within_its_bound_and_all_within_the_shared_time() {
    let (press, keys) = keys();
    let fake = Fake::new();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut builder = service(&fake, keys);
    for name in ["log", "sinks", "driver", "edge"] {
        let order = Arc::clone(&order);
        builder = builder.closer(name, secs(20), move |until| async move {
            order.lock().unwrap().push((name, until - Instant::now()));
            std::future::pending::<Result<(), String>>().await
        });
    }
    let report = drive(builder.build(), async {
        press.send(Heard::First).await.unwrap();
    })
    .await;
    let ms = Duration::from_millis;
    // 20 s, the 10 s that are left, and then shares of the 4 s to spare (five closers).
    let expected = [("edge", secs(20)), ("driver", secs(10)), ("sinks", ms(800)), ("log", ms(800))];
    assert_eq!(*order.lock().unwrap(), expected);
    assert_eq!(report.exit(), ExitStatus::LeftBehind, "what does not close is left behind");
    let budget = settings().budget().total().expect("bounded");
    assert!(report.took <= budget, "{:?} of {budget:?}", report.took);
}

#[tokio::test(start_paused = true)]
async fn with_every_step_hung_the_end_comes_within_the_printed_budget() {
    let (press, keys) = keys();
    let fake = Fake::new();
    for step in [Step::WaitAdmitted, Step::WaitStarts, Step::WaitLive, Step::WaitCleanup] {
        fake.hold(step);
    }
    fake.hung_cleanup.store(true, Ordering::SeqCst);
    let outside = ShutdownSettings { only_loopback: false, ..settings() };
    let budget = outside.budget().total().expect("bounded");
    let service = service(&fake, keys)
        .shutdown(outside)
        .critical("deaf", std::future::pending::<Result<(), String>>())
        .closer("hangs", secs(60), |_| std::future::pending::<Result<(), String>>())
        .build();
    let report = drive(service, async {
        press.send(Heard::First).await.unwrap();
    })
    .await;
    assert!(report.took <= budget, "{:?} of {budget:?}", report.took);
    assert_eq!(report.stuck, ["deaf"]);
    assert_eq!(report.exit(), ExitStatus::LeftBehind);
}

#[tokio::test(start_paused = true)]
async fn an_api_call_begins_and_a_forced_one_does_not_wait() {
    let (_press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitLive);
    let handle = ShutdownHandle::new();
    let mut state = handle.state();
    let service = service(&fake, keys).handle(handle.clone()).build();
    let report = drive(service, async {
        handle.begin();
        handle.begin();
        fake.reached("wait_live").await;
        let seen = *state.borrow_and_update();
        let ShutdownState::Ending { trigger: Trigger::Api, step, drain_by, forced } = seen else {
            panic!("{seen:?}");
        };
        assert_eq!((step, forced), (Step::WaitLive, None));
        assert_eq!(drain_by, Some(Instant::now() + secs(60)));
        handle.force();
    })
    .await;
    assert_eq!(report.trigger, Trigger::Api);
    assert_eq!(report.forced, Some(ForceCause::Api));
    assert_eq!(report.exit(), ExitStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_forces_from_the_start_waits_for_nothing() {
    let (_press, keys) = keys();
    let fake = Fake::new();
    fake.hold(Step::WaitAdmitted);
    let handle = ShutdownHandle::new();
    handle.force();
    let report = drive(service(&fake, keys).handle(handle).build(), async {}).await;
    assert_eq!((report.forced, report.took), (Some(ForceCause::Api), Duration::ZERO));
}
