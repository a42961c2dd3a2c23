use proptest::prelude::*;
use upstream::{Cause, Ended};

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn url(port: u16) -> WsUrl {
    WsUrl::from_parts("127.0.0.1", port, "guid").unwrap()
}

fn ready(generation: u64, port: u16) -> UpstreamState {
    let last_end = None;
    UpstreamState { generation, url: Some(url(port)), phase: Phase::Ready, last_end }
}

fn starting() -> UpstreamState {
    UpstreamState { generation: 0, url: None, phase: Phase::Starting, last_end: None }
}

fn down(generation: u64, since: Instant) -> UpstreamState {
    let cause = Cause::UnknownExit;
    let last_end = Some(Ended { generation, cause, at: since });
    UpstreamState { generation, url: None, phase: Phase::Down { since, cause }, last_end }
}

fn gone() -> UpstreamState {
    let cause = Cause::Exited { code: 1 };
    UpstreamState { generation: 1, url: None, phase: Phase::Gone { cause }, last_end: None }
}

fn plan() -> (Plan, Instant) {
    let now = Instant::now();
    (Plan::new(DialLimits::default(), now), now)
}

fn dial(generation: u64, port: u16, until: Instant) -> Step {
    Step::Dial { generation, url: url(port), until }
}

fn refused(step: &Step) -> Unreachable {
    match step {
        Step::Refuse(gave_up) => gave_up.why,
        other => panic!("not refused: {other:?}"),
    }
}

const REFUSED: Event = Event::Failed(DialFailure::Refused);

#[test]
fn a_ready_browser_is_dialled_at_once() {
    let (mut plan, t0) = plan();
    let state = ready(3, 1);
    assert_eq!(plan.handle(Event::Admitted, &state, t0, 0.5), dial(3, 1, t0 + 2 * SECOND));
    let opened = Opened { generation: 3, held: Duration::ZERO, dialled: 5 * MS, attempts: 1 };
    assert_eq!(plan.handle(Event::Dialled, &state, t0 + 5 * MS, 0.5), Step::Open(opened));
}

#[test]
fn a_client_is_held_until_the_browser_is_ready() {
    let (mut plan, t0) = plan();
    let until = t0 + 10 * SECOND;
    assert_eq!(plan.handle(Event::Admitted, &starting(), t0, 0.0), Step::Hold { until });
    let t = t0 + 3 * SECOND;
    assert_eq!(plan.handle(Event::Changed, &starting(), t, 0.0), Step::Hold { until });
    let t = t0 + 4 * SECOND;
    assert_eq!(plan.handle(Event::Changed, &ready(1, 1), t, 0.0), dial(1, 1, t + 2 * SECOND));
    let Step::Open(opened) = plan.handle(Event::Dialled, &ready(1, 1), t + MS, 0.0) else {
        panic!("not open");
    };
    assert_eq!((opened.held, opened.attempts), (4 * SECOND, 1));
}

#[test]
fn no_url_in_time_is_not_ready_and_was_never_dialled() {
    let (mut plan, t0) = plan();
    plan.handle(Event::Admitted, &starting(), t0, 0.0);
    let step = plan.handle(Event::TimeUp, &starting(), t0 + 10 * SECOND, 0.0);
    assert_eq!(refused(&step), Unreachable::NotReady);
    assert_eq!(plan.attempts(), 0);
}

#[test]
fn a_browser_that_is_gone_ends_the_hold_the_dial_and_the_pause_at_once() {
    let (mut holding, t0) = plan();
    holding.handle(Event::Admitted, &starting(), t0, 0.0);
    assert_eq!(refused(&holding.handle(Event::Changed, &gone(), t0, 0.0)), Unreachable::Gone);

    let (mut dialling, t0) = plan();
    dialling.handle(Event::Admitted, &ready(1, 1), t0, 0.0);
    assert_eq!(refused(&dialling.handle(Event::Changed, &gone(), t0, 0.0)), Unreachable::Gone);

    let (mut pausing, t0) = plan();
    pausing.handle(Event::Admitted, &ready(1, 1), t0, 0.0);
    pausing.handle(REFUSED, &ready(1, 1), t0, 0.0);
    assert_eq!(refused(&pausing.handle(Event::Changed, &gone(), t0, 0.0)), Unreachable::Gone);
}

#[test]
fn a_newer_url_is_dialled_without_a_pause() {
    let (mut plan, t0) = plan();
    plan.handle(Event::Admitted, &ready(1, 1), t0, 0.0);
    // Known by the time the dial has failed.
    assert_eq!(plan.handle(REFUSED, &ready(2, 2), t0 + MS, 0.0), dial(2, 2, t0 + MS + 2 * SECOND));
    let Step::Open(opened) = plan.handle(Event::Dialled, &ready(2, 2), t0 + 2 * MS, 0.0) else {
        panic!("not open");
    };
    assert_eq!((opened.generation, opened.attempts), (2, 2));
}

#[test]
fn a_dial_to_an_outdated_browser_is_given_up_for_the_newer_one() {
    let (mut plan, t0) = plan();
    plan.handle(Event::Admitted, &ready(1, 1), t0, 0.0);
    // While it is under way, and again when the socket comes: the old one is never opened.
    assert_eq!(
        plan.handle(Event::Changed, &ready(2, 2), t0 + MS, 0.0),
        dial(2, 2, t0 + MS + 2 * SECOND)
    );
    assert_eq!(
        plan.handle(Event::Dialled, &ready(3, 3), t0 + 2 * MS, 0.0),
        dial(3, 3, t0 + 2 * MS + 2 * SECOND)
    );
    // The same port again under a higher generation is another browser too.
    assert_eq!(
        plan.handle(Event::Dialled, &ready(4, 3), t0 + 3 * MS, 0.0),
        dial(4, 3, t0 + 3 * MS + 2 * SECOND)
    );
}

#[test]
fn a_state_that_says_nothing_new_leaves_the_dial_alone() {
    let (mut plan, t0) = plan();
    plan.handle(Event::Admitted, &ready(1, 1), t0, 0.0);
    let until = t0 + 2 * SECOND;
    for state in [ready(1, 1), down(1, t0), starting()] {
        assert_eq!(plan.handle(Event::Changed, &state, t0 + MS, 0.0), Step::Continue { until });
    }
}

#[test]
fn the_same_url_is_tried_again_with_pauses_inside_its_window() {
    let (mut plan, t0) = plan();
    let state = ready(1, 1);
    let mut now = t0;
    let mut step = plan.handle(Event::Admitted, &state, now, 0.0);
    let mut pauses = Vec::new();
    loop {
        match step {
            Step::Dial { .. } => step = plan.handle(REFUSED, &state, now, 1.0),
            Step::Pause { until } => {
                pauses.push(until - now);
                now = until;
                step = plan.handle(Event::TimeUp, &state, now, 1.0);
            }
            other => {
                assert_eq!(refused(&other), Unreachable::Refused);
                break;
            }
        }
    }
    assert_eq!(pauses, [200 * MS, 400 * MS, 800 * MS, SECOND, SECOND, SECOND]);
    assert!(now - t0 <= 5 * SECOND);
}

#[test]
fn pauses_lie_between_a_tenth_of_a_second_and_one() {
    for failures in [0, 1, 5, 31, u32::MAX - 1] {
        for jitter in [0.0, 0.3, 1.0] {
            let pause = pause(failures, jitter);
            assert!((100 * MS..=SECOND).contains(&pause), "{failures} {jitter}: {pause:?}");
        }
    }
}

#[test]
fn only_timeouts_are_a_timeout_and_one_refusal_is_a_refusal() {
    let state = ready(1, 1);
    let run = |events: [Event; 8]| {
        let (mut plan, mut now) = plan();
        let mut step = plan.handle(Event::Admitted, &state, now, 0.0);
        for event in events {
            loop {
                match step {
                    Step::Pause { until } => {
                        now = until;
                        step = plan.handle(Event::TimeUp, &state, now, 0.0);
                    }
                    Step::Dial { until, .. } => {
                        now = if event == Event::TimeUp { until } else { now + SECOND };
                        step = plan.handle(event, &state, now, 0.0);
                        break;
                    }
                    other => return refused(&other),
                }
            }
        }
        panic!("never gave up");
    };
    assert_eq!(run([Event::TimeUp; 8]), Unreachable::TimedOut);
    let mut mixed = [Event::TimeUp; 8];
    mixed[1] = REFUSED;
    assert_eq!(run(mixed), Unreachable::Refused);
}

#[test]
fn a_failed_dial_to_a_browser_that_went_down_goes_back_to_holding() {
    let (mut plan, t0) = plan();
    plan.handle(Event::Admitted, &ready(1, 1), t0, 0.0);
    let step = plan.handle(REFUSED, &down(1, t0), t0 + MS, 0.0);
    assert_eq!(step, Step::Hold { until: t0 + MS + 10 * SECOND });
    let t = t0 + 8 * SECOND;
    assert_eq!(plan.handle(Event::Changed, &ready(2, 2), t, 0.0), dial(2, 2, t + 2 * SECOND));
    // The hold that is used up does not come back, and the total bounds everything.
    let step = plan.handle(REFUSED, &down(2, t), t, 0.0);
    assert_eq!(step, Step::Hold { until: t + 2 * SECOND + MS });
    let end = t0 + 12 * SECOND;
    assert_eq!(refused(&plan.handle(Event::TimeUp, &down(2, t), end, 0.0)), Unreachable::Refused);
}

#[test]
fn ready_at_the_very_end_of_the_hold_is_dialled() {
    let (mut plan, t0) = plan();
    plan.handle(Event::Admitted, &starting(), t0, 0.0);
    let t = t0 + 10 * SECOND;
    assert_eq!(plan.handle(Event::TimeUp, &ready(1, 1), t, 0.0), dial(1, 1, t0 + 12 * SECOND));
}

#[test]
fn a_target_that_does_not_exist_is_not_tried_twice() {
    let (mut plan, t0) = plan();
    plan.handle(Event::Admitted, &ready(1, 1), t0, 0.0);
    let step = plan.handle(Event::Failed(DialFailure::NoSuchTarget), &ready(1, 1), t0, 0.0);
    assert_eq!(refused(&step), Unreachable::NoSuchTarget);
}

fn state() -> impl Strategy<Value = u8> {
    0..5u8
}

proptest! {
    /// Whatever happens in whatever order, the plan ends within its total, dials only what is
    /// ready, and opens only the generation that is newest at that moment.
    #[test]
    fn every_history_ends_in_time(
        history in prop::collection::vec((state(), 0..4u8, 0..3000u64, 0.0..1.0f64), 1..60)
    ) {
        let (mut plan, t0) = plan();
        let mut now = t0;
        let mut generation = 1;
        let mut step = plan.handle(Event::Admitted, &starting(), now, 0.0);
        for (state, event, after, jitter) in history {
            let state = match state {
                0 => starting(),
                1 => ready(generation, 1),
                2 => { generation += 1; ready(generation, 2) }
                3 => down(generation, now),
                _ => gone(),
            };
            let (until, dialling) = match &step {
                Step::Dial { until, generation: dialled, .. } => {
                    prop_assert!(*dialled <= generation);
                    (*until, true)
                }
                Step::Hold { until } | Step::Pause { until } => (*until, false),
                Step::Continue { until } => (*until, true),
                Step::Open(_) | Step::Refuse(_) => break,
            };
            prop_assert!(until <= t0 + 12 * SECOND, "{:?}", until - t0);
            let event = match event {
                0 if dialling => REFUSED,
                1 if dialling => Event::Dialled,
                2 => Event::Changed,
                _ => Event::TimeUp,
            };
            now = if event == Event::TimeUp { until } else { until.min(now + after as u32 * MS) };
            step = plan.handle(event, &state, now, jitter);
            if let Step::Open(opened) = &step {
                prop_assert_eq!(opened.generation, generation);
            }
            if event == Event::TimeUp && now >= t0 + 12 * SECOND {
                prop_assert!(matches!(step, Step::Open(_) | Step::Refuse(_)), "{:?}", step);
            }
        }
    }
}
