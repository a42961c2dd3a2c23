use std::time::Duration;

use proptest::prelude::*;
use upstream::{Ended, Phase, UpstreamState, WsUrl};

use super::*;
use crate::close_code;
use crate::facts::Waits;

const SECOND: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_millis(250);
const DIALLED: u64 = 7;

const LOST: End = End::Upstream(UpstreamEnd::Lost);
const CRASH: Cause = Cause::Signalled { signal: 9 };

fn closed() -> End {
    End::Upstream(UpstreamEnd::Closed { code: Some(4001), text: "bye".to_owned() })
}

fn state(
    generation: u64,
    phase: Phase,
    last_end: Option<(u64, Cause)>,
    at: Instant,
) -> UpstreamState {
    let url =
        (phase == Phase::Ready).then(|| WsUrl::from_parts("127.0.0.1", 9222, "guid").unwrap());
    let last_end = last_end.map(|(generation, cause)| Ended { generation, cause, at });
    UpstreamState { generation, url, phase, last_end }
}

fn facts<'a>(end: &'a End, state: &'a UpstreamState, ended_at: Instant) -> Facts<'a> {
    Facts {
        end,
        ended_at,
        dialled: DIALLED,
        state,
        restart_expected: true,
        stop: None,
        alive: Alive::NotAsked,
        waits: Waits::default(),
        now: ended_at,
    }
}

fn given(decision: Decision) -> (Reason, Detail) {
    match decision {
        Decision::Given(verdict) => (verdict.reason, verdict.detail),
        other => panic!("no verdict yet: {other:?}"),
    }
}

#[test]
fn a_stop_token_dominates_every_end() {
    let t0 = Instant::now();
    let gone = state(DIALLED, Phase::Gone { cause: CRASH }, None, t0);
    for end in [LOST, closed(), End::Client(ClientEnd::Closed), End::Context(ContextEnd::Fault)] {
        let facts = Facts { stop: Some(ContextDetail::SandboxDeleted), ..facts(&end, &gone, t0) };
        let want = (Reason::ContextCancelled, Detail::SandboxDeleted);
        assert_eq!(given(resolve(&facts)), want, "{end:?}");
    }
}

#[test]
fn ends_that_need_no_knowledge_of_the_browser_are_decided_at_once() {
    let t0 = Instant::now();
    let newer = state(DIALLED + 1, Phase::Ready, Some((DIALLED, CRASH)), t0);
    let rule = "masked";
    for (end, want) in [
        (End::Context(ContextEnd::Idle), (Reason::ContextCancelled, Detail::IdleTimeout)),
        (End::Context(ContextEnd::Fault), (Reason::ContextCancelled, Detail::InternalError)),
        (End::Client(ClientEnd::Closed), (Reason::ClientClose, Detail::ClientClosed)),
        (End::Client(ClientEnd::Vanished), (Reason::ClientClose, Detail::ClientVanished)),
        (
            End::Client(ClientEnd::ProtocolError { rule, utf8: false }),
            (Reason::ClientClose, Detail::ClientProtocolError),
        ),
        (
            End::Client(ClientEnd::MessageTooLarge { limit: 9 }),
            (Reason::ClientClose, Detail::MessageTooLarge),
        ),
        (End::Client(ClientEnd::WriteStalled), (Reason::ClientClose, Detail::WriteStalled)),
        (End::Upstream(UpstreamEnd::Superseded), (Reason::UpstreamChanged, Detail::Superseded)),
        (
            End::Upstream(UpstreamEnd::ProtocolError { rule }),
            (Reason::UpstreamError, Detail::UpstreamProtocolError),
        ),
        (
            End::Upstream(UpstreamEnd::MessageTooLarge { limit: 9 }),
            (Reason::UpstreamError, Detail::MessageTooLarge),
        ),
        (End::Upstream(UpstreamEnd::WriteStalled), (Reason::UpstreamError, Detail::WriteStalled)),
    ] {
        assert_eq!(given(resolve(&facts(&end, &newer, t0))), want, "{end:?}");
    }
}

#[test]
fn a_newer_generation_is_a_change_with_the_cause_of_the_old_one() {
    let t0 = Instant::now();
    for (last_end, detail) in [
        (Some((DIALLED, CRASH)), Detail::BrowserCrashed),
        (Some((DIALLED, Cause::Exited { code: 1 })), Detail::BrowserCrashed),
        (Some((DIALLED, Cause::Exited { code: 143 })), Detail::BrowserCrashed),
        (Some((DIALLED, Cause::Exited { code: 0 })), Detail::BrowserClosed),
        (Some((DIALLED, Cause::OomKilled)), Detail::BrowserOomKilled),
        (Some((DIALLED, Cause::RestartRequested)), Detail::BrowserRestarted),
        (Some((DIALLED, Cause::UnknownExit)), Detail::BrowserRestarted),
        (Some((DIALLED + 1, CRASH)), Detail::BrowserRestarted),
        (None, Detail::BrowserRestarted),
    ] {
        let state = state(DIALLED + 2, Phase::Ready, last_end, t0);
        for end in [LOST, closed()] {
            let want = (Reason::UpstreamChanged, detail);
            assert_eq!(given(resolve(&facts(&end, &state, t0))), want, "{last_end:?}");
        }
    }
}

#[test]
fn a_restart_that_was_asked_for_needs_no_new_browser_to_be_known() {
    let t0 = Instant::now();
    let cause = Cause::RestartRequested;
    let end = Some((DIALLED, cause));
    for state in [
        state(DIALLED, Phase::Down { since: t0, cause }, end, t0),
        state(DIALLED, Phase::Down { since: t0, cause }, None, t0),
        state(DIALLED + 1, Phase::Starting, end, t0),
        state(DIALLED, Phase::Gone { cause }, end, t0),
    ] {
        let want = (Reason::UpstreamChanged, Detail::BrowserRestarted);
        assert_eq!(given(resolve(&facts(&LOST, &state, t0))), want, "{state:?}");
    }
}

#[test]
fn gone_is_an_error_at_once_with_its_cause() {
    let t0 = Instant::now();
    for (cause, detail) in [
        (CRASH, Detail::BrowserCrashed),
        (Cause::Exited { code: 0 }, Detail::BrowserClosed),
        (Cause::OomKilled, Detail::BrowserOomKilled),
        (Cause::StartTimeout, Detail::BrowserUnreachable),
        (Cause::UnknownExit, Detail::BrowserUnreachable),
    ] {
        let gone = state(DIALLED, Phase::Gone { cause }, Some((DIALLED, cause)), t0);
        let want = (Reason::UpstreamError, detail);
        assert_eq!(given(resolve(&facts(&LOST, &gone, t0))), want, "{cause:?}");
    }
    // The browser of this session crashed; that the next one never started is not its story.
    let later = Phase::Gone { cause: Cause::StartTimeout };
    let state = state(DIALLED + 1, later, Some((DIALLED, CRASH)), t0);
    let want = (Reason::UpstreamError, Detail::BrowserCrashed);
    assert_eq!(given(resolve(&facts(&LOST, &state, t0))), want);
}

#[test]
fn a_browser_that_still_counts_as_ready_is_asked_after_settling() {
    let t0 = Instant::now();
    let ready = state(DIALLED, Phase::Ready, None, t0);
    let facts = facts(&LOST, &ready, t0);
    assert_eq!(resolve(&facts), Decision::Wait { until: t0 + SETTLE });
    let settled = Facts { now: t0 + SETTLE, ..facts };
    assert_eq!(resolve(&settled), Decision::Ask);
    for (seen, detail) in [
        (TargetSeen::NotAPage, Detail::UpstreamVanished),
        (TargetSeen::Listed, Detail::UpstreamVanished),
        (TargetSeen::NotKnown, Detail::UpstreamVanished),
        (TargetSeen::Unlisted, Detail::TargetClosed),
    ] {
        let alive = Facts { alive: Alive::Same(seen), ..settled.clone() };
        assert_eq!(given(resolve(&alive)), (Reason::UpstreamError, detail), "{seen:?}");
        let end = closed();
        let alive = Facts { end: &end, ..alive };
        assert_eq!(given(resolve(&alive)), (Reason::UpstreamError, Detail::UpstreamClosed));
    }
    let dead = Facts { alive: Alive::No, ..settled };
    let tell = t0 + Waits::default().tell;
    assert_eq!(resolve(&dead), Decision::Wait { until: tell });
    let told = Facts { now: tell, ..dead.clone() };
    assert_eq!(resolve(&told), Decision::Wait { until: t0 + 10 * SECOND });
    let late = Facts { now: t0 + 10 * SECOND, ..dead };
    assert_eq!(given(resolve(&late)), (Reason::UpstreamError, Detail::BrowserUnreachable));
}

#[test]
fn down_waits_for_the_window_and_then_names_the_known_cause() {
    let t0 = Instant::now();
    for (phase, last_end, detail) in [
        (Phase::Down { since: t0, cause: CRASH }, Some((DIALLED, CRASH)), Detail::BrowserCrashed),
        (Phase::Down { since: t0, cause: CRASH }, None, Detail::BrowserCrashed),
        (
            Phase::Down { since: t0, cause: Cause::UnknownExit },
            Some((DIALLED, Cause::UnknownExit)),
            Detail::BrowserUnreachable,
        ),
        (Phase::Down { since: t0, cause: Cause::Exited { code: 0 } }, None, Detail::BrowserClosed),
        (Phase::Starting, None, Detail::BrowserUnreachable),
        (Phase::Starting, Some((DIALLED, Cause::OomKilled)), Detail::BrowserOomKilled),
    ] {
        let state = state(DIALLED, phase, last_end, t0);
        let early = Facts { now: t0 + 9 * SECOND, ..facts(&LOST, &state, t0) };
        assert_eq!(resolve(&early), Decision::Wait { until: t0 + 10 * SECOND }, "{phase:?}");
        let late = Facts { now: t0 + 10 * SECOND, ..early };
        assert_eq!(given(resolve(&late)), (Reason::UpstreamError, detail), "{phase:?}");
    }
}

#[test]
fn every_context_detail_is_a_pair_and_every_word_has_a_reason() {
    let pairs: Vec<_> = PAIRS
        .iter()
        .flat_map(|(reason, details)| details.iter().map(move |detail| (*reason, *detail)))
        .collect();
    for detail in ContextDetail::ALL {
        assert!(pairs.contains(&(Reason::ContextCancelled, (*detail).into())));
    }
    for detail in Detail::ALL {
        assert!(pairs.iter().any(|(_, listed)| listed == detail), "{detail}");
    }
    assert_eq!(
        PAIRS.iter().map(|(reason, _)| *reason).collect::<Vec<_>>().len(),
        Reason::ALL.len()
    );
}

pub(crate) fn any_cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        (0..3i32).prop_map(|code| Cause::Exited { code }),
        (1..16i32).prop_map(|signal| Cause::Signalled { signal }),
        Just(Cause::OomKilled),
        Just(Cause::RestartRequested),
        Just(Cause::StartTimeout),
        Just(Cause::UnknownExit),
    ]
}

pub(crate) fn any_end() -> impl Strategy<Value = End> {
    let client = prop_oneof![
        Just(ClientEnd::Closed),
        Just(ClientEnd::Vanished),
        any::<bool>().prop_map(|utf8| ClientEnd::ProtocolError { rule: "rule", utf8 }),
        any::<u64>().prop_map(|limit| ClientEnd::MessageTooLarge { limit }),
        Just(ClientEnd::WriteStalled),
    ];
    let upstream = prop_oneof![
        Just(UpstreamEnd::Superseded),
        prop::option::of(1000..5000u16)
            .prop_map(|code| UpstreamEnd::Closed { code, text: "t".to_owned() }),
        Just(UpstreamEnd::Lost),
        Just(UpstreamEnd::ProtocolError { rule: "rule" }),
        any::<u64>().prop_map(|limit| UpstreamEnd::MessageTooLarge { limit }),
        Just(UpstreamEnd::WriteStalled),
    ];
    let context = prop_oneof![Just(ContextEnd::Idle), Just(ContextEnd::Fault)];
    prop_oneof![
        client.prop_map(End::Client),
        upstream.prop_map(End::Upstream),
        context.prop_map(End::Context),
    ]
}

fn any_alive() -> impl Strategy<Value = Alive> {
    prop_oneof![
        Just(Alive::NotAsked),
        Just(Alive::No),
        Just(Alive::Same(TargetSeen::NotAPage)),
        Just(Alive::Same(TargetSeen::Listed)),
        Just(Alive::Same(TargetSeen::Unlisted)),
        Just(Alive::Same(TargetSeen::NotKnown)),
    ]
}

fn any_phase(at: Instant) -> impl Strategy<Value = Phase> {
    prop_oneof![
        Just(Phase::Starting),
        Just(Phase::Ready),
        any_cause().prop_map(move |cause| Phase::Down { since: at, cause }),
        any_cause().prop_map(|cause| Phase::Gone { cause }),
    ]
}

/// The eight rules once more, as independent conditions: which of them hold for these facts.
fn rules_that_hold(facts: &Facts<'_>) -> Vec<u8> {
    let state = facts.state;
    let lost = matches!(facts.end, End::Upstream(UpstreamEnd::Lost | UpstreamEnd::Closed { .. }));
    let own_end = state.last_end.filter(|end| end.generation == DIALLED).map(|end| end.cause);
    let own_phase = match state.phase {
        Phase::Down { cause, .. } | Phase::Gone { cause } if state.generation == DIALLED => {
            Some(cause)
        }
        _ => None,
    };
    let ready = state.phase == Phase::Ready;
    let late = facts.now >= facts.ended_at + facts.waits.confirm;
    let holds = [
        (1, facts.stop.is_some()),
        (2, !matches!(facts.end, End::Upstream(_))),
        (3, matches!(facts.end, End::Upstream(_)) && !lost),
        (4, lost && ready && state.generation > DIALLED),
        (5, lost && own_end.or(own_phase) == Some(Cause::RestartRequested)),
        (6, lost && matches!(state.phase, Phase::Gone { .. })),
        (7, lost && ready && matches!(facts.alive, Alive::Same(_))),
        (8, lost && late),
    ];
    holds.iter().filter(|(_, holds)| *holds).map(|(rule, _)| *rule).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// The first rule that holds decides; if none does, it is waited for, never beyond the window.
    #[test]
    fn every_combination_of_facts_gives_exactly_one_verdict_or_a_bounded_wait(
        end in any_end(),
        alive in any_alive(),
        generation in DIALLED - 1..DIALLED + 3,
        (phase, last_end) in (
            any_phase(Instant::now()),
            prop::option::of((DIALLED - 1..DIALLED + 3, any_cause())),
        ),
        stop in prop::option::of(prop::sample::select(vec![
            ContextDetail::SandboxDeleted, ContextDetail::NodeDrain, ContextDetail::ForcedStop,
            ContextDetail::TtlExpired, ContextDetail::AuthRevoked, ContextDetail::RequestCancelled,
        ])),
        restart_expected: bool,
        use_1014: bool,
        after in 0..12_000u64,
    ) {
        let t0 = Instant::now();
        let state = state(generation, phase, last_end, t0);
        let facts = Facts {
            end: &end, ended_at: t0, dialled: DIALLED, state: &state, restart_expected, stop, alive,
            waits: Waits::default(), now: t0 + Duration::from_millis(after),
        };
        let decision = resolve(&facts);
        prop_assert_eq!(resolve(&facts), decision);
        let rules = rules_that_hold(&facts);
        match (rules.first(), decision) {
            (None, Decision::Wait { until }) => {
                prop_assert!(until > facts.now && until <= t0 + 10 * SECOND);
            }
            (None, Decision::Ask) => {
                prop_assert!(phase == Phase::Ready && facts.now >= t0 + SETTLE);
            }
            (Some(rule), Decision::Given(verdict)) => {
                let reason = match (rule, &end) {
                    (1, _) | (2, End::Context(_)) => Reason::ContextCancelled,
                    (2, _) => Reason::ClientClose,
                    (4 | 5, _) | (3, End::Upstream(UpstreamEnd::Superseded)) => {
                        Reason::UpstreamChanged
                    }
                    _ => Reason::UpstreamError,
                };
                prop_assert_eq!(verdict.reason, reason, "rule {}", rule);
                let listed = PAIRS.iter().find(|(listed, _)| *listed == reason).map(|(_, d)| *d);
                prop_assert!(listed.is_some_and(|details| details.contains(&verdict.detail)));
                prop_assert!(
                    close_code::decide(&facts, use_1014).is_some(),
                    "a verdict without a close: {:?}", facts
                );
            }
            (rule, decision) => prop_assert!(false, "{rule:?} but {decision:?}"),
        }
    }
}
