//! Facts of one direction: whatever is cut however, what comes out is what went in.

mod cuts;

use super::Lane;
use crate::close::CloseFrame;
use crate::found::{Event, Found, Rare};
use crate::frame::{MAX_HEADER, Sender};
use crate::limits::Limits;
use crate::pool::Lease;
use crate::rule::Rule;
use crate::tally::Totals;
use crate::testing::{
    BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, close_payload, decode, wire,
};
use bytes::Bytes;
use proptest::prelude::*;

const BUFFER: usize = 4096;
const JOIN_MAX: usize = 1000;

fn limits() -> Limits {
    Limits {
        whole_frame_max: 100,
        join_max: JOIN_MAX as u64,
        buffer: BUFFER,
        max_client_message: 20_000,
        max_browser_message: 20_000,
        ..Limits::default()
    }
}

fn take(needed: usize) -> Lease {
    Lease::take(BUFFER, limits().least_buffer().max(needed), None)
}

/// Drives a lane by hand.
struct Pipe {
    lane: Lane,
    out: Vec<u8>,
    pings: Vec<Vec<u8>>,
    event: Option<Event>,
}

impl Pipe {
    fn new(sender: Sender, prefix: Bytes) -> Self {
        let mut lane = Lane::new(sender, &limits());
        lane.set_prefix(prefix);
        Self { lane, out: Vec::new(), pings: Vec::new(), event: None }
    }

    fn note(&mut self, found: Found) {
        let Rare { ping, event, .. } = found.rare.map(|rare| *rare).unwrap_or_default();
        self.pings.extend(ping.map(|ping| ping.into_vec()));
        if let Some(event) = event {
            assert_eq!(self.event.replace(event), None, "an end comes once");
        }
    }

    /// Writes everything, `step` bytes at a time, and takes input that is held.
    fn settle(&mut self, step: usize) {
        loop {
            while !self.lane.wants_input() {
                let n = self.lane.front().len().min(step);
                self.out.extend_from_slice(&self.lane.front()[..n]);
                self.lane.wrote(n, &mut ());
            }
            if self.event.is_some() {
                return;
            }
            let Some(found) = self.lane.take_held(take) else { return };
            self.note(found);
        }
    }

    fn feed(&mut self, mut bytes: &[u8], step: usize) {
        self.settle(step);
        while !bytes.is_empty() && self.event.is_none() {
            let room = self.lane.room(take);
            let n = room.len().min(bytes.len());
            assert!(n > 0, "there is always room");
            room[..n].copy_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            let found = self.lane.filled(n);
            self.note(found);
            self.settle(step);
        }
    }
}

#[derive(Debug, Clone)]
struct Message {
    opcode: u8,
    fragments: Vec<usize>,
    /// Control frames before the first fragment and after each but the last.
    controls: Vec<Option<(bool, usize)>>,
}

fn message() -> impl Strategy<Value = Message> {
    let len = prop_oneof![0..5_usize, 95..130_usize, 300..700_usize, 2000..3000_usize];
    (
        prop_oneof![Just(TEXT), Just(BINARY)],
        prop_oneof![
            3 => proptest::collection::vec(len.clone(), 1..2),
            1 => proptest::collection::vec(len, 2..5),
        ],
        proptest::collection::vec(proptest::option::of((any::<bool>(), 0..126_usize)), 5),
    )
        .prop_map(|(opcode, fragments, controls)| Message { opcode, fragments, controls })
}

/// Frames as they are sent, and as they must arrive: the second with whether the mask is kept.
fn frames(sender: Sender, messages: &[Message]) -> (Vec<Frame>, Vec<(Frame, bool)>) {
    let (mut sent, mut arrive) = (Vec::new(), Vec::new());
    let mut fill = 0_u8;
    let mut frame = |opcode, len: usize| {
        fill = fill.wrapping_add(1);
        let payload = vec![fill; len];
        match sender {
            Sender::Client => Frame {
                mask: Some([fill, fill ^ 0x5a, 3, fill.wrapping_mul(7)]),
                ..Frame::client(opcode, payload)
            },
            Sender::Browser => Frame::browser(opcode, payload),
        }
    };
    for message in messages {
        let mut fragments = Vec::new();
        let last = message.fragments.len() - 1;
        for (i, len) in message.fragments.iter().enumerate() {
            if let Some((ping, len)) = message.controls[i] {
                sent.push(frame(if ping { PING } else { PONG }, len));
            }
            let opcode = if i == 0 { message.opcode } else { CONTINUATION };
            let fragment = Frame { fin: i == last, ..frame(opcode, *len) };
            sent.push(fragment.clone());
            fragments.push(fragment);
        }
        let mut kept = fragments;
        if sender == Sender::Client && last > 0 {
            let mut held: Option<Frame> = None;
            while let Some(next) = kept.first() {
                let len = held.as_ref().map_or(0, |held| held.payload.len()) + next.payload.len();
                if len > JOIN_MAX {
                    break;
                }
                let next = kept.remove(0);
                let held = held.get_or_insert(Frame { payload: Vec::new(), ..next.clone() });
                held.payload.extend(&next.payload);
                held.fin = next.fin;
            }
            arrive.extend(held.map(|held| (held, false)));
        }
        arrive.extend(kept.into_iter().map(|frame| (frame, true)));
    }
    (sent, arrive)
}

fn senders() -> impl Strategy<Value = Sender> {
    prop_oneof![Just(Sender::Client), Just(Sender::Browser)]
}

fn totals(messages: &[Message], frames: usize) -> Totals {
    let sizes = messages.iter().map(|message| message.fragments.iter().sum::<usize>() as u64);
    Totals {
        messages: messages.len() as u64,
        bytes: sizes.clone().sum(),
        frames: frames as u64,
        largest: sizes.max().unwrap_or(0),
    }
}

fn check(pipe: &Pipe, expected: &[(Frame, bool)]) {
    let out = decode(&pipe.out);
    assert_eq!(out.len(), expected.len());
    for (frame, (expected, verbatim)) in out.iter().zip(expected) {
        assert_eq!((frame.fin, frame.opcode), (expected.fin, expected.opcode));
        assert!(frame.payload == expected.payload, "payloads differ");
        assert_eq!(frame.mask.is_some(), expected.mask.is_some());
        assert!(!verbatim || frame.mask == expected.mask, "the mask changed");
    }
    let verbatim: Vec<_> = expected.iter().map(|(frame, _)| frame.clone()).collect();
    if expected.iter().all(|(_, verbatim)| *verbatim) {
        assert!(pipe.out == wire(&verbatim), "bytes differ");
    }
}

proptest! {
    #[test]
    fn valid_frames_cut_anywhere_arrive_with_the_right_counts(
        sender in senders(),
        messages in proptest::collection::vec(message(), 0..12),
        cuts in proptest::collection::vec(1..5000_usize, 1..20),
        small in any::<bool>(),
        step in prop_oneof![1..20_usize, 1000..9000_usize],
        parks in proptest::collection::vec(any::<bool>(), 1..7),
        prefix in 0..6000_usize,
    ) {
        let (sent, arrive) = frames(sender, &messages);
        let bytes = wire(&sent);
        let (prefix, mut rest) = bytes.split_at(prefix.min(bytes.len()));
        let mut pipe = Pipe::new(sender, Bytes::copy_from_slice(prefix));
        let mut turn = 0;
        while !rest.is_empty() {
            let cut = cuts[turn % cuts.len()];
            let cut = if small { cut % 40 + 1 } else { cut }.min(rest.len());
            pipe.feed(&rest[..cut], step);
            rest = &rest[cut..];
            if parks[turn % parks.len()] {
                pipe.lane.park();
                prop_assert!(pipe.lane.chunk.is_none());
            }
            turn += 1;
        }
        pipe.settle(step);
        pipe.lane.park();
        prop_assert!(pipe.lane.chunk.is_none() && pipe.lane.aside.is_none());
        prop_assert_eq!(&pipe.event, &None);
        check(&pipe, &arrive);
        prop_assert_eq!(pipe.lane.totals(), totals(&messages, arrive.len()));
        let pongs = sent.iter().filter(|frame| frame.opcode == PONG).count();
        prop_assert_eq!(pipe.lane.counts().pongs_dropped, pongs as u64);
        prop_assert!(pipe.lane.peak() <= (BUFFER + JOIN_MAX + MAX_HEADER) as u64);
        let asked: Vec<_> = sent.iter().filter(|frame| frame.opcode == PING).collect();
        prop_assert!(pipe.pings.iter().eq(asked.iter().map(|ping| &ping.payload)));
        prop_assert!(!pipe.lane.reads_mid_frame() && pipe.lane.at_boundary());
    }

    #[test]
    fn a_broken_frame_ends_with_its_rule_behind_all_that_was_valid(
        sender in senders(),
        messages in proptest::collection::vec(message(), 0..6),
        cuts in proptest::collection::vec(1..3000_usize, 1..9),
        step in 1..5000_usize,
        rule in proptest::sample::select(Rule::ALL.to_vec()),
    ) {
        let (mut sent, arrive) = frames(sender, &messages);
        let data = |opcode, payload: &[u8]| match sender {
            Sender::Client => Frame::client(opcode, payload),
            Sender::Browser => Frame::browser(opcode, payload),
        };
        if rule == Rule::MessageInsideMessage {
            sent.push(data(TEXT, b"").unfinished());
        }
        let mut broken = match rule {
            Rule::ReservedBits => data(TEXT, b"x").bytes(),
            Rule::UnknownOpcode => data(5, b"x").bytes(),
            Rule::FragmentedControl => data(PING, b"x").unfinished().bytes(),
            Rule::ControlTooLong => data(PONG, &[0; 126]).bytes(),
            Rule::ContinuationOutsideMessage => data(CONTINUATION, b"x").bytes(),
            Rule::MessageInsideMessage => data(BINARY, b"x").bytes(),
            Rule::LengthTopBit => {
                let mut bytes = data(BINARY, &[0; 65_536]).bytes();
                bytes[2] = 0x80;
                bytes
            }
            Rule::UnmaskedClientFrame | Rule::MaskedServerFrame => {
                let mut frame = data(TEXT, b"x");
                frame.mask = match frame.mask { None => Some([1, 2, 3, 4]), Some(_) => None };
                frame.bytes()
            }
            Rule::ClosePayload => data(CLOSE, b"x").bytes(),
            Rule::CloseCode => data(CLOSE, &close_payload(1006, "")).bytes(),
            Rule::CloseText => data(CLOSE, &[3, 0xe8, 0xff]).bytes(),
        };
        if rule == Rule::ReservedBits {
            broken[0] |= 0x20;
        }
        let expected = match (rule, sender) {
            (Rule::UnmaskedClientFrame, Sender::Browser) => Rule::MaskedServerFrame,
            (Rule::MaskedServerFrame, Sender::Client) => Rule::UnmaskedClientFrame,
            (rule, _) => rule,
        };
        let bytes = [wire(&sent), broken].concat();
        let mut pipe = Pipe::new(sender, Bytes::new());
        let (mut rest, mut turn) = (&bytes[..], 0);
        while !rest.is_empty() && pipe.event.is_none() {
            let cut = cuts[turn % cuts.len()].min(rest.len());
            pipe.feed(&rest[..cut], step);
            rest = &rest[cut..];
            turn += 1;
        }
        prop_assert_eq!(pipe.event.take(), Some(Event::Broken(expected)));
        pipe.lane.source_gone();
        pipe.event = Some(Event::Close(CloseFrame::empty()));
        pipe.settle(step);
        let mut out = decode(&pipe.out);
        if rule == Rule::MessageInsideMessage && sender == Sender::Browser {
            out.pop();
        }
        prop_assert_eq!(out.len(), arrive.len());
        prop_assert_eq!(pipe.lane.totals().messages, messages.len() as u64);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn where_pipes_do_not_work_a_long_payload_is_read_as_any() {
    let limits = Limits { max_browser_message: 1 << 20, ..limits() };
    let mut pipe = Pipe::new(Sender::Browser, Bytes::new());
    pipe.lane = Lane::new(Sender::Browser, &limits);
    let long = Frame::browser(BINARY, vec![7; 300_000]).bytes();
    let (head, payload) = long.split_at(BUFFER / 2);
    pipe.feed(head, usize::MAX);
    assert_eq!(pipe.lane.unseen_left(), Some(payload.len() as u64));
    assert!(pipe.lane.pipe().is_some() && pipe.lane.unseen_left().is_some());
    pipe.lane.refuse_pipe();
    assert_eq!(pipe.lane.unseen_left(), None);
    pipe.feed(payload, usize::MAX);
    assert_eq!((pipe.out.len(), pipe.lane.spliced()), (long.len(), 0));
    assert!(pipe.lane.at_boundary() && pipe.lane.unseen_left().is_none());
}
