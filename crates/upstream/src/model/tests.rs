use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Applied, Model, step};
use crate::state::{Cause, Ended, Fact, Phase};
use crate::url::WsUrl;

const CRASH: Cause = Cause::Exited { code: 1 };
const KILL: Cause = Cause::Signalled { signal: 9 };

fn url(id: u32) -> WsUrl {
    WsUrl::from_parts("127.0.0.1", 9222, &format!("id-{id}")).unwrap()
}

fn ready(id: u32) -> Fact {
    Fact::Ready { url: url(id) }
}

fn ended(cause: Cause) -> Fact {
    Fact::Ended { cause }
}

/// Runs facts, one millisecond apart, and gives the model and what the last one did.
fn run(facts: impl IntoIterator<Item = Fact>) -> (Model, Applied) {
    let start = Instant::now();
    let mut model = Model::new();
    let mut applied = Applied::Unchanged;
    for (n, fact) in (0..).zip(facts) {
        (model, applied) = step(model, fact, start + Duration::from_millis(n));
    }
    (model, applied)
}

fn phase_after(facts: impl IntoIterator<Item = Fact>) -> (u64, &'static str) {
    let (model, _) = run(facts);
    (model.state().generation, model.state().phase.kind())
}

fn cause(model: &Model) -> Cause {
    match model.state().phase {
        Phase::Down { cause, .. } | Phase::Gone { cause } => cause,
        other @ (Phase::Starting | Phase::Ready) => panic!("{other:?} has no cause"),
    }
}

fn end(model: &Model) -> (u64, Cause) {
    let Ended { generation, cause, .. } = model.state().last_end.expect("an end was recorded");
    (generation, cause)
}

#[test]
fn the_first_instance_is_number_one_with_or_without_a_start() {
    assert_eq!(phase_after([]), (0, "starting"));
    assert_eq!(phase_after([Fact::Starting]), (1, "starting"));
    assert_eq!(phase_after([Fact::Starting, ready(1)]), (1, "ready"));
    assert_eq!(phase_after([ready(1)]), (1, "ready"));
    assert_eq!(phase_after([ended(CRASH), ready(1)]), (1, "ready"));
    assert_eq!(phase_after([ended(CRASH), Fact::Starting]), (1, "starting"));
}

#[test]
fn every_phase_takes_exactly_the_steps_of_the_table() {
    let phases: [(&str, Vec<Fact>); 7] = [
        ("nothing known", vec![]),
        ("starting", vec![Fact::Starting]),
        ("ready", vec![ready(1)]),
        ("down, not known why", vec![ready(1), ended(Cause::UnknownExit)]),
        ("down, known why", vec![ready(1), ended(CRASH)]),
        ("down, never ready", vec![Fact::Starting, ended(Cause::UnknownExit)]),
        ("gone", vec![ready(1), Fact::GaveUp { cause: CRASH }]),
    ];
    let facts: [(&str, Fact); 9] = [
        ("start", Fact::Starting),
        ("same address", ready(1)),
        ("new address", ready(2)),
        ("restart", Fact::RestartRequested),
        ("end", ended(KILL)),
        ("named end", Fact::EndedOf { generation: 1, cause: KILL }),
        ("end of one to come", Fact::EndedOf { generation: 7, cause: KILL }),
        ("gave up", Fact::GaveUp { cause: KILL }),
        ("alive", Fact::Alive),
    ];
    // One column for each fact: the phase after it, or "=" for no change, "-" for refused.
    #[rustfmt::skip]
    let table: [[&str; 9]; 7] = [
        ["starting 1", "ready 1", "ready 1", "down 0", "down 0", "-",      "-", "gone 0", "-"],
        ["-",          "ready 1", "ready 1", "down 1", "down 1", "down 1", "-", "gone 1", "-"],
        ["-",          "=",       "ready 2", "down 1", "down 1", "down 1", "-", "gone 1", "="],
        ["starting 2", "ready 1", "ready 2", "down 1", "down 1", "down 1", "-", "gone 1", "ready 1"],
        ["starting 2", "ready 2", "ready 2", "=",      "=",      "=",      "-", "gone 1", "-"],
        ["starting 2", "ready 2", "ready 2", "down 1", "down 1", "down 1", "-", "gone 1", "-"],
        ["-",          "-",       "-",       "-",      "-",      "-",      "-", "-",      "-"],
    ];
    for ((phase, before), row) in phases.iter().zip(table) {
        for ((name, fact), expected) in facts.iter().zip(row) {
            let (model, applied) = run(before.iter().cloned().chain([fact.clone()]));
            let state = model.state();
            let found = match applied {
                Applied::Published => format!("{} {}", state.phase.kind(), state.generation),
                Applied::Unchanged => "=".to_owned(),
                Applied::Refused(_) => "-".to_owned(),
                Applied::Stale => panic!("a step is never stale by itself"),
            };
            assert_eq!(found, expected, "{phase}: {name}");
        }
    }
}

#[test]
fn a_known_cause_beats_an_unknown_one_and_two_reports_are_one_end() {
    let start = Instant::now();
    let (model, _) = step(Model::new(), ready(1), start);
    let (model, _) = step(model, ended(Cause::UnknownExit), start);
    let later = start + Duration::from_secs(1);
    let (model, applied) = step(model, ended(CRASH), later);
    assert_eq!(applied, Applied::Published);
    let first_report = Ended { generation: 1, cause: CRASH, at: start };
    assert_eq!(model.state().last_end, Some(first_report));
    assert_eq!(model.state().phase, Phase::Down { since: start, cause: CRASH });
    for again in [Cause::UnknownExit, KILL, CRASH] {
        assert_eq!(step(model.clone(), ended(again), later), (model.clone(), Applied::Unchanged));
    }
}

#[test]
fn a_kill_is_refined_to_a_memory_kill() {
    let (model, applied) = run([ready(1), ended(KILL), ended(Cause::OomKilled)]);
    assert_eq!((end(&model), applied), ((1, Cause::OomKilled), Applied::Published));
    assert_eq!(KILL.with_oom_kill(true), Cause::OomKilled);
    assert_eq!(KILL.with_oom_kill(false), KILL);
    assert_eq!(CRASH.with_oom_kill(true), CRASH);
}

#[test]
fn an_ordered_restart_wins_over_the_exit_that_follows() {
    for exit in [Cause::Exited { code: 0 }, Cause::Signalled { signal: 15 }, KILL] {
        let (model, applied) = run([ready(1), Fact::RestartRequested, ended(exit)]);
        assert_eq!(applied, Applied::Unchanged);
        assert_eq!(end(&model), (1, Cause::RestartRequested));
    }
    // The browser still answers until it is stopped: that is not the next instance.
    let (model, applied) = run([ready(1), Fact::RestartRequested, Fact::Alive]);
    assert!(matches!(applied, Applied::Refused(_)));
    assert_eq!(cause(&model), Cause::RestartRequested);
    let (model, _) =
        run([ready(1), Fact::RestartRequested, ended(CRASH), Fact::Starting, ready(2)]);
    assert_eq!(model.state().generation, 2);
    assert_eq!(end(&model), (1, Cause::RestartRequested));
}

#[test]
fn a_crash_is_not_turned_into_a_restart_that_comes_after_it() {
    let (model, applied) = run([ready(1), ended(CRASH), Fact::RestartRequested]);
    assert_eq!((end(&model), applied), ((1, CRASH), Applied::Unchanged));
    // A browser that only stopped answering is ended by the order.
    let (model, _) = run([ready(1), ended(Cause::UnknownExit), Fact::RestartRequested]);
    assert_eq!(end(&model), (1, Cause::RestartRequested));
}

#[test]
fn how_the_last_one_ended_stays_when_the_next_is_ready() {
    let (model, _) = run([ready(1), ended(KILL), Fact::Starting, ready(2)]);
    assert_eq!(end(&model), (1, KILL));
    assert_eq!(model.state().end_of(1).map(|end| end.cause), Some(KILL));
    assert_eq!(model.state().end_of(2), None);
}

#[test]
fn a_late_notice_about_the_last_instance_does_not_touch_the_next() {
    let late = Fact::EndedOf { generation: 1, cause: CRASH };
    let (model, applied) = run([ready(1), ready(2), late.clone()]);
    assert_eq!(applied, Applied::Published);
    assert_eq!((model.state().generation, model.state().phase), (2, Phase::Ready));
    assert_eq!(end(&model), (1, CRASH));
    let (model, applied) = run([ready(1), ready(2), ended(KILL), late.clone()]);
    assert_eq!((end(&model), applied), ((2, KILL), Applied::Unchanged));
    let (model, _) = run([ready(1), ended(Cause::UnknownExit), ready(2), late]);
    assert_eq!(end(&model), (1, CRASH));
}

#[test]
fn an_instance_that_lives_after_all_has_not_ended() {
    let (model, _) =
        run([ready(1), ended(CRASH), ready(2), ended(Cause::UnknownExit), Fact::Alive]);
    assert_eq!((model.state().generation, model.state().phase), (2, Phase::Ready));
    assert_eq!(model.state().url, Some(url(2)));
    assert_eq!(end(&model), (1, CRASH));
    // It may go down again, and then that is its end.
    let (model, _) = step(model, ended(KILL), Instant::now());
    assert_eq!(end(&model), (2, KILL));
}

#[test]
fn giving_up_keeps_what_is_known() {
    let gave_up = |cause| Fact::GaveUp { cause };
    let (model, _) = run([ready(1), ended(KILL), gave_up(Cause::UnknownExit)]);
    assert_eq!((cause(&model), end(&model)), (KILL, (1, KILL)));
    let (model, _) = run([ready(1), Fact::RestartRequested, gave_up(CRASH)]);
    assert_eq!(cause(&model), Cause::RestartRequested);
    let (model, _) = run([ready(1), Fact::RestartRequested, gave_up(Cause::StartTimeout)]);
    assert_eq!(cause(&model), Cause::StartTimeout);
    assert_eq!(end(&model), (1, Cause::RestartRequested));
    let (model, applied) = run([gave_up(CRASH), gave_up(CRASH)]);
    assert_eq!((model.state().last_end, applied), (None, Applied::Unchanged));
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let cause = prop::sample::select(vec![
        CRASH,
        KILL,
        Cause::OomKilled,
        Cause::RestartRequested,
        Cause::StartTimeout,
        Cause::UnknownExit,
    ]);
    prop_oneof![
        3 => Just(Fact::Starting),
        6 => (1u32..4).prop_map(ready),
        2 => Just(Fact::RestartRequested),
        4 => cause.clone().prop_map(ended),
        2 => (0u64..6, cause.clone())
            .prop_map(|(generation, cause)| Fact::EndedOf { generation, cause }),
        1 => cause.prop_map(|cause| Fact::GaveUp { cause }),
        2 => Just(Fact::Alive),
    ]
}

proptest! {
    #[test]
    fn no_order_of_facts_breaks_the_state(facts in prop::collection::vec(any_fact(), 0..40)) {
        let start = Instant::now();
        let mut model = Model::new();
        for (n, fact) in (0..).zip(facts) {
            let now = start + Duration::from_millis(n);
            let (next, applied) = step(model.clone(), fact.clone(), now);
            let (old, new) = (model.state(), next.state());
            prop_assert!(new.generation >= old.generation, "{fact:?}: {old:?} {new:?}");
            prop_assert!(new.generation <= old.generation + 1);
            prop_assert_eq!(new.url.is_some(), new.is_ready());
            prop_assert_eq!(applied == Applied::Published, old != new, "{:?}", applied);
            if old.is_gone() {
                prop_assert_eq!(old, new);
            }
            if let Some(end) = new.last_end {
                prop_assert!(end.generation >= 1 && end.generation <= new.generation);
            }
            if let Phase::Down { since, cause } = new.phase && new.generation > 0 {
                let expected = Ended { generation: new.generation, cause, at: since };
                prop_assert_eq!(new.last_end, Some(expected));
            }
            if new.is_ready() {
                prop_assert!(new.last_end.is_none_or(|end| end.generation < new.generation));
                prop_assert!(new.generation >= 1);
            }
            let known = old.last_end.filter(|end| end.cause.is_known());
            if let (Some(before), Some(after)) = (known, new.last_end)
                && before.generation == after.generation
                && before.cause != KILL
            {
                prop_assert_eq!(before, after, "a known end is never told otherwise");
            }
            model = next;
        }
    }
}
