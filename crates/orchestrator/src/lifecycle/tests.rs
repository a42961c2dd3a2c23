use proptest::prelude::*;
use telemetry::words::StopReason as R;

use super::*;

fn text() -> String {
    "why".to_owned()
}

/// Every event once, with a recognisable reason where it carries one.
fn events() -> Vec<Event> {
    vec![
        Event::SlotGranted,
        Event::QueueDeadline,
        Event::Abandoned,
        Event::Ready,
        Event::StartFailed { detail: text() },
        Event::StartDeadline { detail: text() },
        Event::BrowserGone(Stop::new(R::BrowserCrashed, text())),
        Event::BrowserRelaunching,
        Event::Oom { detail: text() },
        Event::RunnerExited { detail: text() },
        Event::RunFinished { detail: text() },
        Event::Delete { detail: text() },
        Event::Ttl { detail: text() },
        Event::Idle { detail: text() },
        Event::PausedTtl { detail: text() },
        Event::Force(Stop::new(R::ForceStop, text())),
        Event::Pause,
        Event::Checkpoint,
        Event::ClosingBrowser,
        Event::SaveRefused,
        Event::Saved,
        Event::SaveFailedRestored { detail: text() },
        Event::SaveFailedGone { detail: text() },
        Event::Resume,
        Event::ResumeFailed,
        Event::CleanupEnded,
    ]
}

fn states() -> Vec<State> {
    vec![
        State::Requested,
        State::Starting,
        State::Running,
        State::Pausing { closed: false },
        State::Pausing { closed: true },
        State::Checkpointing { closed: false },
        State::Checkpointing { closed: true },
        State::Paused { save_pending: false },
        State::Paused { save_pending: true },
        State::Resuming { queued: true },
        State::Resuming { queued: false },
        State::Stopping(Stop::new(R::Ttl, "first")),
        State::Stopped(Stop::new(R::Ttl, "first")),
    ]
}

/// Short form: `stopping(request)`, `pausing!` once closed, `resuming*` while it waits for a slot.
fn show(state: &State) -> String {
    match state {
        State::Stopping(stop) => format!("stopping({})", stop.reason.as_str()),
        State::Stopped(stop) => format!("stopped({})", stop.reason.as_str()),
        State::Pausing { closed: true } | State::Checkpointing { closed: true } => {
            format!("{}!", state.word().as_str())
        }
        State::Paused { save_pending: true } => "paused*".to_owned(),
        State::Resuming { queued: true } => "resuming*".to_owned(),
        other => other.word().as_str().to_owned(),
    }
}

fn event_name(event: &Event) -> String {
    format!("{event:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn the_table_of_transitions() {
    let mut lines = Vec::new();
    for state in states() {
        for event in events() {
            if let Step::To(next) = state.step(&event) {
                lines.push(format!("{} {} {}", show(&state), event_name(&event), show(&next)));
            }
        }
    }
    let wanted = include_str!("table.txt");
    let wanted: Vec<_> = wanted.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    assert_eq!(lines, wanted);
}

#[test]
fn what_has_ended_never_changes() {
    let stopped = State::Stopped(Stop::new(R::Request, "alice"));
    for event in events() {
        assert_eq!(stopped.step(&event), Step::Ignored, "{event:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever happens, in whatever order: once it is ending it ends, with the reason that came
    /// first, and only the end of its cleanup ends it.
    #[test]
    fn the_first_reason_stays_and_the_end_is_final(picks in prop::collection::vec(0_usize..26, 0..60)) {
        let all = events();
        let mut state = State::Requested;
        let mut first: Option<Stop> = None;
        for pick in picks {
            let event = &all[pick];
            let Step::To(next) = state.step(event) else { continue };
            if let State::Stopping(_) = state {
                prop_assert_eq!(event, &Event::CleanupEnded);
            }
            if let (State::Stopped(_), false) = (&next, matches!(state, State::Requested)) {
                prop_assert!(matches!(state, State::Stopping(_)), "{:?} ended without a stop", state);
            }
            prop_assert!(!matches!(state, State::Stopped(_)));
            if let Some(stop) = next.stop() {
                prop_assert_eq!(first.get_or_insert_with(|| stop.clone()), stop);
            } else {
                prop_assert!(first.is_none(), "{:?} came back", next);
            }
            state = next;
        }
    }

    /// Parked and saved is only what was saved after a close; a forced stop may leave it pending.
    #[test]
    fn nothing_is_paused_without_a_save(picks in prop::collection::vec(0_usize..26, 0..80)) {
        let all = events();
        let mut state = State::Running;
        for pick in picks {
            let event = &all[pick];
            let Step::To(next) = state.step(event) else { continue };
            if let State::Paused { save_pending } = next {
                match &state {
                    State::Pausing { closed } | State::Checkpointing { closed } => {
                        prop_assert!(*closed);
                        prop_assert_eq!(save_pending, *event != Event::Saved);
                    }
                    State::Paused { .. } => {
                        prop_assert_eq!(event, &Event::Saved);
                    }
                    // A profile that is started from was saved, or is saved by that.
                    State::Resuming { .. } => prop_assert!(!save_pending),
                    other => prop_assert!(false, "paused from {:?}", other),
                }
            }
            state = next;
        }
    }
}
