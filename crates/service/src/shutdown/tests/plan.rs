use std::time::{Duration, Instant};

use super::secs;
use crate::shutdown::{Event, ForceCause, Next, Plan, ShutdownSettings, Step};

fn settings() -> ShutdownSettings {
    ShutdownSettings { drain: Some(secs(60)), ..ShutdownSettings::default() }
}

struct Walk {
    plan: Plan,
    start: Instant,
}

impl Walk {
    fn new(settings: ShutdownSettings) -> Self {
        let start = Instant::now();
        Self { plan: Plan::new(settings, true, start), start }
    }

    fn at(&mut self, after: Duration, event: Event) -> Next {
        self.plan.handle(event, self.start + after)
    }

    /// Ends the current step's work until `step` is reached.
    fn to(&mut self, step: Step) -> &mut Self {
        while self.plan.step() != Some(step) {
            let event = match self.plan.step() {
                Some(Step::Announce) => Event::Timeout,
                Some(_) => Event::Done,
                None => panic!("{step} was never reached"),
            };
            let until = self.plan.until().filter(|_| event == Event::Timeout);
            let now = until.unwrap_or(self.start).saturating_duration_since(self.start);
            self.at(now, event);
        }
        self
    }

    fn until(&self) -> Option<Duration> {
        self.plan.until().map(|until| until - self.start)
    }
}

/// The steps from which waiting can be cut short.
const WAITING: [Step; 8] = [
    Step::Announce,
    Step::ServerGate,
    Step::WaitAdmitted,
    Step::FactoryGate,
    Step::WaitStarts,
    Step::Pool,
    Step::WaitLive,
    Step::WaitCleanup,
];

#[test]
fn a_clean_drain_takes_every_step_but_the_forced_one_in_order() {
    let mut walk = Walk::new(settings());
    let mut seen = vec![walk.plan.step().expect("a step")];
    assert_eq!(walk.at(secs(15), Event::Timeout), Next::Enter(Step::ServerGate));
    seen.push(Step::ServerGate);
    loop {
        match walk.at(secs(16), Event::Done) {
            Next::Enter(step) => seen.push(step),
            Next::End => break,
            other => panic!("{other:?} after {seen:?}"),
        }
    }
    let all: Vec<_> = Step::ALL.into_iter().filter(|step| *step != Step::ForceStop).collect();
    assert_eq!(seen, all);
    assert_eq!(walk.plan.forced(), None);
}

#[test]
fn there_is_no_announcement_when_nobody_would_hear_it() {
    let start = Instant::now();
    let loopback = ShutdownSettings { only_loopback: true, ..settings() };
    assert_eq!(Plan::new(loopback, true, start).step(), Some(Step::ServerGate));
    assert_eq!(Plan::new(settings(), false, start).step(), Some(Step::ServerGate));
    let none = ShutdownSettings { announce: Duration::ZERO, ..settings() };
    assert_eq!(Plan::new(none, true, start).step(), Some(Step::ServerGate));
    let force = ShutdownSettings { force_at_once: true, ..settings() };
    let plan = Plan::new(force, true, start);
    assert_eq!((plan.step(), plan.forced()), (Some(Step::ForceStop), Some(ForceCause::Setting)));
}

#[test]
fn the_drain_deadline_counts_from_the_closing_of_the_door() {
    let mut walk = Walk::new(settings());
    assert_eq!(walk.plan.drain_by(), None);
    walk.at(secs(15), Event::Timeout);
    assert_eq!(walk.until(), Some(secs(75)));
    walk.to(Step::WaitLive);
    assert_eq!(walk.at(secs(74), Event::Timeout), Next::Stay, "too early");
    assert_eq!(walk.at(secs(75), Event::Timeout), Next::Enter(Step::ForceStop));
    assert_eq!(walk.plan.forced(), Some(ForceCause::Deadline));
}

#[test]
fn without_a_drain_deadline_no_time_ends_a_wait() {
    for step in [Step::WaitAdmitted, Step::WaitStarts, Step::WaitLive, Step::WaitCleanup] {
        let mut walk = Walk::new(ShutdownSettings::default());
        walk.to(step);
        assert_eq!(walk.until(), None, "{step}");
        assert_eq!(walk.at(secs(1_000_000), Event::Timeout), Next::Stay, "{step}");
    }
}

#[test]
fn the_pool_has_two_seconds_and_what_is_left_of_it_is_waited_for_later() {
    let mut walk = Walk::new(settings());
    walk.to(Step::Pool);
    assert_eq!(walk.until(), Some(secs(2)));
    assert_eq!(walk.at(secs(2), Event::Timeout), Next::Enter(Step::WaitLive));
    let mut late = Walk::new(ShutdownSettings { drain: Some(secs(1)), ..settings() });
    late.to(Step::Pool);
    assert_eq!(late.at(secs(16), Event::Timeout), Next::Enter(Step::ForceStop), "deadline first");
}

#[test]
fn whoever_is_in_a_hurry_ends_every_wait() {
    for step in WAITING {
        for cause in [ForceCause::SecondSignal, ForceCause::Api] {
            let mut walk = Walk::new(settings());
            walk.to(step);
            assert_eq!(walk.at(secs(3), Event::Hurry(cause)), Next::Enter(Step::ForceStop));
            assert_eq!(walk.plan.forced(), Some(cause), "{step}");
        }
    }
}

#[test]
fn a_wait_that_broke_is_not_believed() {
    for step in WAITING.into_iter().filter(|step| *step != Step::Announce) {
        let mut walk = Walk::new(settings());
        walk.to(step);
        assert_eq!(walk.at(secs(3), Event::Broke), Next::Enter(Step::ForceStop), "{step}");
        assert_eq!(walk.plan.forced(), Some(ForceCause::Defect), "{step}");
    }
}

#[test]
fn hung_cleanup_is_followed_by_a_kill_and_then_left_behind() {
    let mut walk = Walk::new(settings());
    walk.at(secs(0), Event::Hurry(ForceCause::SecondSignal));
    assert_eq!(walk.until(), Some(secs(20)), "two thirds of 30 s");
    assert_eq!(walk.at(secs(20), Event::Timeout), Next::KillAll);
    assert_eq!(walk.until(), Some(secs(30)));
    assert_eq!(walk.at(secs(30), Event::Timeout), Next::Enter(Step::Closers));
}

#[test]
fn cleanup_that_broke_is_followed_by_a_kill_too() {
    let mut walk = Walk::new(settings());
    walk.at(secs(0), Event::Hurry(ForceCause::SecondSignal));
    assert_eq!(walk.at(secs(1), Event::Broke), Next::KillAll);
    assert_eq!(walk.until(), Some(secs(30)));
}

#[test]
fn a_second_hurry_changes_nothing_once_the_end_is_forced() {
    let mut walk = Walk::new(settings());
    walk.at(secs(0), Event::Hurry(ForceCause::Api));
    assert_eq!(walk.at(secs(1), Event::Hurry(ForceCause::SecondSignal)), Next::Stay);
    assert_eq!(walk.plan.forced(), Some(ForceCause::Api), "the first cause stays");
    walk.at(secs(2), Event::Done);
    assert_eq!(walk.at(secs(3), Event::Hurry(ForceCause::SecondSignal)), Next::Stay);
    assert_eq!(walk.plan.step(), Some(Step::Closers));
}

#[test]
fn the_third_signal_ends_every_step_within_three_seconds() {
    for step in Step::ALL {
        let mut walk = Walk::new(settings());
        if step == Step::ForceStop {
            walk.at(secs(0), Event::Hurry(ForceCause::SecondSignal));
        } else {
            walk.to(step);
        }
        assert_eq!(walk.at(secs(20), Event::AtOnce), Next::AtOnce, "{step}");
        assert_eq!(walk.at(secs(20), Event::AtOnce), Next::Stay, "a fourth one");
        let until = walk.until().expect("bounded");
        assert!(until < secs(22), "{step}: {until:?}, with a second left for the exit");
        assert_eq!(walk.at(until, Event::Timeout), Next::End, "{step}");
        assert_eq!(walk.at(until, Event::Done), Next::Stay, "it is over");
    }
}

#[test]
fn closers_are_cut_at_their_time() {
    let mut walk = Walk::new(settings());
    walk.to(Step::Closers);
    let until = walk.until().expect("bounded");
    assert_eq!(until, secs(30 + 4), "shared time and spare time");
    assert_eq!(walk.at(until, Event::Timeout), Next::End);
}

#[test]
fn every_walk_ends_within_the_budget_whatever_hangs() {
    // Nothing ever ends by itself: only the clock moves the plan.
    let settings = settings();
    let total = settings.budget().total().expect("bounded");
    let mut walk = Walk::new(settings);
    let mut end = Duration::ZERO;
    for _ in 0..20 {
        let Some(until) = walk.until() else { break };
        end = until;
        if walk.at(until, Event::Timeout) == Next::End {
            break;
        }
    }
    assert_eq!(walk.plan.step(), None, "it ended");
    assert!(end <= total, "{end:?} of {total:?}");
}

#[test]
fn no_event_in_no_state_leads_back_and_every_one_ends_by_the_clock_alone() {
    let events = [
        Event::Done,
        Event::Broke,
        Event::Timeout,
        Event::Hurry(ForceCause::SecondSignal),
        Event::AtOnce,
    ];
    // Two events in every state: the second one also meets the states only a first one leads to.
    for step in Step::ALL {
        for (first, second) in events.iter().flat_map(|a| events.map(|b| (*a, b))) {
            let mut walk = Walk::new(settings());
            if step == Step::ForceStop {
                walk.at(secs(0), Event::Hurry(ForceCause::Api));
            } else {
                walk.to(step);
            }
            let mut before = walk.plan.step();
            let mut cause = walk.plan.forced();
            for event in [first, second] {
                let now = walk.until().unwrap_or_default();
                walk.at(now, event);
                let after = walk.plan.step();
                let forward = after.is_none() || (before.is_some() && after >= before);
                assert!(forward, "{step} {event:?}: {before:?} to {after:?}");
                assert!(cause.is_none() || walk.plan.forced() == cause, "{step} {event:?}");
                (before, cause) = (after, walk.plan.forced());
            }
            let mut timeouts = 0;
            while let Some(until) = walk.until() {
                walk.at(until, Event::Timeout);
                timeouts += 1;
                assert!(timeouts < 20, "{step} {first:?} {second:?} never ends");
            }
        }
    }
}
