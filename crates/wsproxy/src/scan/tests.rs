//! Facts of sorting frames.

use super::Scanner;
use crate::close::{CloseCode, CloseFrame};
use crate::found::Event;
use crate::frame::Sender;
use crate::join::Joined;
use crate::limits::Limits;
use crate::rule::Rule;
use crate::testing::{
    BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, close_payload, decode, wire,
};

fn limits() -> Limits {
    Limits { whole_frame_max: 100, join_max: 1000, max_client_message: 5000, ..Limits::default() }
}

fn client() -> Scanner {
    Scanner::new(Sender::Client, &limits())
}

fn browser() -> Scanner {
    Scanner::new(Sender::Browser, &limits())
}

struct Scan {
    rest: usize,
    data: bool,
    joined: Option<Joined>,
    ping: Option<Box<[u8]>>,
    event: Option<Event>,
}

/// Scans `bytes` at once: what is to be written, and the rest of what was found.
fn scan(scanner: &mut Scanner, bytes: &[u8]) -> (Vec<u8>, Scan) {
    let mut buf = bytes.to_vec();
    let scan = scanner.scan(&mut buf);
    buf.truncate(scan.run);
    let rare = scan.rare.map(|rare| *rare).unwrap_or_default();
    let (joined, ping, event) = (rare.joined, rare.ping, rare.event);
    (buf, Scan { rest: scan.rest, data: scan.data, joined, ping, event })
}

#[test]
fn data_frames_stay_as_they_came_and_control_frames_are_taken_out() {
    let frames = [
        Frame::client(TEXT, "one"),
        Frame::client(PING, "first"),
        Frame::client(BINARY, [0, 159, 146, 150]),
        Frame::client(PONG, "nobody asked"),
        Frame::client(TEXT, ""),
        Frame::client(TEXT, "{malformed"),
    ];
    let mut scanner = client();
    let (out, scan) = scan(&mut scanner, &wire(&frames));
    assert_eq!(out, wire([&frames[0], &frames[2], &frames[4], &frames[5]]));
    assert_eq!(scan.ping.as_deref(), Some(&b"first"[..]));
    assert_eq!(scanner.counts().pongs_dropped, 1);
    assert_eq!(scan.rest, wire(&frames).len());
    assert!(scan.event.is_none() && scan.data && scan.joined.is_none());
}

#[test]
fn control_frames_alone_are_no_data() {
    let (out, scan) = scan(&mut client(), &wire([&Frame::client(PING, "x")]));
    assert!(out.is_empty() && !scan.data);
}

#[test]
fn a_short_frame_is_held_until_it_is_whole() {
    let frame = Frame::browser(TEXT, vec![b'x'; 100]);
    let bytes = frame.bytes();
    let mut scanner = browser();
    for cut in 0..bytes.len() {
        let (out, held) = scan(&mut scanner, &bytes[..cut]);
        assert!(out.is_empty() && held.rest == 0, "{cut} bytes");
        assert!(!scanner.mid_frame());
    }
    assert_eq!(scan(&mut scanner, &bytes).0, bytes);
}

#[test]
fn a_long_frame_goes_out_as_it_comes() {
    let frame = Frame::browser(TEXT, vec![b'x'; 101]);
    let bytes = frame.bytes();
    let mut scanner = browser();
    assert_eq!(scan(&mut scanner, &bytes[..frame.header_len()]).0.len(), frame.header_len());
    assert!(scanner.mid_frame());
    for byte in &bytes[frame.header_len()..] {
        assert_eq!(scan(&mut scanner, &[*byte]).0, [*byte]);
    }
    assert!(!scanner.mid_frame());
}

#[test]
fn a_second_ping_is_left_until_the_first_was_seen() {
    let frames =
        [Frame::client(PING, "first"), Frame::client(TEXT, "data"), Frame::client(PING, "second")];
    let bytes = wire(&frames);
    let mut scanner = client();
    let (out, found) = scan(&mut scanner, &bytes);
    assert_eq!((out, found.ping.as_deref()), (frames[1].bytes(), Some(&b"first"[..])));
    assert_eq!(found.rest, bytes.len() - frames[2].bytes().len());
    let (out, found) = scan(&mut scanner, &bytes[found.rest..]);
    assert_eq!((out.len(), found.ping.as_deref()), (0, Some(&b"second"[..])));
}

#[test]
fn fragments_of_a_browser_are_never_joined() {
    let frames = [
        Frame::browser(TEXT, "a").unfinished(),
        Frame::browser(PING, "between"),
        Frame::browser(CONTINUATION, "b"),
    ];
    let (out, scan) = scan(&mut browser(), &wire(&frames));
    assert_eq!(out, wire([&frames[0], &frames[2]]));
    assert!(scan.ping.is_some() && scan.joined.is_none());
}

#[test]
fn fragments_of_a_client_are_joined_behind_what_came_before() {
    let before = Frame::client(TEXT, "before");
    let frames = [
        before.clone(),
        Frame::client(BINARY, "frag").unfinished(),
        Frame::client(PING, ""),
        Frame { mask: Some([9, 8, 7, 6]), ..Frame::client(CONTINUATION, "").unfinished() },
        Frame { mask: Some([1, 0, 2, 0]), ..Frame::client(CONTINUATION, "mented") },
        Frame::client(TEXT, "after"),
    ];
    let mut scanner = client();
    let bytes = wire(&frames);
    let (out, scan) = scan(&mut scanner, &bytes);
    assert_eq!(out, before.bytes());
    let joined = decode(scan.joined.unwrap().rest());
    assert_eq!(joined.len(), 1);
    assert_eq!((joined[0].fin, joined[0].opcode), (true, BINARY));
    assert_eq!(joined[0].payload, b"fragmented");
    assert_eq!(scan.rest, bytes.len() - frames[5].bytes().len(), "the rest waits");
    assert_eq!((scanner.counts().joined, scanner.held()), (1, 0));
}

#[test]
fn what_outgrows_the_join_goes_out_as_fragments() {
    let first = Frame::client(TEXT, vec![b'a'; 600]).unfinished();
    let second = Frame::client(CONTINUATION, vec![b'b'; 401]).unfinished();
    let last = Frame::client(CONTINUATION, "c");
    let mut scanner = client();
    let bytes = wire([&first, &second, &last]);
    let (out, spill) = scan(&mut scanner, &bytes);
    assert!(out.is_empty());
    let held = decode(spill.joined.unwrap().rest());
    assert_eq!((held.len(), held[0].fin, held[0].opcode), (1, false, TEXT));
    assert_eq!(held[0].payload, first.payload);
    let (out, scan) = scan(&mut scanner, &bytes[spill.rest..]);
    assert_eq!(out, wire([&second, &last]), "the rest follows as it came");
    assert!(scan.event.is_none());
    assert_eq!((scanner.counts().joined, scanner.counts().spilled), (0, 1));
}

#[test]
fn a_first_fragment_over_the_join_is_passed_on_at_once() {
    let frames =
        [Frame::client(TEXT, vec![b'a'; 1001]).unfinished(), Frame::client(CONTINUATION, "b")];
    let mut scanner = client();
    assert_eq!(scan(&mut scanner, &wire(&frames)).0, wire(&frames));
    assert_eq!(scanner.counts().spilled, 1);
}

#[test]
fn a_message_over_its_limit_ends_at_the_header_that_shows_it() {
    let whole = Frame::client(BINARY, vec![0; 5001]);
    let (out, end) = scan(&mut client(), &whole.bytes()[..whole.header_len()]);
    assert_eq!((out.len(), end.event), (0, Some(Event::TooLarge { limit: 5000 })));

    let first = Frame::client(BINARY, vec![0; 3000]).unfinished();
    let second = Frame::client(CONTINUATION, vec![0; 2001]).unfinished();
    let header = &second.bytes()[..second.header_len()];
    let (out, end) = scan(&mut client(), &[&first.bytes(), header].concat());
    assert_eq!(out, first.bytes(), "nothing past the limit is passed on");
    assert_eq!(end.event, Some(Event::TooLarge { limit: 5000 }));

    let fits = [first, Frame::client(CONTINUATION, vec![0; 2000])];
    assert_eq!(scan(&mut client(), &wire(&fits)).1.event, None);
}

#[test]
fn the_default_limits_are_exact() {
    for (sender, mask, limit) in
        [(Sender::Client, 0x80, 104_857_586_u64), (Sender::Browser, 0, 268_435_456)]
    {
        for (len, passes) in [(limit, true), (limit + 1, false)] {
            let mut header = vec![0x82, mask | 127];
            header.extend(len.to_be_bytes());
            header.extend(if mask == 0 { vec![] } else { vec![1, 2, 3, 4] });
            let (out, end) = scan(&mut Scanner::new(sender, &Limits::default()), &header);
            assert_eq!((out == header, end.event.is_none()), (passes, passes), "{len}");
        }
    }
}

#[test]
fn a_close_can_be_read_behind_a_message_that_was_too_large() {
    let bytes = wire([&Frame::client(BINARY, vec![0; 5001]), &Frame::client(CLOSE, "")]);
    let mut scanner = client();
    let (_, end) = scan(&mut scanner, &bytes);
    assert!(end.event.is_some());
    let (out, scan) = scan(&mut scanner, &bytes[end.rest..]);
    assert!(out.is_empty());
    assert_eq!(scan.event, Some(Event::Close(CloseFrame::empty())));
}

#[test]
fn frames_out_of_order_break_a_rule() {
    let stray = Frame::browser(CONTINUATION, "x");
    let broken = Event::Broken(Rule::ContinuationOutsideMessage);
    assert_eq!(scan(&mut browser(), &stray.bytes()).1.event, Some(broken));
    let mut scanner = browser();
    let begun = Frame::browser(TEXT, "x").unfinished();
    let inside = Frame::browser(BINARY, "y");
    let (out, end) = scan(&mut scanner, &wire([&begun, &inside]));
    assert_eq!(out, begun.bytes());
    assert_eq!(end.event, Some(Event::Broken(Rule::MessageInsideMessage)));
    let frames = [Frame::client(TEXT, "x").unfinished(), Frame::client(TEXT, "y")];
    let end = scan(&mut client(), &wire(&frames)).1;
    assert_eq!(end.event, Some(Event::Broken(Rule::MessageInsideMessage)));
}

#[test]
fn a_close_ends_the_scan_behind_what_came_before() {
    let text = Frame::client(TEXT, "last");
    let close = Frame::client(CLOSE, close_payload(4001, "bye"));
    let (out, end) = scan(&mut client(), &wire([&text, &close, &Frame::client(TEXT, "late")]));
    assert_eq!(out, text.bytes());
    let code = CloseCode::try_from(4001).unwrap();
    assert_eq!(end.event, Some(Event::Close(CloseFrame::new(code, "bye"))));
}

#[test]
fn a_malformed_close_breaks_a_rule() {
    for (payload, rule) in [
        (vec![3], Rule::ClosePayload),
        (close_payload(1005, ""), Rule::CloseCode),
        (vec![3, 0xe8, 0xc3], Rule::CloseText),
    ] {
        let end = scan(&mut client(), &Frame::client(CLOSE, payload).bytes()).1;
        assert_eq!(end.event, Some(Event::Broken(rule)));
    }
}

#[test]
fn finishing_a_frame_drops_what_follows_it() {
    let long = Frame::client(TEXT, vec![b'x'; 200]).bytes();
    let next = Frame::client(TEXT, "next").bytes();
    let mut scanner = client();
    scan(&mut scanner, &long[..50]);
    scanner.finish_frame();
    assert!(!scanner.is_done());
    let (out, _) = scan(&mut scanner, &[&long[50..], &next].concat());
    assert_eq!(out, &long[50..]);
    assert!(scanner.is_done());
    assert_eq!(scanner.counts().discarded, 1);
}

#[test]
fn finishing_a_frame_does_not_wait_for_fragments_that_are_not_out() {
    let first = Frame::client(TEXT, "begun").unfinished().bytes();
    let mut scanner = client();
    scan(&mut scanner, &first[..8]);
    scanner.finish_frame();
    assert!(scanner.is_done());
    let rest = [&first[8..], &Frame::client(CONTINUATION, "end").bytes()].concat();
    let (out, scan) = scan(&mut scanner, &rest);
    assert!(out.is_empty() && scan.joined.is_none());
    assert_eq!(scanner.counts().discarded, 1);
}

#[test]
fn finishing_a_message_passes_on_all_that_was_received_and_its_last_message() {
    let one = Frame::browser(TEXT, "one").bytes();
    let two = Frame::browser(TEXT, "two").unfinished().bytes();
    let end = Frame::browser(CONTINUATION, "end").bytes();
    let three = Frame::browser(TEXT, "three").bytes();
    let mut scanner = browser();
    scanner.finish_message(one.len() + 1);
    assert!(!scanner.is_done());
    let (out, _) = scan(&mut scanner, &[&*one, &two, &end, &three].concat());
    assert_eq!(out, [&*one, &two, &end].concat());
    assert!(scanner.is_done());
}

#[test]
fn finishing_a_message_between_messages_is_done_at_once() {
    let mut scanner = browser();
    scanner.finish_message(0);
    assert!(scanner.is_done());
    assert!(scan(&mut scanner, &Frame::browser(TEXT, "late").bytes()).0.is_empty());
}
