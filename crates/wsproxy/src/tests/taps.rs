//! The tap sees the client's text messages, and the session never sees the tap.

use super::rig::{Duplex, Peer, play, rig};
use crate::limits::Limits;
use crate::tap::{Tap, TapMessage};
use crate::testing::{BINARY, CONTINUATION, Frame, TEXT};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::DuplexStream;

/// Keeps what it is offered, with `room` bytes for each message.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    pub(super) armed: Arc<AtomicBool>,
    room: usize,
    used: usize,
    taken: Arc<Mutex<Vec<TapMessage>>>,
}

impl Notes {
    pub(super) fn new(armed: bool, room: usize) -> Self {
        let armed = Arc::new(AtomicBool::new(armed));
        Self { armed, room, used: 0, taken: Arc::default() }
    }

    pub(super) fn taken(&self) -> Vec<TapMessage> {
        self.taken.lock().unwrap().clone()
    }
}

impl Tap for Notes {
    fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    fn reserve(&mut self, bytes: usize) -> usize {
        let granted = bytes.min(self.room - self.used);
        self.used += granted;
        granted
    }

    fn offer(&mut self, message: TapMessage) {
        self.used = 0;
        self.taken.lock().unwrap().push(message);
    }
}

async fn echo(client: &mut Peer<DuplexStream>, browser: &mut Peer<DuplexStream>, frame: &Frame) {
    client.send(frame).await;
    browser.expect(frame).await;
}

fn begin() -> (Duplex, Peer<DuplexStream>, Peer<DuplexStream>) {
    rig(Limits::default())
}

fn message(head: &str, len: u64) -> TapMessage {
    TapMessage { head: head.as_bytes().to_vec().into(), len }
}

#[tokio::test(start_paused = true)]
async fn text_messages_are_copied_once_they_are_written() {
    let (relay, mut client, mut browser) = begin();
    let notes = Notes::new(true, 10);
    let script = async {
        echo(&mut client, &mut browser, &Frame::client(TEXT, "first")).await;
        echo(&mut client, &mut browser, &Frame::client(BINARY, "binary")).await;
        browser.send(&Frame::browser(TEXT, "not the client's")).await;
        client.send(&Frame::client(TEXT, "jo").unfinished()).await;
        client.send(&Frame::client(CONTINUATION, "ined")).await;
        browser.expect(&Frame::client(TEXT, "joined")).await;
        echo(&mut client, &mut browser, &Frame::client(TEXT, "longer than ten bytes")).await;
        echo(&mut client, &mut browser, &Frame::client(TEXT, "")).await;
        drop((client, browser));
    };
    play(relay.with_tap(notes.clone()), script).await;
    let taken = notes.taken();
    let expected =
        [message("first", 5), message("joined", 6), message("longer tha", 21), message("", 0)];
    assert_eq!(taken, expected);
    assert!(taken[2].is_cut() && !taken[0].is_cut());
}

#[tokio::test(start_paused = true)]
async fn a_tap_is_armed_and_disarmed_in_the_middle_of_a_session() {
    let (relay, mut client, mut browser) = begin();
    let notes = Notes::new(false, 1 << 20);
    let armed = Arc::clone(&notes.armed);
    // Longer than what is written at once, so that it is armed inside of it.
    let long = Frame::client(TEXT, vec![b'x'; 100_000]);
    let script = async {
        echo(&mut client, &mut browser, &Frame::client(TEXT, "before")).await;
        client.send_bytes(&long.bytes()[..30_000]).await;
        super::rig::settle().await;
        armed.store(true, Ordering::Relaxed);
        client.send_bytes(&long.bytes()[30_000..]).await;
        browser.expect(&long).await;
        echo(&mut client, &mut browser, &Frame::client(TEXT, "wanted")).await;
        echo(&mut client, &mut browser, &long).await;
        armed.store(false, Ordering::Relaxed);
        echo(&mut client, &mut browser, &Frame::client(TEXT, "after")).await;
        echo(&mut client, &mut browser, &Frame::client(TEXT, "")).await;
        armed.store(true, Ordering::Relaxed);
        echo(&mut client, &mut browser, &Frame::client(TEXT, "again")).await;
        drop((client, browser));
    };
    play(relay.with_tap(notes.clone()), script).await;
    let long = message(&"x".repeat(100_000), 100_000);
    assert_eq!(notes.taken(), [message("wanted", 6), long, message("again", 5)]);
}
