//! Facts of Close frames.

use super::{CloseCode, CloseFrame, InvalidCloseCode, MAX_CLOSE_TEXT};
use crate::rule::Rule;
use crate::testing::close_payload;

#[test]
fn only_codes_that_may_be_sent_are_accepted() {
    let allowed = |code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    for code in 0..=u16::MAX {
        let read = CloseCode::try_from(code);
        assert_eq!(read.is_ok(), allowed(code), "{code}");
        let parsed = CloseFrame::parse(&close_payload(code, ""));
        match read {
            Ok(valid) => assert_eq!(parsed.unwrap().code(), Some(valid)),
            Err(refused) => {
                assert_eq!(refused, InvalidCloseCode(code));
                assert_eq!(parsed, Err(Rule::CloseCode));
            }
        }
    }
}

#[test]
fn a_close_is_empty_or_has_a_code_and_text() {
    assert_eq!(CloseFrame::parse(&[]), Ok(CloseFrame::empty()));
    assert_eq!(CloseFrame::parse(&[3]), Err(Rule::ClosePayload));
    let close = CloseFrame::parse(&close_payload(4001, "grüß dich")).unwrap();
    assert_eq!(close.code().map(CloseCode::get), Some(4001));
    assert_eq!(close.text(), "grüß dich");
    assert_eq!(CloseFrame::parse(&[0x03, 0xe8, 0xff]), Err(Rule::CloseText));
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = "é".repeat(100);
    let close = CloseFrame::new(CloseCode::NORMAL, &text);
    assert_eq!(close.text().len(), MAX_CLOSE_TEXT - 1);
    assert!(text.starts_with(close.text()));
    assert_eq!(close.payload().len(), 2 + MAX_CLOSE_TEXT - 1);
}

#[test]
fn what_is_written_is_read_back() {
    for close in [CloseFrame::empty(), CloseFrame::new(CloseCode::RESTART, "bye")] {
        assert_eq!(CloseFrame::parse(&close.payload()), Ok(close));
    }
}

#[test]
fn an_echo_keeps_the_code_and_drops_the_text() {
    let close = CloseFrame::new(CloseCode::POLICY, "why");
    assert_eq!(close.echo(), CloseFrame::new(CloseCode::POLICY, ""));
    assert_eq!(CloseFrame::empty().echo(), CloseFrame::empty());
}
