//! Control frames: answered to the side that sent them, between frames, never forwarded.

use super::rig::{play, rig, rig_with, settle};
use crate::limits::Limits;
use crate::testing::{BINARY, CONTINUATION, Frame, PING, PONG, TEXT, wire};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_to_its_sender_and_not_forwarded() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let script = async {
        client.send(&Frame::client(PING, "from client")).await;
        client.expect(&Frame::browser(PONG, "from client")).await;
        browser.send(&Frame::browser(PING, "from browser")).await;
        let pong = browser.recv().await.unwrap();
        assert_eq!((pong.opcode, &*pong.payload), (PONG, &b"from browser"[..]));
        assert!(pong.mask.is_some(), "we are the browser's client");
        client.send(&Frame::client(PONG, "unasked")).await;
        browser.send(&Frame::browser(PONG, "unasked")).await;
        client.send(&Frame::client(TEXT, "x")).await;
        browser.expect(&Frame::client(TEXT, "x")).await;
        browser.send(&Frame::browser(TEXT, "y")).await;
        client.expect(&Frame::browser(TEXT, "y")).await;
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!((report.pings_answered, report.pongs_dropped), (2, 2));
    assert_eq!((report.to_browser.frames, report.to_client.frames), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pong_goes_out_between_frames_under_load() {
    let limits = Limits { buffer: 32 * 1024, ..Limits::default() };
    let (relay, mut client, mut browser) = rig_with(limits, 700, 64 * 1024);
    let frames: Vec<_> = (0..200).map(|i| Frame::browser(BINARY, vec![i; 3000])).collect();
    let script = async {
        let load = async {
            for frame in &frames {
                browser.send(frame).await;
            }
        };
        let read = async {
            client.expect(&frames[0]).await;
            client.send(&Frame::client(PING, "now")).await;
            let mut data = 1;
            loop {
                let frame = client.recv().await.unwrap();
                if frame.opcode == PONG {
                    break;
                }
                assert_eq!(frame, frames[data]);
                data += 1;
            }
            assert!(data <= 4, "the pong waited for {data} frames");
            for frame in &frames[data..] {
                client.expect(frame).await;
            }
        };
        tokio::join!(load, read);
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.to_client.messages, 200);
}

#[tokio::test(start_paused = true)]
async fn a_pong_goes_out_between_fragments() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let script = async {
        browser.send(&Frame::browser(TEXT, "a").unfinished()).await;
        client.expect(&Frame::browser(TEXT, "a").unfinished()).await;
        client.send(&Frame::client(PING, "in between")).await;
        client.expect(&Frame::browser(PONG, "in between")).await;
        browser.send(&Frame::browser(CONTINUATION, "b")).await;
        client.expect(&Frame::browser(CONTINUATION, "b")).await;
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.to_client.messages, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pong_waits_for_the_end_of_the_frame_that_is_open() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let frame = Frame::browser(BINARY, vec![3; 50_000]);
    let bytes = frame.bytes();
    let script = async {
        browser.send_bytes(&bytes[..30_000]).await;
        settle().await;
        client.send(&Frame::client(PING, "x")).await;
        settle().await;
        browser.send_bytes(&bytes[30_000..]).await;
        client.expect(&frame).await;
        client.expect(&Frame::browser(PONG, "x")).await;
        drop((client, browser));
    };
    play(relay, script).await;
}

#[tokio::test(start_paused = true)]
async fn pings_that_come_at_once_are_each_answered_in_their_order() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let pings: Vec<_> = (0..40_u8).map(|i| Frame::client(PING, [i])).collect();
    let data = Frame::client(TEXT, "in between");
    let script = async {
        let mut frames: Vec<_> = pings.iter().collect();
        frames.insert(20, &data);
        client.send_bytes(&wire(frames)).await;
        for i in 0..40_u8 {
            client.expect(&Frame::browser(PONG, [i])).await;
        }
        browser.expect(&data).await;
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!((report.pings_answered, report.to_browser.messages), (40, 1));
}

#[tokio::test(start_paused = true)]
async fn of_many_pings_that_wait_only_the_newest_is_answered() {
    let (relay, mut client, mut browser) = rig_with(Limits::default(), 4096, 64 * 1024);
    let frame = Frame::browser(BINARY, vec![3; 60_000]);
    let script = async {
        browser.send(&frame).await;
        settle().await;
        for i in 0..50_u8 {
            client.send(&Frame::client(PING, [i])).await;
            settle().await;
        }
        client.expect(&frame).await;
        client.expect(&Frame::browser(PONG, [49])).await;
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.pings_answered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pings_a_quiet_browser_stays() {
    let (relay, mut client, browser) = rig(Limits::default());
    let script = async {
        for i in 0..30_u8 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            let asked = Instant::now();
            client.send(&Frame::client(PING, [i])).await;
            client.expect(&Frame::browser(PONG, [i])).await;
            assert!(asked.elapsed() < Duration::from_millis(50));
        }
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.pings_answered, 30);
}

#[tokio::test(start_paused = true)]
async fn our_own_pings_are_empty_and_need_no_answer() {
    let limits = Limits { ping_interval: Some(Duration::from_secs(10)), ..Limits::default() };
    let (relay, mut client, mut browser) = rig(limits);
    let script = async {
        let start = Instant::now();
        for i in 1..=20 {
            client.expect(&Frame::browser(PING, "")).await;
            assert_eq!(start.elapsed().as_secs(), 10 * i);
        }
        client.send(&Frame::client(TEXT, "alive")).await;
        browser.expect(&Frame::client(TEXT, "alive")).await;
        drop(client);
        let close = browser.recv().await.unwrap();
        assert_eq!(close.opcode, crate::testing::CLOSE, "the browser is never pinged");
        browser.io.read_to_end(&mut Vec::new()).await.unwrap();
    };
    play(relay, script).await;
}
