//! Facts of what an end leaves to do.

use super::{Peer, Plan, Rest, plan};
use crate::end::End;
use crate::rule::Rule;
use crate::verdict::{Cause, Detail, Vanished};

#[test]
fn what_a_client_ends_is_mirrored_for_a_browser() {
    let details = [
        Detail::Closed { code: None },
        Detail::Vanished(Vanished::Eof),
        Detail::Vanished(Vanished::TimedOut),
        Detail::ProtocolError { rule: Rule::LengthTopBit },
        Detail::MessageTooLarge { limit: 1 },
        Detail::WriteStalled,
    ];
    for left_bytes in [false, true] {
        for detail in details {
            let end = |cause| End { left_bytes, ..End::new(cause, detail) };
            let Plan { up, down, client, browser } = plan(&end(Cause::Client));
            let mirrored = Plan { up: down, down: up, client: browser, browser: client };
            assert_eq!(plan(&end(Cause::Upstream)), mirrored, "{detail:?}");
            assert_eq!(browser, Peer::Open);
        }
    }
}

#[test]
fn a_client_that_closed_is_answered_and_its_bytes_are_delivered() {
    let plan = plan(&End::new(Cause::Client, Detail::Closed { code: Some(1000) }));
    assert_eq!((plan.up, plan.down, plan.client), (Rest::Received, Rest::Frame, Peer::Closed));
}

#[test]
fn nothing_is_written_to_a_peer_that_vanished_or_stalls() {
    let vanished = plan(&End::new(Cause::Upstream, Detail::Vanished(Vanished::Reset)));
    assert_eq!((vanished.up, vanished.browser), (Rest::Nothing, Peer::Gone));
    let stalled = plan(&End::new(Cause::Upstream, Detail::WriteStalled));
    assert_eq!((stalled.up, stalled.down), (Rest::Nothing, Rest::Frame));
    let end = End::new(Cause::Upstream, Detail::Vanished(Vanished::Reset));
    let failed = plan(&End { left_bytes: true, ..end });
    assert_eq!((failed.down, failed.browser), (Rest::LeftBytes, Peer::Left));
}

#[test]
fn a_gentle_stop_finishes_messages_and_a_hard_one_cuts() {
    for cause in [Cause::Context, Cause::Upstream] {
        let end = |gently| End { gently, ..End::new(cause, Detail::Stopped { by: "drain" }) };
        for (gently, rest) in [(true, Rest::Message), (false, Rest::Cut)] {
            let plan = plan(&end(gently));
            assert_eq!((plan.up, plan.down), (rest, rest));
            assert_eq!((plan.client, plan.browser), (Peer::Open, Peer::Open));
        }
    }
}
