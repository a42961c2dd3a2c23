use telemetry::events::Event;
use telemetry::words::{self, DrainOutcome};

use super::secs;
use crate::ExitStatus;
use crate::shutdown::{
    DrainEvents, DrainProgress, DrainTotals, ForceCause, ShutdownFact, ShutdownSettings, Step,
    Trigger,
};

fn started(trigger: Trigger) -> ShutdownFact {
    let drain = Some(secs(60));
    let budget = ShutdownSettings { drain, ..ShutdownSettings::default() }.budget();
    let progress = DrainProgress { live: 3, sessions: 2, ..DrainProgress::default() };
    ShutdownFact::Started { trigger, budget, drain, step: Step::Announce, progress }
}

fn forced(cause: ForceCause) -> ShutdownFact {
    ShutdownFact::Forced { cause, elapsed: secs(61), progress: DrainProgress::default() }
}

#[test]
fn each_fact_is_one_event_with_its_counts() {
    let mut events = DrainEvents::default();
    let Some(Event::DrainStarted(event)) = events.event(&started(Trigger::Signal)) else {
        panic!("no start");
    };
    assert_eq!((event.live, event.sessions, event.phase.as_str()), (3, 2, "announce"));
    assert_eq!(event.deadline_ms.map(|ms| ms.0), Some(secs(60)));
    let fact = ShutdownFact::Progress {
        step: Step::WaitLive,
        elapsed: secs(5),
        progress: DrainProgress { live: 1, saves: 4, ..DrainProgress::default() },
    };
    let Some(Event::DrainProgress(event)) = events.event(&fact) else { panic!("no progress") };
    assert_eq!((event.live, event.saves, event.phase.as_str()), (1, 4, "wait_live"));
    let Some(Event::DrainForced(event)) = events.event(&forced(ForceCause::Deadline)) else {
        panic!("not forced");
    };
    assert_eq!(event.cause, words::ForceCause::Deadline);
    let fact = ShutdownFact::Drained {
        outcome: DrainOutcome::Forced,
        exit: ExitStatus::LeftBehind,
        elapsed: secs(90),
        totals: DrainTotals { stopped: 3, sessions_closed: 2 },
        errors: 1,
    };
    let Some(Event::DrainFinished(event)) = events.event(&fact) else { panic!("not finished") };
    assert_eq!((event.exit_code, event.stopped, event.sessions_closed), (Some(75), 3, 2));
    assert_eq!(event.errors, 1);
}

#[test]
fn a_failure_and_a_defect_have_words_of_their_own() {
    let mut events = DrainEvents::default();
    let failed = events.event(&started(Trigger::Failure { name: "edge" }));
    let Some(Event::DrainStarted(event)) = failed else { panic!("no start") };
    assert_eq!(event.trigger, words::DrainTrigger::Failure);
    let Some(Event::DrainForced(event)) = events.event(&forced(ForceCause::Defect)) else {
        panic!("not forced");
    };
    assert_eq!(event.cause, words::ForceCause::Defect);
}

#[test]
fn progress_before_a_start_is_no_event() {
    let fact = ShutdownFact::Progress {
        step: Step::WaitLive,
        elapsed: secs(5),
        progress: DrainProgress::default(),
    };
    assert_eq!(DrainEvents::default().event(&fact), None);
}
