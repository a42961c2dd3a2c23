use std::collections::BTreeSet;

use super::*;

#[test]
fn names_fit_every_backend() {
    for good in ["a", "telemetry", "session.A-b_9", &"x".repeat(128)] {
        assert_eq!(LogName::new(good).unwrap().as_str(), good);
    }
    for bad in ["", ".", "a.", ".a", "a..b", "a/b", "a b", "é", "a*", "a>", &"x".repeat(129)] {
        assert!(LogName::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn epochs_are_valid_and_different() {
    let made: BTreeSet<_> = (0..1000).map(|_| Epoch::random()).collect();
    assert_eq!(made.len(), 1000);
    assert!(made.iter().all(|epoch| epoch.as_str().parse() == Ok(epoch.clone())));
}

#[test]
fn a_cursor_reads_back_as_itself() {
    for text in ["abcdefgh-0", "0123456789abcdef-18446744073709551615"] {
        assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
    }
}

#[test]
fn what_is_no_cursor_is_refused() {
    for text in [
        "",
        "-",
        "abcdefgh",
        "abcdefgh-",
        "abcdefgh-x",
        "abcdefgh--1",
        "abcdefgh-+1",
        "abcdefg-1",
        "ABCDEFGH-1",
        "abcdefgh-18446744073709551616",
        "abcdefgh-1-2",
        " abcdefgh-1",
    ] {
        assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
    }
}
