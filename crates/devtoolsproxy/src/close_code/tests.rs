use std::time::{Duration, Instant};

use proptest::prelude::*;
use upstream::{Ended, Phase, UpstreamState, WsUrl};

use super::*;
use crate::facts::Waits;
use crate::verdict::tests::any_end;

const DIALLED: u64 = 2;
const LOST: End = End::Upstream(UpstreamEnd::Lost);

fn state(generation: u64, phase: Phase, cause: Option<Cause>) -> UpstreamState {
    let url =
        (phase == Phase::Ready).then(|| WsUrl::from_parts("127.0.0.1", 9222, "guid").unwrap());
    let at = Instant::now();
    let last_end = cause.map(|cause| Ended { generation: DIALLED, cause, at });
    UpstreamState { generation, url, phase, last_end }
}

fn down(cause: Cause) -> UpstreamState {
    state(DIALLED, Phase::Down { since: Instant::now(), cause }, Some(cause))
}

fn facts<'a>(end: &'a End, state: &'a UpstreamState) -> Facts<'a> {
    let now = Instant::now();
    Facts {
        end,
        ended_at: now,
        dialled: DIALLED,
        state,
        restart_expected: false,
        stop: None,
        alive: Alive::NotAsked,
        waits: Waits::default(),
        now,
    }
}

fn frame(code: u16, text: &str) -> Option<ClientClose> {
    Some(ClientClose::Frame { code, text: text.to_owned() })
}

#[test]
fn a_client_that_ended_it_hears_its_own_code_or_its_fault() {
    let ready = state(DIALLED, Phase::Ready, None);
    for (end, want) in [
        (ClientEnd::Closed, Some(ClientClose::Echo)),
        (ClientEnd::Vanished, Some(ClientClose::Nothing)),
        (ClientEnd::ProtocolError { rule: "r", utf8: false }, frame(1002, "r")),
        (ClientEnd::ProtocolError { rule: "r", utf8: true }, frame(1007, "r")),
        (ClientEnd::MessageTooLarge { limit: 7 }, frame(1009, "client message over 7 bytes")),
        (ClientEnd::WriteStalled, frame(1008, "client too slow")),
    ] {
        let end = End::Client(end);
        // Also when we wanted to stop it anyway: what it did is on the wire already.
        for stop in [None, Some(ContextDetail::NodeDrain)] {
            assert_eq!(decide(&Facts { stop, ..facts(&end, &ready) }, false), want, "{end:?}");
        }
    }
}

#[test]
fn our_own_endings_say_which_they_are() {
    let ready = state(DIALLED, Phase::Ready, None);
    for (stop, code, text) in [
        (ContextDetail::NodeDrain, 1001, "node draining"),
        (ContextDetail::ForcedStop, 1001, "stopped"),
        (ContextDetail::SandboxDeleted, 1001, "sandbox deleted"),
        (ContextDetail::SandboxPaused, 1001, "sandbox paused"),
        (ContextDetail::TtlExpired, 1001, "sandbox expired"),
        (ContextDetail::AuthRevoked, 1008, "access revoked"),
    ] {
        for end in [LOST, End::Context(ContextEnd::Fault), End::Upstream(UpstreamEnd::Superseded)] {
            let facts = Facts { stop: Some(stop), ..facts(&end, &ready) };
            assert_eq!(decide(&facts, false), frame(code, text), "{stop:?} {end:?}");
        }
    }
    let idle = End::Context(ContextEnd::Idle);
    assert_eq!(decide(&facts(&idle, &ready), false), frame(1001, "idle"));
    let fault = End::Context(ContextEnd::Fault);
    assert_eq!(decide(&facts(&fault, &ready), false), frame(1011, "internal error"));
}

#[test]
fn a_browser_that_comes_back_means_connect_again() {
    let again = frame(1012, "browser restarting, reconnect");
    let crash = Cause::Signalled { signal: 11 };
    let newer = state(DIALLED + 1, Phase::Ready, Some(crash));
    assert_eq!(decide(&facts(&LOST, &newer), false), again);
    assert_eq!(decide(&facts(&LOST, &down(Cause::RestartRequested)), false), again);
    let superseded = End::Upstream(UpstreamEnd::Superseded);
    assert_eq!(decide(&facts(&superseded, &newer), false), again);
    for cause in [crash, Cause::UnknownExit] {
        let down = down(cause);
        let expected = Facts { restart_expected: true, ..facts(&LOST, &down) };
        assert_eq!(decide(&expected, false), again);
    }
    let starting = state(DIALLED + 1, Phase::Starting, Some(crash));
    assert_eq!(decide(&Facts { restart_expected: true, ..facts(&LOST, &starting) }, false), again);
    // The state never said so, but nobody answers and somebody will restart it.
    let ready = state(DIALLED, Phase::Ready, None);
    let mut dead = Facts { restart_expected: true, ..facts(&LOST, &ready) };
    dead.alive = Alive::No;
    assert_eq!(decide(&dead, false), None, "how it ends may still be heard of");
    dead.now += dead.waits.tell;
    assert_eq!(decide(&dead, false), again);
}

#[test]
fn a_browser_that_does_not_come_back_is_named_with_its_cause() {
    for (cause, text) in [
        (Cause::Exited { code: 1 }, "browser exited: code 1"),
        (Cause::Signalled { signal: 9 }, "browser killed: signal 9"),
        (Cause::OomKilled, "browser out of memory"),
        (Cause::UnknownExit, "browser connection lost"),
    ] {
        let gone = state(DIALLED, Phase::Gone { cause }, Some(cause));
        assert_eq!(decide(&facts(&LOST, &gone), true), frame(1011, text));
        assert_eq!(decide(&facts(&LOST, &down(cause)), false), frame(1011, text));
    }
    let unknown = down(Cause::UnknownExit);
    assert_eq!(decide(&facts(&LOST, &unknown), true), frame(1014, "browser connection lost"));
}

#[test]
fn while_the_state_says_ready_nothing_is_said_until_the_browser_was_asked() {
    let ready = state(DIALLED, Phase::Ready, None);
    assert_eq!(decide(&facts(&LOST, &ready), false), None);
    let bye = |code| End::Upstream(UpstreamEnd::Closed { code, text: "bye".to_owned() });
    for (end, seen, want) in [
        (LOST, TargetSeen::NotAPage, frame(1011, "browser connection lost")),
        (LOST, TargetSeen::Listed, frame(1011, "browser connection lost")),
        (LOST, TargetSeen::NotKnown, frame(1011, "browser connection lost")),
        (LOST, TargetSeen::Unlisted, frame(1000, "target closed")),
        (bye(Some(4001)), TargetSeen::NotAPage, frame(4001, "bye")),
        (bye(Some(4001)), TargetSeen::Unlisted, frame(4001, "bye")),
        (bye(None), TargetSeen::NotAPage, Some(ClientClose::Empty)),
    ] {
        let facts = Facts { alive: Alive::Same(seen), ..facts(&end, &ready) };
        assert_eq!(decide(&facts, false), want, "{end:?} {seen:?}");
    }
}

#[test]
fn faults_of_a_living_browser_are_named() {
    let ready = state(DIALLED, Phase::Ready, None);
    for (end, want) in [
        (
            UpstreamEnd::ProtocolError { rule: "masked" },
            frame(1011, "browser broke the protocol: masked"),
        ),
        (UpstreamEnd::WriteStalled, frame(1011, "browser does not read")),
        (UpstreamEnd::MessageTooLarge { limit: 8 }, frame(1009, "browser message over 8 bytes")),
    ] {
        let end = End::Upstream(end);
        assert_eq!(decide(&facts(&end, &ready), false), want);
    }
}

proptest! {
    #[test]
    fn every_frame_is_one_that_may_be_sent(end in any_end(), down_now: bool, use_1014: bool) {
        let state = match down_now {
            true => down(Cause::UnknownExit),
            false => state(DIALLED, Phase::Ready, None),
        };
        let facts = Facts { alive: Alive::No, ..facts(&end, &state) };
        let late = Facts { now: facts.ended_at + Duration::from_secs(10), ..facts };
        if let Some(ClientClose::Frame { code, text }) = decide(&late, use_1014) {
            prop_assert!((1000..=1014).contains(&code) && ![1004, 1005, 1006].contains(&code));
            prop_assert!(text.len() <= 123);
        }
    }
}
