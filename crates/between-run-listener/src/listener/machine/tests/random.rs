//! Random walks under virtual time.

use super::*;

const STEPS: u32 = 100_000;

fn any_reason(rng: &mut fastrand::Rng) -> Reason {
    const ALL: [Reason; 16] = [
        Reason::Http(404),
        Reason::Http(500),
        Reason::Http(429),
        Reason::Refused,
        Reason::Reset,
        Reason::Unreachable,
        Reason::Dns,
        Reason::ConnectTimeout,
        Reason::HeaderTimeout,
        Reason::BadHttp,
        Reason::TlsBroken,
        Reason::Ended,
        Reason::Idle,
        Reason::LogStalled,
        Reason::Io,
        Reason::Gone,
    ];
    // The permanent one is rare, so that walks are long.
    if rng.u32(..50) == 0 { Reason::Gone } else { ALL[rng.usize(..15)] }
}

fn any_input(rng: &mut fastrand::Rng) -> Input {
    match rng.u32(..100) {
        0..20 => Input::Opened,
        20..35 => Input::Failed(Failure {
            reason: any_reason(rng),
            retry_after: rng.bool().then(|| Duration::from_secs(rng.u64(..200))),
        }),
        35..50 => Input::Bytes { skipped: if rng.u32(..4) == 0 { rng.u64(..1 << 31) } else { 0 } },
        50..60 => Input::Event,
        60..68 => Input::Retry(Duration::from_millis(rng.u64(..))),
        68..75 => Input::Ended(any_reason(rng)),
        75..95 => Input::Timer,
        _ => Input::Kick,
    }
}

/// What a transition may be, whatever came.
fn assert_legal(before: &State, input: Input, after: &State, machine: &Machine, now: Instant) {
    let legal = match (before, after) {
        (a, b) if a == b => true,
        (State::Connecting { .. }, State::Streaming { since, progress: false }) => {
            input == Input::Opened && *since == now
        }
        (State::Connecting { .. }, State::Waiting { .. } | State::GaveUp(_)) => {
            matches!(input, Input::Failed(_))
        }
        (State::Streaming { since, .. }, State::Streaming { since: same, progress: true }) => {
            since == same && matches!(input, Input::Event | Input::Bytes { .. })
        }
        (State::Streaming { .. }, State::Waiting { .. } | State::GaveUp(_)) => {
            matches!(input, Input::Ended(_) | Input::Timer | Input::Bytes { .. })
        }
        (State::Waiting { until, .. }, State::Connecting { attempt }) => {
            *attempt == machine.failures() + 1
                && (input == Input::Kick || (input == Input::Timer && now >= *until))
        }
        _ => false,
    };
    assert!(legal, "{before:?} on {input:?} became {after:?}");
    if let (
        State::Connecting { .. } | State::Streaming { .. },
        State::Waiting { until, failures },
    ) = (before, after)
    {
        let wait = *until - now;
        assert!(wait >= Duration::from_millis(50), "a wait of {wait:?}");
        assert!(wait <= Duration::from_secs(75), "a wait of {wait:?}");
        assert_eq!(*failures, machine.failures());
    }
    assert!(machine.failures() <= Rules::default().failures);
    assert_eq!(
        machine.deadline().is_some(),
        matches!(after, State::Streaming { .. } | State::Waiting { .. })
    );
}

#[test]
fn random_inputs_lead_to_no_illegal_state_and_cancel_always_ends_it() {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    println!("seed {seed}");
    let mut now = Instant::now();
    let mut machine = Machine::new(Rules::default());
    for _ in 0..STEPS {
        now += Duration::from_millis(rng.u64(..5_000));
        if rng.u32(..500) == 0 {
            assert_eq!(machine.handle(Input::Cancel, now, rng.u32(..)), Action::End);
            assert!(machine.state().is_final());
        }
        if machine.state().is_final() {
            assert_eq!(machine.handle(any_input(&mut rng), now, 0), Action::End);
            machine = Machine::new(Rules::default());
        }
        let before = *machine.state();
        // Mostly what fits the state, so that walks go deep.
        let input = match before {
            State::Connecting { .. } if rng.u32(..3) > 0 => {
                if rng.bool() {
                    Input::Opened
                } else {
                    Input::Failed(any_reason(&mut rng).into())
                }
            }
            _ => any_input(&mut rng),
        };
        let action = machine.handle(input, now, rng.u32(..));
        assert_legal(&before, input, machine.state(), &machine, now);
        let expected = match (&before, machine.state()) {
            (_, State::GaveUp(_) | State::Cancelled) => Action::End,
            (State::Waiting { .. }, State::Connecting { .. }) => Action::Connect,
            (State::Connecting { .. } | State::Streaming { .. }, State::Waiting { .. }) => {
                Action::Wait
            }
            _ => Action::Nothing,
        };
        assert_eq!(action, expected, "{before:?} on {input:?} became {:?}", machine.state());
    }
}

#[test]
fn when_a_runner_restarts_a_thousand_listeners_come_back_spread_out() {
    let mut windows = [0_u32; 20];
    let mut rng = fastrand::Rng::with_seed(21);
    let now = Instant::now();
    for _ in 0..1000 {
        let mut machine = Machine::new(Rules::default());
        machine.handle(Input::Opened, now, 0);
        machine.handle(Input::Event, now, 0);
        machine.handle(Input::Ended(Reason::Reset), now, rng.u32(..));
        let wait = until(&machine) - now;
        windows[usize::try_from(wait.as_millis() / 50).expect("small")] += 1;
    }
    // Any window of 100 ms lies within three steps of 50 ms, and mostly within two.
    for pair in windows.windows(2) {
        assert!(pair.iter().sum::<u32>() <= 300, "{windows:?}");
    }
}
