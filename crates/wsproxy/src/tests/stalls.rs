//! Timers: writes without progress, idle sessions.

use super::rig::{play, rig, rig_with};
use crate::limits::Limits;
use crate::report::CloseSent;
use crate::testing::{BINARY, CLOSE, Frame, PING, TEXT, close_payload};
use crate::verdict::{Cause, Detail};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_inside_a_frame_stalls_after_45_seconds() {
    let (relay, client, mut browser) = rig_with(Limits::default(), 1024, 64 * 1024);
    let start = Instant::now();
    let script = async {
        browser.send(&Frame::browser(BINARY, vec![1; 40_000])).await;
        // The client holds its socket open all the time.
        let close = browser.recv().await.unwrap();
        assert_eq!((close.opcode, close.code()), (CLOSE, Some(1001)));
        assert_eq!(start.elapsed(), 45 * SECOND);
        browser.send(&Frame::browser(CLOSE, close_payload(1001, ""))).await;
        assert_eq!(browser.recv().await, None);
        client
    };
    let (terminal, report, _client) = play(relay, script).await;
    assert_eq!((terminal.cause, terminal.detail), (Cause::Client, Detail::WriteStalled));
    assert_eq!(report.client_close_sent, CloseSent::No);
    assert!(report.client_mid_frame, "no Close fits into an open frame");
    assert_eq!(report.to_client.messages, 0);
    assert_eq!(report.to_client.bytes, 1024 - 4, "what the stream took is counted");
    assert_eq!(report.to_client.stall, 45 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_between_frames_is_told_if_it_reads_again() {
    let frame = Frame::browser(BINARY, vec![1; 1000]);
    let (relay, mut client, mut browser) = rig_with(Limits::default(), frame.bytes().len(), 65_536);
    let script = async {
        browser.send(&frame).await;
        browser.send(&frame).await;
        sleep(46 * SECOND).await;
        client.expect(&frame).await;
        client.expect(&Frame::browser(CLOSE, close_payload(1008, "client too slow"))).await;
        client.send(&Frame::client(CLOSE, close_payload(1008, ""))).await;
        browser
    };
    let (terminal, report, _browser) = play(relay, script).await;
    assert_eq!((terminal.cause, terminal.detail), (Cause::Client, Detail::WriteStalled));
    assert_eq!(report.client_close_sent, CloseSent::Code(1008));
    assert_eq!(report.to_client.messages, 1);
    assert!(!report.client_mid_frame);
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_stops_reading_stalls_after_30_seconds() {
    let (relay, mut client, browser) = rig_with(Limits::default(), 64 * 1024, 1024);
    let start = Instant::now();
    let script = async {
        client.send(&Frame::client(TEXT, vec![b'x'; 40_000])).await;
        let close = Frame::browser(CLOSE, close_payload(1011, "upstream does not read"));
        client.expect(&close).await;
        assert_eq!(start.elapsed(), 30 * SECOND);
        client.send(&Frame::client(CLOSE, close_payload(1011, ""))).await;
        browser
    };
    let (terminal, report, _browser) = play(relay, script).await;
    assert_eq!((terminal.cause, terminal.detail), (Cause::Upstream, Detail::WriteStalled));
    assert_eq!(report.browser_close_sent, CloseSent::No);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_that_takes_one_byte_in_time_is_no_stall() {
    let (relay, mut client, mut browser) = rig_with(Limits::default(), 1024, 64 * 1024);
    let frame = Frame::browser(BINARY, vec![1; 3000]);
    let script = async {
        browser.send(&frame).await;
        let mut byte = [0];
        for _ in 0..10 {
            sleep(44 * SECOND).await;
            client.io.read_exact(&mut byte).await.unwrap();
        }
        let mut rest = vec![0; frame.bytes().len() - 10];
        client.io.read_exact(&mut rest).await.unwrap();
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.to_client.messages, 1);
    assert_eq!(report.to_client.stall, 440 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_take_its_pong_stalls_too() {
    let (relay, mut client, browser) = rig_with(Limits::default(), 100, 64 * 1024);
    let start = Instant::now();
    let script = async {
        client.send(&Frame::client(PING, [0; 90])).await;
        client.send(&Frame::client(PING, [0; 90])).await;
        (client, browser)
    };
    let (terminal, _, _peers) = play(relay, script).await;
    assert_eq!((terminal.cause, terminal.detail), (Cause::Client, Detail::WriteStalled));
    assert!(start.elapsed() >= 45 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_ends_if_asked_for_and_pings_do_not_count() {
    let limits = Limits { idle: Some(60 * SECOND), ..Limits::default() };
    let (relay, mut client, mut browser) = rig(limits);
    let start = Instant::now();
    let script = async {
        sleep(40 * SECOND).await;
        client.send(&Frame::client(TEXT, "x")).await;
        browser.expect(&Frame::client(TEXT, "x")).await;
        for _ in 0..5 {
            sleep(10 * SECOND).await;
            client.send(&Frame::client(PING, "")).await;
        }
        while let Some(frame) = client.recv().await {
            if frame.opcode == CLOSE {
                assert_eq!(frame.code(), Some(1001));
                assert_eq!(start.elapsed(), 100 * SECOND);
                client.io.shutdown().await.unwrap();
            }
        }
        drop(browser);
    };
    let (terminal, _, ()) = play(relay, script).await;
    assert_eq!((terminal.cause, terminal.detail), (Cause::Context, Detail::Idle));
}

#[tokio::test(start_paused = true)]
async fn without_an_idle_limit_a_session_lasts() {
    let (relay, mut client, browser) = rig(Limits::default());
    let script = async {
        assert!(timeout(86_400 * SECOND, client.recv()).await.is_err());
        drop((client, browser));
    };
    play(relay, script).await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_ages_means_never() {
    let limits = Limits {
        idle: Some(Duration::MAX),
        ping_interval: Some(Duration::MAX),
        write_stall_client: Duration::MAX,
        write_stall_upstream: Duration::MAX,
        close_grace: Duration::MAX,
        client_tcp: crate::limits::TcpTimers::OFF,
        ..Limits::default()
    };
    let (relay, mut client, mut browser) = rig_with(limits, 100, 100);
    let script = async {
        client.send(&Frame::client(TEXT, [1; 900])).await;
        sleep(1000 * SECOND).await;
        assert_eq!(browser.recv().await.unwrap().payload.len(), 900);
        drop((client, browser));
    };
    play(relay, script).await;
}
