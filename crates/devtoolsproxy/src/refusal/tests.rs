use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use telemetry::words::Reason;

use super::*;

const ID: &str = "c0123456789abcdef";

type Expected = (Refusal, u16, Option<(HeaderName, &'static str)>);

fn all() -> Vec<Expected> {
    let quick = Refusal::Quick;
    let unreachable = Refusal::Unreachable;
    let stopped = Refusal::Stopped;
    vec![
        (Refusal::Denied(Denied::BadHost("no Host".into())), 400, None),
        (Refusal::Denied(Denied::Token("t".into())), 401, Some((WWW_AUTHENTICATE, "Bearer"))),
        (Refusal::Denied(Denied::Forbidden("o".into())), 403, None),
        (Refusal::BadHandshake(HandshakeRefused::Key), 400, None),
        (Refusal::BadHandshake(HandshakeRefused::NotAnUpgrade), 426, Some((UPGRADE, "websocket"))),
        (Refusal::NoSuchPath, 404, None),
        (Refusal::Lookup(LookupError::Unknown), 404, None),
        (Refusal::Lookup(LookupError::Stopped { why: "ttl".into() }), 410, None),
        (paused(None), 409, None),
        (paused(Some(Duration::from_secs(5))), 503, Some((RETRY_AFTER, "5"))),
        (Refusal::Route(RouteRefused::Target), 404, None),
        (Refusal::Route(RouteRefused::Method { allow: "PUT" }), 405, Some((ALLOW, "PUT"))),
        (Refusal::Route(RouteRefused::UpgradeMissing), 426, Some((UPGRADE, "websocket"))),
        (Refusal::SandboxFull(256), 429, Some((RETRY_AFTER, "1"))),
        (Refusal::ProcessFull(4096), 429, Some((RETRY_AFTER, "1"))),
        (Refusal::Draining, 503, Some((RETRY_AFTER, "5"))),
        (stopped(ContextDetail::NodeDrain), 503, Some((RETRY_AFTER, "5"))),
        (stopped(ContextDetail::ForcedStop), 503, Some((RETRY_AFTER, "5"))),
        (stopped(ContextDetail::SandboxDeleted), 410, None),
        (stopped(ContextDetail::TtlExpired), 410, None),
        (unreachable(Unreachable::NotReady), 503, Some((RETRY_AFTER, "2"))),
        (unreachable(Unreachable::Refused), 502, Some((RETRY_AFTER, "1"))),
        (unreachable(Unreachable::Gone), 502, None),
        (unreachable(Unreachable::TimedOut), 504, Some((RETRY_AFTER, "1"))),
        (unreachable(Unreachable::NoSuchTarget), 404, None),
        (quick(QuickRefused::BadOptions("unknown option: ttll".into())), 400, None),
        (quick(QuickRefused::Draining), 503, Some((RETRY_AFTER, "5"))),
        (
            quick(QuickRefused::NoCapacity { retry_after: Some(Duration::from_millis(2500)) }),
            429,
            Some((RETRY_AFTER, "3")),
        ),
        (quick(QuickRefused::Busy { retry_after: None }), 429, Some((RETRY_AFTER, "1"))),
        (quick(QuickRefused::Failed("browser exited".into())), 502, Some((RETRY_AFTER, "1"))),
        (quick(QuickRefused::TimedOut), 504, Some((RETRY_AFTER, "1"))),
        (Refusal::BadAnswer("not JSON"), 502, Some((RETRY_AFTER, "1"))),
        (Refusal::NoAnswer, 504, Some((RETRY_AFTER, "1"))),
    ]
}

fn paused(retry_after: Option<Duration>) -> Refusal {
    Refusal::Lookup(LookupError::Paused { why: "the node is full".into(), retry_after })
}

/// Every refusal, those that follow from a stop included.
pub(crate) fn all_refusals() -> Vec<Refusal> {
    let listed = all().into_iter().map(|(refusal, _, _)| refusal);
    listed.chain(ContextDetail::ALL.iter().copied().map(Refusal::Stopped)).collect()
}

#[test]
fn every_refusal_has_its_status_and_header() {
    for (refusal, status, header) in all() {
        let response = refusal.response::<String>(ID);
        assert_eq!(response.status(), StatusCode::from_u16(status).unwrap(), "{refusal:?}");
        for name in [ALLOW, UPGRADE, RETRY_AFTER, WWW_AUTHENTICATE] {
            let want = header.as_ref().filter(|(wanted, _)| *wanted == name).map(|(_, v)| *v);
            let got = response.headers().get(&name).map(|value| value.to_str().unwrap());
            assert_eq!(got, want, "{refusal:?} {name}");
        }
    }
}

#[test]
fn every_body_is_one_short_line_with_the_connection_id() {
    let long =
        Refusal::Quick(QuickRefused::Failed(format!("é\r\nSet-Cookie: x{}", "ü".repeat(300))));
    for refusal in all().into_iter().map(|(refusal, _, _)| refusal).chain([long]) {
        let response = refusal.response::<String>(ID);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
        let body = response.body();
        assert!(body.len() <= 200, "{body}");
        assert!(body.ends_with(&format!(" [{ID}]\n")), "{body}");
        assert_eq!(body.lines().count(), 1, "{body}");
        assert!(!body.trim_end().chars().any(char::is_control), "{body}");
    }
}

#[test]
fn only_what_was_a_session_in_the_making_becomes_an_event() {
    for (refusal, status, _) in all() {
        let event = refusal.verdict();
        match status {
            400 | 401 | 403 | 405 | 426 => assert_eq!(event, None, "{refusal:?}"),
            429 => assert_eq!(event.map(|v| v.detail), Some(Detail::OverLimit), "{refusal:?}"),
            _ => {}
        }
    }
    let pair = |refusal: Refusal| refusal.verdict().map(|v| (v.reason, v.detail));
    for why in
        [Unreachable::NotReady, Unreachable::Refused, Unreachable::TimedOut, Unreachable::Gone]
    {
        let want = Some((Reason::UpstreamError, Detail::BrowserUnreachable));
        assert_eq!(pair(Refusal::Unreachable(why)), want);
    }
    assert_eq!(pair(Refusal::Draining), Some((Reason::ContextCancelled, Detail::NodeDrain)));
    assert_eq!(
        pair(Refusal::Stopped(ContextDetail::ForcedStop)),
        Some((Reason::ContextCancelled, Detail::ForcedStop))
    );
}
