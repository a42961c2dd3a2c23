use std::time::{Instant, SystemTime};

use wsproxy::{
    Cause as Side, CloseCode, CloseFrame, CloseSent, Detail, DirectionReport, FirstClose as First,
    Moment, Vanished,
};

use super::*;
use crate::verdict::Verdict;

fn terminal(cause: Side, detail: Detail) -> Terminal {
    let close =
        matches!(detail, Detail::Closed { .. }).then(|| CloseFrame::new(CloseCode::NORMAL, "bye"));
    let (at, wall) = (Instant::now(), SystemTime::now());
    Terminal { cause, detail, at, wall, mid_frame: false, close }
}

const DETAILS: [Detail; 8] = [
    Detail::Closed { code: Some(1000) },
    Detail::Vanished(Vanished::Eof),
    Detail::ProtocolError { rule: Rule::ReservedBits },
    Detail::MessageTooLarge { limit: 7 },
    Detail::WriteStalled,
    Detail::Stopped { by: "somebody" },
    Detail::Idle,
    Detail::Panicked,
];

#[test]
fn every_end_of_a_relay_is_judged_on_its_own_side() {
    use ClientEnd as C;
    use UpstreamEnd as U;
    let rule = "reserved_bits";
    let fault = End::Context(ContextEnd::Fault);
    let client = [
        End::Client(C::Closed),
        End::Client(C::Vanished),
        End::Client(C::ProtocolError { rule, utf8: false }),
        End::Client(C::MessageTooLarge { limit: 7 }),
        End::Client(C::WriteStalled),
        fault.clone(),
        fault.clone(),
        fault.clone(),
    ];
    let upstream = [
        End::Upstream(U::Closed { code: Some(1000), text: "bye".to_owned() }),
        End::Upstream(U::Lost),
        End::Upstream(U::ProtocolError { rule }),
        End::Upstream(U::MessageTooLarge { limit: 7 }),
        End::Upstream(U::WriteStalled),
        End::Upstream(U::Superseded),
        fault.clone(),
        fault.clone(),
    ];
    for (at, detail) in DETAILS.into_iter().enumerate() {
        assert_eq!(end_of(&terminal(Side::Client, detail)), client[at], "client {detail:?}");
        assert_eq!(end_of(&terminal(Side::Upstream, detail)), upstream[at], "browser {detail:?}");
        let idle = End::Context(ContextEnd::Idle);
        let own = if detail == Detail::Idle { &idle } else { &fault };
        assert_eq!(end_of(&terminal(Side::Context, detail)), *own, "context {detail:?}");
    }
    let text = terminal(Side::Client, Detail::ProtocolError { rule: Rule::CloseText });
    let utf8 = End::Client(C::ProtocolError { rule: "close_text", utf8: true });
    assert_eq!(end_of(&text), utf8);
}

fn relay(cause: Side, detail: Detail) -> RelayReport {
    let moment = Moment { at: Instant::now(), wall: SystemTime::now() };
    let direction = |messages, bytes| DirectionReport { messages, bytes, ..Default::default() };
    RelayReport {
        cause,
        detail,
        mid_frame: false,
        first_close: None,
        client_close_sent: CloseSent::No,
        browser_close_sent: CloseSent::No,
        started_at: moment,
        ended_at: moment,
        teardown: Duration::from_millis(3),
        to_browser: direction(2, 20),
        to_client: direction(3, 30),
        pings_answered: 0,
        pongs_dropped: 0,
        joined: 0,
        spilled: 0,
        discarded_after_end: 0,
        client_mid_frame: true,
        quiet: None,
    }
}

fn event(relay: &RelayReport) -> CdpDisconnect {
    let judged = Judged {
        verdict: Verdict::upstream(telemetry::words::Detail::BrowserCrashed),
        at: Instant::now(),
        cause: Some(Cause::Signalled { signal: 9 }),
        newer: Some(5),
    };
    let timing = Timing {
        duration: Duration::from_secs(60),
        resolve: Duration::from_micros(1500),
        teardown: relay.teardown,
    };
    disconnect(&"c1".into(), 4, timing, relay, &judged)
}

#[test]
fn the_event_carries_the_report_and_the_verdict_unchanged() {
    let event = event(&relay(Side::Upstream, Detail::Vanished(Vanished::Reset)));
    assert_eq!((event.connection_id.as_str(), event.generation), ("c1", 4));
    assert_eq!((event.new_generation, event.upstream_cause), (Some(5), Some(Exit::signalled(9))));
    assert_eq!(event.ended_by, EndedBy::Upstream);
    assert_eq!(event.message_count, 5);
    assert_eq!((event.messages_to_browser, event.messages_to_client), (2, 3));
    assert_eq!((event.bytes_to_browser, event.bytes_to_client), (20, 30));
    assert_eq!(event.duration_ms, Duration::from_secs(60).into());
    assert_eq!(event.resolve_ms, Duration::from_micros(1500).into());
    assert!(event.mid_frame && event.close_code.is_none() && event.first_close.is_none());
}

#[test]
fn the_code_is_the_clients_own_if_it_closed_first_and_else_ours() {
    let mut relay = relay(Side::Client, Detail::Closed { code: Some(4000) });
    relay.client_close_sent = CloseSent::Code(4000);
    let first = |by, code| Some(First { by, code, text: "".into() });
    for (first_close, want) in [
        (first(Party::Client, Some(4321)), Some(4321)),
        (first(Party::Client, None), None),
        (first(Party::Browser, Some(4001)), Some(4000)),
        (first(Party::Proxy, None), Some(4000)),
        (None, Some(4000)),
    ] {
        relay.first_close = first_close;
        assert_eq!(event(&relay).close_code, want);
    }
}

#[test]
fn a_broken_rule_or_limit_is_named() {
    for (detail, want) in [
        (Detail::ProtocolError { rule: Rule::CloseCode }, Some("close_code")),
        (Detail::MessageTooLarge { limit: 9 }, Some("limit 9 bytes")),
        (Detail::WriteStalled, None),
    ] {
        let event = event(&relay(Side::Client, detail));
        assert_eq!(event.error.as_ref().map(|text| text.as_str()), want);
    }
}

#[test]
fn every_cause_has_its_exit() {
    for (cause, want) in [
        (Cause::Exited { code: 3 }, Exit::exited(3)),
        (Cause::Signalled { signal: 6 }, Exit::signalled(6)),
        (Cause::OomKilled, Exit::of(ExitKind::OomKilled)),
        (Cause::RestartRequested, Exit::of(ExitKind::RestartRequested)),
        (Cause::StartTimeout, Exit::of(ExitKind::StartTimeout)),
        (Cause::UnknownExit, Exit::of(ExitKind::UnknownExit)),
    ] {
        assert_eq!(exit(cause), want);
    }
}
