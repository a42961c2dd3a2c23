//! Facts of counting what was written.

use super::{Observe, Part, Tally, Totals};
use crate::frame::Sender;
use crate::testing::{BINARY, CONTINUATION, Frame, TEXT, wire};

/// Puts messages together again.
#[derive(Default)]
struct Collect {
    message: Vec<u8>,
    messages: Vec<(bool, Vec<u8>)>,
}

impl Observe for Collect {
    fn piece(&mut self, part: Part, piece: &[u8]) {
        assert_eq!(part.offset, self.message.len() as u64);
        part.copy_to(piece, &mut self.message);
    }

    fn end(&mut self, text: bool, len: u64) {
        assert_eq!(len, self.message.len() as u64);
        self.messages.push((text, std::mem::take(&mut self.message)));
    }
}

fn frames() -> [Frame; 5] {
    [
        Frame::client(TEXT, "hello"),
        Frame::client(BINARY, vec![7; 300]).unfinished(),
        Frame::client(CONTINUATION, "").unfinished(),
        Frame::client(CONTINUATION, vec![8; 70_000]),
        Frame::client(TEXT, ""),
    ]
}

#[test]
fn messages_count_however_the_writes_are_cut() {
    let bytes = wire(&frames());
    for step in [1, 2, 3, 5, 7, 13, 1000, bytes.len()] {
        let (mut tally, mut collect) = (Tally::new(Sender::Client), Collect::default());
        for piece in bytes.chunks(step) {
            tally.advance(piece, &mut collect);
        }
        let expected = Totals { messages: 3, bytes: 70_305, frames: 5, largest: 70_300 };
        assert_eq!(tally.totals(), expected, "pieces of {step}");
        assert!(tally.at_boundary());
        let messages: Vec<_> = collect.messages.iter().map(|(text, m)| (*text, m.len())).collect();
        assert_eq!(messages, [(true, 5), (false, 70_300), (true, 0)]);
        assert_eq!(collect.messages[0].1, b"hello");
    }
}

#[test]
fn a_message_counts_with_its_last_byte_and_bytes_count_as_they_go() {
    let bytes = Frame::browser(TEXT, "12345").bytes();
    let mut tally = Tally::new(Sender::Browser);
    tally.advance(&bytes[..6], &mut ());
    assert_eq!(tally.totals(), Totals { bytes: 4, ..Totals::default() });
    assert!(!tally.at_boundary());
    tally.advance(&bytes[6..], &mut ());
    assert_eq!(tally.totals(), Totals { messages: 1, bytes: 5, frames: 1, largest: 5 });
}

#[test]
fn boundaries_are_found_from_any_position() {
    let bytes = wire(&frames());
    let mut ends = vec![0];
    for frame in frames() {
        ends.push(ends.last().unwrap() + frame.bytes().len());
    }
    for written in (0..400).chain([bytes.len() - 7, bytes.len()]) {
        let mut tally = Tally::new(Sender::Client);
        tally.advance(&bytes[..written], &mut ());
        let next = *ends.iter().find(|end| **end >= written).unwrap();
        assert_eq!(tally.at_boundary(), next == written, "{written} written");
        assert_eq!(tally.next_boundary(&bytes[written..]), Some(next - written));
        assert_eq!(tally.last_boundary(&bytes[written..]), Some(bytes.len() - written));
        if next != written {
            assert_eq!(tally.next_boundary(&bytes[written..next - 1]), None);
            assert_eq!(tally.last_boundary(&bytes[written..next - 1]), None);
        }
        let cut = bytes.len() - 1;
        if written < 300 {
            assert_eq!(tally.last_boundary(&bytes[written..cut]), Some(ends[4] - written));
        }
    }
}
