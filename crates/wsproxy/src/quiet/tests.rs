//! Facts of the quiet moment.

use super::{Quiet, command_id};
use crate::report::QuietEnd;
use crate::tally::Part;
use std::time::{Duration, Instant};

const FOR: Duration = Duration::from_millis(250);

fn part(offset: u64) -> Part {
    Part { text: true, offset, mask: None, frame_offset: offset }
}

fn client(quiet: &mut Quiet, message: &str) {
    quiet.client_piece(part(0), message.as_bytes());
    quiet.client_end();
}

fn browser(quiet: &mut Quiet, message: &str) {
    quiet.browser_piece(part(0), message.as_bytes());
    quiet.browser_end();
}

#[test]
fn the_id_is_found_where_clients_and_the_browser_put_it() {
    for (message, id) in [
        (r#"{"id":7,"method":"Page.enable"}"#, Some(7)),
        (r#"{"id":123456,"result":{}}"#, Some(123_456)),
        ("{ \"id\" : 9 }", Some(9)),
        (r#"{"id":-4,"x":1}"#, Some(-4)),
        (r#"{"method":"Page.enable","id":8}"#, Some(8)),
        (r#"{"sessionId":"AB\"C","id":3,"method":"x"}"#, Some(3)),
        (r#"{"params":{"id":1,"a":[{"id":2}]},"id":5}"#, Some(5)),
        (r#"{"a":"},]","b":[[],{}],"id":6}"#, Some(6)),
        (r#"{"method":"Network.dataReceived","params":{"id":1}}"#, None),
        (r#"{"id":12"#, None),
        (r#"{"id":1.5}"#, None),
        (r#"{"id":"7"}"#, None),
        (r#"{"id":99999999999999999999}"#, None),
        ("", None),
        ("{", None),
        ("[1]", None),
        ("not json", None),
        (r#"{"a":"unterminated"#, None),
        (r#"{"a":"esc\"#, None),
    ] {
        assert_eq!(command_id(message.as_bytes()), id, "{message}");
    }
}

#[test]
fn it_is_quiet_once_nothing_was_outstanding_for_long_enough() {
    let start = Instant::now();
    let mut quiet = Quiet::new(start + Duration::from_secs(10), start);
    assert_eq!(quiet.due(FOR, false), start + FOR);
    assert_eq!(quiet.ended(FOR, false, start), None);
    client(&mut quiet, r#"{"id":1,"method":"x"}"#);
    quiet.traffic(start + FOR);
    assert_eq!(quiet.due(FOR, false), start + Duration::from_secs(10));
    assert_eq!(quiet.ended(FOR, false, start + 9 * FOR), None, "a command is outstanding");
    browser(&mut quiet, r#"{"id":2,"result":{}}"#);
    assert_eq!(quiet.ended(FOR, false, start + 9 * FOR), None, "another one was answered");
    browser(&mut quiet, r#"{"id":1,"result":{}}"#);
    quiet.traffic(start + 9 * FOR);
    assert_eq!(quiet.ended(FOR, false, start + 9 * FOR), None);
    assert_eq!(quiet.ended(FOR, false, start + 10 * FOR), Some(QuietEnd::Quiet));
    assert_eq!(quiet.ended(FOR, true, start + 10 * FOR), None, "bytes are on their way");
}

#[test]
fn the_deadline_comes_quiet_or_not() {
    let start = Instant::now();
    let mut quiet = Quiet::new(start + Duration::from_secs(10), start);
    client(&mut quiet, r#"{"id":1,"method":"x"}"#);
    let deadline = start + Duration::from_secs(10);
    assert_eq!(quiet.ended(FOR, false, deadline), Some(QuietEnd::Deadline));
    quiet.set_deadline(start + FOR);
    assert_eq!(quiet.due(FOR, false), start + FOR);
}

#[test]
fn a_message_in_pieces_is_read_by_its_first_bytes() {
    let start = Instant::now();
    let mut quiet = Quiet::new(start + FOR, start);
    let message = format!(r#"{{"id":42,"method":"{}"}}"#, "x".repeat(100));
    for (at, byte) in message.bytes().enumerate() {
        quiet.client_piece(part(at as u64), &[byte]);
    }
    quiet.client_end();
    assert!(quiet.waits(false));
    browser(&mut quiet, r#"{"id":42}"#);
    assert!(!quiet.waits(false));
}

#[test]
fn a_message_that_was_begun_before_counts_as_traffic_only() {
    let start = Instant::now();
    let mut quiet = Quiet::new(start + FOR, start);
    quiet.client_piece(part(10), br#"{"id":1,"method":"x"}"#);
    quiet.client_end();
    let binary = Part { text: false, ..part(0) };
    quiet.client_piece(binary, br#"{"id":2,"method":"x"}"#);
    quiet.client_end();
    quiet.client_end();
    assert!(!quiet.waits(false));
}
