//! What each side is told when one of them breaks a rule or a limit.

use super::rig::{play, rig, rig_with, since};
use crate::limits::Limits;
use crate::rule::Rule;
use crate::testing::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, close_payload, wire};
use crate::verdict::{Cause, Detail};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn each_broken_rule_of_a_client_is_told_to_it_and_the_browser_is_left() {
    let close = |payload: &[u8]| Frame::client(CLOSE, payload).bytes();
    let inside = wire(&[Frame::client(TEXT, "").unfinished(), Frame::client(TEXT, "")]);
    let mut top_bit = Frame::client(BINARY, vec![0; 65_536]).bytes();
    top_bit[2] = 0x80;
    for (bytes, rule, code) in [
        (vec![0xc1, 0x80, 0, 0, 0, 0], Rule::ReservedBits, 1002),
        (vec![0x83, 0x80, 0, 0, 0, 0], Rule::UnknownOpcode, 1002),
        (Frame::client(PING, "").unfinished().bytes(), Rule::FragmentedControl, 1002),
        (Frame::client(PONG, [0; 126]).bytes(), Rule::ControlTooLong, 1002),
        (Frame::client(CONTINUATION, "").bytes(), Rule::ContinuationOutsideMessage, 1002),
        (inside, Rule::MessageInsideMessage, 1002),
        (top_bit, Rule::LengthTopBit, 1002),
        (Frame::browser(TEXT, "x").bytes(), Rule::UnmaskedClientFrame, 1002),
        (close(&[3]), Rule::ClosePayload, 1002),
        (close(&close_payload(1006, "")), Rule::CloseCode, 1002),
        (close(&[3, 0xe8, 0xff]), Rule::CloseText, 1007),
    ] {
        let (relay, mut client, mut browser) = rig_with(Limits::default(), 1 << 17, 1 << 17);
        let start = Instant::now();
        let script = async {
            client.send(&Frame::client(TEXT, "before")).await;
            client.send_bytes(&bytes).await;
            client.send_bytes(b"more garbage").await;
            let close = client.recv().await.unwrap();
            assert_eq!((close.opcode, close.code()), (CLOSE, Some(code)));
            assert_eq!(&close.payload[2..], rule.name().as_bytes());
            assert_eq!(client.recv().await, None, "our half ends at once");
            assert_eq!(since(start), Duration::ZERO);
            drop(client);
            browser.expect(&Frame::client(TEXT, "before")).await;
            browser.expect(&Frame::client(CLOSE, close_payload(1001, ""))).await;
            browser.send(&Frame::browser(CLOSE, "")).await;
        };
        let (terminal, report, ()) = play(relay, script).await;
        let detail = Detail::ProtocolError { rule };
        assert_eq!((terminal.cause, terminal.detail), (Cause::Client, detail));
        assert_eq!(report.to_browser.messages, 1);
        assert_eq!(report.teardown, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_breaks_a_rule_gets_the_rule_and_the_client_1011() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let script = async {
        browser.send(&Frame::client(TEXT, "masked")).await;
        let close = close_payload(1002, "masked_server_frame");
        browser.expect(&Frame::client(CLOSE, close)).await;
        drop(browser);
        let close = close_payload(1011, "upstream protocol error");
        client.expect(&Frame::browser(CLOSE, close)).await;
        client.send(&Frame::client(CLOSE, "")).await;
    };
    let (terminal, _, ()) = play(relay, script).await;
    let detail = Detail::ProtocolError { rule: Rule::MaskedServerFrame };
    assert_eq!((terminal.cause, terminal.detail), (Cause::Upstream, detail));
}

#[tokio::test(start_paused = true)]
async fn a_message_over_its_limit_never_reaches_the_browser() {
    let limits = Limits { max_client_message: 50_000, join_max: 0, ..Limits::default() };
    let whole = vec![Frame::client(BINARY, vec![0; 50_001])];
    let parts = vec![
        Frame::client(BINARY, vec![0; 30_000]).unfinished(),
        Frame::client(CONTINUATION, vec![0; 20_001]),
    ];
    for (frames, passed) in [(whole, 0), (parts, 30_000)] {
        let (relay, mut client, mut browser) = rig_with(limits.clone(), 1 << 20, 1 << 20);
        let script = async {
            client.send_bytes(&wire(&frames)).await;
            let close = close_payload(1009, "client message over 50000 bytes");
            client.expect(&Frame::browser(CLOSE, close)).await;
            client.send(&Frame::client(CLOSE, close_payload(1009, ""))).await;
            assert_eq!(client.recv().await, None);
            if passed > 0 {
                browser.expect(&frames[0]).await;
            }
            browser.expect(&Frame::client(CLOSE, close_payload(1001, ""))).await;
            browser.send(&Frame::browser(CLOSE, "")).await;
        };
        let (terminal, report, ()) = play(relay, script).await;
        let detail = Detail::MessageTooLarge { limit: 50_000 };
        assert_eq!((terminal.cause, terminal.detail), (Cause::Client, detail));
        assert_eq!((report.to_browser.bytes, report.to_browser.messages), (passed, 0));
        assert_eq!(report.teardown, Duration::ZERO, "its Close was found behind the message");
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_message_over_its_limit_is_1009_to_both() {
    let limits = Limits { max_browser_message: 1000, ..Limits::default() };
    let (relay, mut client, mut browser) = rig(limits);
    let script = async {
        browser.send_bytes(&Frame::browser(BINARY, vec![0; 1001]).bytes()[..4]).await;
        let close = close_payload(1009, "upstream message over 1000 bytes");
        client.expect(&Frame::browser(CLOSE, close)).await;
        let close = browser.recv().await.unwrap();
        assert_eq!((close.opcode, close.code()), (CLOSE, Some(1009)));
        drop((client, browser));
    };
    let (terminal, _, ()) = play(relay, script).await;
    let detail = Detail::MessageTooLarge { limit: 1000 };
    assert_eq!((terminal.cause, terminal.detail), (Cause::Upstream, detail));
}
