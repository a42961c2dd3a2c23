//! Facts of our own control frames.

use super::{Control, Outbox};
use crate::close::{CloseCode, CloseFrame};
use crate::frame::Sender;
use crate::testing::{CLOSE, Frame, PING, PONG, close_payload, decode};

/// Writes what waits, one byte at a time.
fn write(outbox: &mut Outbox) -> (Vec<Frame>, Vec<Control>) {
    let (mut bytes, mut done) = (Vec::new(), Vec::new());
    loop {
        outbox.begin();
        let Some(byte) = outbox.front().first() else { return (decode(&bytes), done) };
        bytes.push(*byte);
        done.extend(outbox.wrote(1));
    }
}

#[test]
fn a_newer_ping_replaces_an_older_one() {
    let mut outbox = Outbox::new(Sender::Browser);
    outbox.pong((*b"old").into());
    outbox.pong((*b"new").into());
    assert!(outbox.is_waiting() && !outbox.is_writing());
    assert_eq!(write(&mut outbox), (vec![Frame::browser(PONG, "new")], vec![Control::Pong]));
    assert!(!outbox.is_waiting());
}

#[test]
fn a_frame_that_is_begun_is_finished_first() {
    let mut outbox = Outbox::new(Sender::Browser);
    outbox.pong((*b"one").into());
    outbox.begin();
    outbox.wrote(1);
    outbox.pong((*b"two").into());
    outbox.begin();
    assert_eq!(outbox.front().len(), 4);
    assert_eq!(outbox.wrote(4), Some(Control::Pong));
    assert_eq!(write(&mut outbox).0, [Frame::browser(PONG, "two")]);
}

#[test]
fn frames_to_the_browser_are_masked_and_frames_to_the_client_are_not() {
    for (role, masked) in [(Sender::Client, true), (Sender::Browser, false)] {
        let mut outbox = Outbox::new(role);
        outbox.pong((*b"payload").into());
        let (frames, _) = write(&mut outbox);
        assert_eq!((frames[0].mask.is_some(), &*frames[0].payload), (masked, &b"payload"[..]));
    }
}

#[test]
fn a_close_drops_what_waits_and_is_the_last() {
    let mut outbox = Outbox::new(Sender::Browser);
    outbox.pong((*b"late").into());
    outbox.ping();
    outbox.close(CloseFrame::new(CloseCode::GOING_AWAY, "bye"));
    let (frames, done) = write(&mut outbox);
    assert_eq!(frames, [Frame::browser(CLOSE, close_payload(1001, "bye"))]);
    assert_eq!(done, [Control::Close]);
}

#[test]
fn our_ping_is_empty() {
    let mut outbox = Outbox::new(Sender::Browser);
    outbox.ping();
    assert_eq!(write(&mut outbox), (vec![Frame::browser(PING, "")], vec![Control::Ping]));
}
