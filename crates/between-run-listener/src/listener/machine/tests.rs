use super::*;

mod random;

const SECOND: Duration = Duration::from_secs(1);

fn machine(rules: Rules) -> (Machine, Instant) {
    (Machine::new(rules), Instant::now())
}

fn default() -> (Machine, Instant) {
    machine(Rules::default())
}

fn failed(reason: Reason) -> Input {
    Input::Failed(reason.into())
}

fn until(machine: &Machine) -> Instant {
    match *machine.state() {
        State::Waiting { until, .. } => until,
        other => panic!("not waiting: {other:?}"),
    }
}

/// How long it waits now, and then the next attempt begun.
fn sit_out(machine: &mut Machine, now: &mut Instant) -> Duration {
    let until = until(machine);
    let waited = until - *now;
    assert_eq!(machine.deadline(), Some(until));
    assert_eq!(machine.handle(Input::Timer, until - Duration::from_nanos(1), 0), Action::Nothing);
    *now = until;
    assert_eq!(machine.handle(Input::Timer, until, 0), Action::Connect);
    waited
}

#[test]
fn an_answer_begins_a_stream_with_an_idle_timer() {
    let (mut machine, now) = default();
    assert_eq!(machine.state(), &State::Connecting { attempt: 1 });
    assert_eq!(machine.deadline(), None);
    assert_eq!(machine.handle(Input::Opened, now, 0), Action::Nothing);
    assert_eq!(machine.state(), &State::Streaming { since: now, progress: false });
    assert_eq!(machine.deadline(), Some(now + 90 * SECOND));
}

#[test]
fn transient_failures_wait_one_and_a_half_times_longer_each_and_end_at_the_limit() {
    for (random, part) in [(0, 0.5), (u32::MAX, 1.0)] {
        let (mut machine, mut now) = default();
        for n in 1..30 {
            assert_eq!(machine.handle(failed(Reason::Refused), now, random), Action::Wait);
            let expected = 1.5_f64.powi(n - 1).min(30.0) * part;
            let waited = sit_out(&mut machine, &mut now).as_secs_f64();
            assert!((waited - expected).abs() < 1e-6, "{n}: {waited} instead of {expected}");
        }
        assert_eq!(machine.handle(failed(Reason::Refused), now, random), Action::End);
        let end = GiveUp::NoProgress(Reason::Refused);
        assert_eq!(machine.state(), &State::GaveUp(end));
        assert_eq!(end.to_string(), "no_progress: refused");
    }
}

#[test]
fn each_permanent_answer_is_asked_once() {
    for (reason, name) in [
        (Reason::ContentType, "content_type"),
        (Reason::StoppedByServer, "stopped_by_server"),
        (Reason::Redirect, "redirect"),
        (Reason::Unauthorized, "unauthorized"),
        (Reason::Forbidden, "forbidden"),
        (Reason::Gone, "gone"),
        (Reason::Http(400), "http_400"),
        (Reason::Http(418), "http_418"),
        (Reason::Http(304), "http_304"),
        (Reason::Tls, "tls"),
        (Reason::Blocked, "blocked"),
    ] {
        let (mut machine, now) = default();
        assert_eq!(machine.handle(failed(reason), now, 7), Action::End, "{name}");
        assert_eq!(machine.state(), &State::GaveUp(GiveUp::Permanent(reason)));
        assert_eq!(reason.to_string(), name);
    }
}

#[test]
fn a_404_is_asked_three_times_and_only_in_a_row() {
    let (mut machine, mut now) = default();
    for _ in 0..2 {
        assert_eq!(machine.handle(failed(Reason::Http(404)), now, 0), Action::Wait);
        sit_out(&mut machine, &mut now);
    }
    // Another answer in between begins the count again.
    assert_eq!(machine.handle(failed(Reason::Http(503)), now, 0), Action::Wait);
    for _ in 0..2 {
        sit_out(&mut machine, &mut now);
        assert_eq!(machine.handle(failed(Reason::Http(404)), now, 0), Action::Wait);
    }
    sit_out(&mut machine, &mut now);
    assert_eq!(machine.handle(failed(Reason::Http(404)), now, 0), Action::End);
    assert_eq!(machine.state(), &State::GaveUp(GiveUp::Permanent(Reason::NotFound)));
}

#[test]
fn statuses_that_pass_are_tried_again() {
    for status in [404, 408, 425, 429, 500, 502, 503, 599] {
        assert!(!Reason::Http(status).is_permanent(), "{status}");
    }
    for status in [300, 304, 400, 402, 405, 409, 418, 451, 499, 600] {
        assert!(Reason::Http(status).is_permanent(), "{status}");
    }
}

#[test]
fn retry_after_is_waited_for_up_to_a_minute() {
    for (asked, random, waits) in [(5, 0, 5.0), (5, u32::MAX, 6.25), (3600, 0, 60.0), (0, 0, 0.5)] {
        let (mut machine, mut now) = default();
        let failure =
            Failure { reason: Reason::Http(429), retry_after: Some(Duration::from_secs(asked)) };
        assert_eq!(machine.handle(Input::Failed(failure), now, random), Action::Wait);
        let waited = sit_out(&mut machine, &mut now).as_secs_f64();
        assert!((waited - waits).abs() < 1e-6, "{asked}: {waited} instead of {waits}");
    }
}

#[test]
fn the_runners_retry_is_the_base_and_never_undercut() {
    for (asked, random, waits) in
        [(4000, 0, 4.0), (4000, u32::MAX, 5.0), (1, 0, 0.1), (u64::MAX, 0, 30.0)]
    {
        let (mut machine, mut now) = default();
        machine.handle(Input::Opened, now, 0);
        machine.handle(Input::Retry(Duration::from_millis(asked)), now, 0);
        machine.handle(Input::Event, now, 0);
        assert_eq!(machine.handle(Input::Ended(Reason::Ended), now, random), Action::Wait);
        let waited = sit_out(&mut machine, &mut now).as_secs_f64();
        assert!((waited - waits).abs() < 1e-6, "{asked}: {waited} instead of {waits}");
    }
}

#[test]
fn a_sessions_own_delay_replaces_the_second() {
    let rules = Rules { retry_min: Some(10 * SECOND), ..Rules::default() };
    let (mut machine, mut now) = machine(rules);
    assert_eq!(machine.handle(failed(Reason::Dns), now, 0), Action::Wait);
    assert_eq!(sit_out(&mut machine, &mut now), 5 * SECOND);
    // A runner that asks for less does not make it shorter.
    machine.handle(Input::Opened, now, 0);
    machine.handle(Input::Event, now, 0);
    machine.handle(Input::Retry(SECOND), now, 0);
    machine.handle(Input::Ended(Reason::Ended), now, 0);
    assert_eq!(sit_out(&mut machine, &mut now), 10 * SECOND);
}

#[test]
fn a_hundred_streams_that_each_bring_an_event_do_not_use_up_the_limit() {
    let (mut machine, mut now) = default();
    for _ in 0..100 {
        machine.handle(Input::Opened, now, 0);
        machine.handle(Input::Bytes { skipped: 0 }, now, 0);
        machine.handle(Input::Event, now, 0);
        assert_eq!(machine.handle(Input::Ended(Reason::Ended), now, 0), Action::Wait);
        assert_eq!(machine.failures(), 0);
        assert_eq!(sit_out(&mut machine, &mut now), SECOND / 2);
    }
}

#[test]
fn a_stream_that_closes_at_once_uses_up_the_limit_and_is_asked_at_most_four_times_in_three_seconds()
{
    let (mut machine, start) = default();
    let mut now = start;
    let mut early = 1;
    for n in 1..30 {
        machine.handle(Input::Opened, now, 0);
        machine.handle(Input::Bytes { skipped: 0 }, now, 0);
        assert_eq!(machine.handle(Input::Ended(Reason::Ended), now, 0), Action::Wait, "{n}");
        sit_out(&mut machine, &mut now);
        early += u32::from(now - start <= 3 * SECOND);
    }
    assert!(early <= 4, "{early} requests in the first three seconds");
    machine.handle(Input::Opened, now, 0);
    assert_eq!(machine.handle(Input::Ended(Reason::Ended), now, 0), Action::End);
    assert_eq!(machine.state(), &State::GaveUp(GiveUp::NoProgress(Reason::Ended)));
}

#[test]
fn heartbeats_are_progress_after_thirty_seconds() {
    for (after, failures) in [(29, 1), (30, 0)] {
        let (mut machine, now) = default();
        machine.handle(Input::Opened, now, 0);
        let later = now + Duration::from_secs(after);
        machine.handle(Input::Bytes { skipped: 0 }, later, 0);
        machine.handle(Input::Ended(Reason::Reset), later, 0);
        assert_eq!(machine.failures(), failures, "after {after} s");
    }
}

#[test]
fn silence_for_the_idle_timeout_ends_the_stream_and_not_before() {
    let (mut machine, now) = default();
    machine.handle(Input::Opened, now, 0);
    machine.handle(Input::Bytes { skipped: 0 }, now + 60 * SECOND, 0);
    // The timer that was set at the answer fires and finds that bytes came since.
    assert_eq!(machine.handle(Input::Timer, now + 90 * SECOND, 0), Action::Nothing);
    assert_eq!(machine.deadline(), Some(now + 150 * SECOND));
    assert_eq!(machine.handle(Input::Timer, now + 150 * SECOND, 0), Action::Wait);
    assert_eq!(machine.reason(), Some(Reason::Idle));
}

#[test]
fn the_idle_timeout_does_not_run_while_the_session_is_not_taking_events() {
    let (mut machine, now) = default();
    machine.handle(Input::Opened, now, 0);
    // Read long ago, but taken only now.
    let later = now + 1000 * SECOND;
    machine.handle(Input::Bytes { skipped: 0 }, later, 0);
    assert_eq!(machine.handle(Input::Timer, later, 0), Action::Nothing);
    assert_eq!(machine.deadline(), Some(later + 90 * SECOND));
}

#[test]
fn without_an_idle_timeout_a_stream_has_no_deadline() {
    let (mut machine, now) = machine(Rules { idle: None, ..Rules::default() });
    machine.handle(Input::Opened, now, 0);
    assert_eq!(machine.deadline(), None);
}

#[test]
fn an_event_that_is_skipped_for_a_minute_or_a_gibibyte_is_a_failure_without_progress() {
    let (mut machine, now) = default();
    machine.handle(Input::Opened, now, 0);
    machine.handle(Input::Event, now, 0);
    assert_eq!(machine.handle(Input::Bytes { skipped: 1 << 30 }, now, 0), Action::Nothing);
    assert_eq!(machine.handle(Input::Bytes { skipped: (1 << 30) + 1 }, now, 0), Action::Wait);
    assert_eq!((machine.reason(), machine.failures()), (Some(Reason::TooLarge), 1));

    let (mut machine, now) = default();
    machine.handle(Input::Opened, now, 0);
    machine.handle(Input::Bytes { skipped: 1 }, now, 0);
    machine.handle(Input::Bytes { skipped: 2 }, now + 59 * SECOND, 0);
    assert_eq!(machine.deadline(), Some(now + 60 * SECOND));
    assert_eq!(machine.handle(Input::Timer, now + 60 * SECOND, 0), Action::Wait);
    assert_eq!(machine.reason(), Some(Reason::TooLarge));

    // Also when it floods in, so that no timer gets a turn.
    let (mut machine, now) = default();
    machine.handle(Input::Opened, now, 0);
    machine.handle(Input::Bytes { skipped: 1 }, now, 0);
    let later = now + 60 * SECOND;
    assert_eq!(machine.handle(Input::Bytes { skipped: 2 }, later, 0), Action::Wait);
    assert_eq!(machine.reason(), Some(Reason::TooLarge));

    // One that has ended in time is no failure.
    let (mut machine, now) = default();
    machine.handle(Input::Opened, now, 0);
    machine.handle(Input::Bytes { skipped: 1 }, now, 0);
    machine.handle(Input::Bytes { skipped: 0 }, now + 59 * SECOND, 0);
    assert_eq!(machine.handle(Input::Timer, now + 60 * SECOND, 0), Action::Nothing);
}

#[test]
fn a_kick_ends_the_wait_at_most_once_a_second() {
    let (mut machine, now) = default();
    assert_eq!(machine.handle(Input::Kick, now, 0), Action::Nothing);
    machine.handle(failed(Reason::Refused), now, u32::MAX);
    assert_eq!(machine.handle(Input::Kick, now, 0), Action::Connect);
    assert_eq!(machine.state(), &State::Connecting { attempt: 2 });
    machine.handle(failed(Reason::Refused), now, u32::MAX);
    assert_eq!(machine.handle(Input::Kick, now + SECOND / 2, 0), Action::Nothing);
    assert_eq!(machine.handle(Input::Kick, now + SECOND, 0), Action::Connect);
}

#[test]
fn a_closed_session_ends_the_listener_and_a_stalled_log_does_not() {
    let (mut machine, now) = default();
    machine.handle(Input::Opened, now, 0);
    assert_eq!(machine.handle(Input::Ended(Reason::LogStalled), now, 0), Action::Wait);
    let (mut machine, now) = default();
    machine.handle(Input::Opened, now, 0);
    assert_eq!(machine.handle(Input::Ended(Reason::SessionClosed), now, 0), Action::End);
}

#[test]
fn cancel_ends_it_from_every_state_and_nothing_follows() {
    let ways: [&[Input]; 3] =
        [&[], &[Input::Opened, Input::Event], &[Input::Failed(Failure::from_refused())]];
    for way in ways {
        let (mut machine, now) = default();
        for input in way {
            machine.handle(*input, now, 0);
        }
        assert_eq!(machine.handle(Input::Cancel, now, 0), Action::End);
        assert_eq!(machine.state(), &State::Cancelled);
        assert_eq!(machine.deadline(), None);
        assert_eq!(machine.handle(Input::Kick, now + 60 * SECOND, 0), Action::End);
        assert_eq!(machine.state(), &State::Cancelled);
    }
}

impl Failure {
    const fn from_refused() -> Self {
        Self { reason: Reason::Refused, retry_after: None }
    }
}
