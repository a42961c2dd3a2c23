//! Facts of verdicts.

use super::{Cause, Detail, Terminal, Vanished};
use crate::close::{CloseCode, CloseFrame};
use crate::rule::Rule;
use std::io;
use std::time::{Instant, SystemTime};

fn terminal(cause: Cause, detail: Detail) -> Terminal {
    let close = match detail {
        Detail::Closed { code: Some(code) } => {
            Some(CloseFrame::new(CloseCode::try_from(code).unwrap(), "text"))
        }
        Detail::Closed { code: None } => Some(CloseFrame::empty()),
        _ => None,
    };
    let (at, wall) = (Instant::now(), SystemTime::now());
    Terminal { cause, detail, at, wall, mid_frame: false, close }
}

#[test]
fn errors_of_streams_are_read_as_ways_to_vanish() {
    for (kind, how) in [
        (io::ErrorKind::ConnectionReset, Vanished::Reset),
        (io::ErrorKind::BrokenPipe, Vanished::Reset),
        (io::ErrorKind::ConnectionAborted, Vanished::Reset),
        (io::ErrorKind::WriteZero, Vanished::Reset),
        (io::ErrorKind::TimedOut, Vanished::TimedOut),
        (io::ErrorKind::HostUnreachable, Vanished::TimedOut),
        (io::ErrorKind::InvalidData, Vanished::Tls),
        (io::ErrorKind::UnexpectedEof, Vanished::Eof),
    ] {
        assert_eq!(Vanished::from_error(&kind.into()), how, "{kind}");
    }
}

#[test]
fn each_end_suggests_a_close_for_the_client() {
    let cases = [
        (Cause::Client, Detail::Closed { code: Some(4000) }, Some((4000, ""))),
        (Cause::Upstream, Detail::Closed { code: Some(4001) }, Some((4001, "text"))),
        (Cause::Client, Detail::Vanished(Vanished::Eof), None),
        (
            Cause::Upstream,
            Detail::Vanished(Vanished::Eof),
            Some((1011, "upstream connection lost")),
        ),
        (
            Cause::Client,
            Detail::ProtocolError { rule: Rule::ReservedBits },
            Some((1002, "reserved_bits")),
        ),
        (
            Cause::Client,
            Detail::ProtocolError { rule: Rule::CloseText },
            Some((1007, "close_text")),
        ),
        (
            Cause::Upstream,
            Detail::ProtocolError { rule: Rule::CloseText },
            Some((1011, "upstream protocol error")),
        ),
        (
            Cause::Client,
            Detail::MessageTooLarge { limit: 5 },
            Some((1009, "client message over 5 bytes")),
        ),
        (
            Cause::Upstream,
            Detail::MessageTooLarge { limit: 6 },
            Some((1009, "upstream message over 6 bytes")),
        ),
        (Cause::Client, Detail::WriteStalled, Some((1008, "client too slow"))),
        (Cause::Upstream, Detail::WriteStalled, Some((1011, "upstream does not read"))),
        (Cause::Upstream, Detail::Stopped { by: "newer" }, Some((1012, "reconnect"))),
        (Cause::Context, Detail::Stopped { by: "drain" }, Some((1001, "stopped"))),
        (Cause::Context, Detail::Idle, Some((1001, "idle"))),
        (Cause::Context, Detail::Panicked, Some((1011, "internal error"))),
    ];
    for (cause, detail, expected) in cases {
        let close = terminal(cause, detail).suggested_client_close();
        let said = close.as_ref().map(|close| (close.code().unwrap().get(), close.text()));
        assert_eq!(said, expected, "{cause:?} {detail:?}");
    }
    let empty = terminal(Cause::Client, Detail::Closed { code: None });
    assert_eq!(empty.suggested_client_close(), Some(CloseFrame::empty()));
}

#[test]
fn the_browser_gets_the_client_s_close_its_own_code_back_or_a_reason_to_leave() {
    let code = |cause, detail| {
        let close = terminal(cause, detail).browser_close();
        close.map(|close| (close.code().map(CloseCode::get), close.text().to_owned()))
    };
    let some = |code, text: &str| Some((Some(code), text.to_owned()));
    assert_eq!(code(Cause::Client, Detail::Closed { code: Some(4000) }), some(4000, "text"));
    assert_eq!(code(Cause::Client, Detail::Closed { code: None }), Some((None, String::new())));
    assert_eq!(code(Cause::Upstream, Detail::Closed { code: Some(4001) }), some(4001, ""));
    assert_eq!(code(Cause::Upstream, Detail::Vanished(Vanished::Reset)), None);
    assert_eq!(code(Cause::Upstream, Detail::WriteStalled), None);
    assert_eq!(code(Cause::Client, Detail::Vanished(Vanished::Eof)), some(1001, ""));
    assert_eq!(code(Cause::Client, Detail::WriteStalled), some(1001, ""));
    assert_eq!(code(Cause::Context, Detail::Stopped { by: "drain" }), some(1001, ""));
    let rule = Rule::MaskedServerFrame;
    let broken = code(Cause::Upstream, Detail::ProtocolError { rule });
    assert_eq!(broken, some(1002, "masked_server_frame"));
    let large = code(Cause::Upstream, Detail::MessageTooLarge { limit: 1 });
    assert_eq!(large.unwrap().0, Some(1009));
}
