//! The tap sees the client's text messages, and the session never sees the tap.

use super::rig::{Duplex, Peer, play, rig};
use crate::limits::Limits;
use crate::tap::{TapMessage, tap};
use crate::testing::{BINARY, CONTINUATION, Frame, TEXT};
use tokio::io::DuplexStream;

async fn echo(client: &mut Peer<DuplexStream>, browser: &mut Peer<DuplexStream>, frame: &Frame) {
    client.send(frame).await;
    browser.expect(frame).await;
}

fn begin() -> (Duplex, Peer<DuplexStream>, Peer<DuplexStream>) {
    rig(Limits::default())
}

#[tokio::test(start_paused = true)]
async fn text_messages_are_copied_once_they_are_written() {
    let (relay, mut client, mut browser) = begin();
    let (tap, mut taken) = tap(8, 10);
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
    let (_, report, ()) = play(relay.with_tap(tap), script).await;
    let mut messages = Vec::new();
    while let Some(message) = taken.recv().await {
        messages.push(message);
    }
    let message = |head: &str, len| TapMessage { head: head.as_bytes().to_vec().into(), len };
    let expected =
        [message("first", 5), message("joined", 6), message("longer tha", 21), message("", 0)];
    assert_eq!(messages, expected);
    assert!(messages[2].is_cut() && !messages[0].is_cut());
    assert_eq!(report.tap_missed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_does_not_take_misses_messages_and_holds_up_nobody() {
    let (relay, mut client, mut browser) = begin();
    let (tap, mut taken) = tap(2, 100);
    let script = async {
        for i in 0..10_u8 {
            echo(&mut client, &mut browser, &Frame::client(TEXT, [b'0' + i])).await;
        }
        drop((client, browser));
    };
    let (_, report, ()) = play(relay.with_tap(tap), script).await;
    assert_eq!((report.to_browser.messages, report.tap_missed), (10, 8));
    assert_eq!(taken.try_recv().unwrap().head, "0");
    assert_eq!(taken.try_recv().unwrap().head, "1");
    assert_eq!(taken.try_recv(), None);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_gone_is_forgotten() {
    let (relay, mut client, mut browser) = begin();
    let (tap, taken) = tap(1, 100);
    drop(taken);
    let script = async {
        for _ in 0..5 {
            echo(&mut client, &mut browser, &Frame::client(TEXT, "x")).await;
        }
        drop((client, browser));
    };
    let (_, report, ()) = play(relay.with_tap(tap), script).await;
    assert_eq!((report.to_browser.messages, report.tap_missed), (5, 0));
}
