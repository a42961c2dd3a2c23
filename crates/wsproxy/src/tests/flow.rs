//! Bytes pass as they came, are counted, and take bounded memory.

use super::rig::{Peer, finish, play, rig, rig_with, settle};
use crate::limits::Limits;
use crate::pool::Budget;
use crate::testing::{BINARY, CLOSE, CONTINUATION, Frame, PING, TEXT, close_payload, wire};
use crate::verdict::{Cause, Detail};
use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(start_paused = true)]
async fn frames_pass_both_ways_unchanged_and_are_counted() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let up = [
        Frame::client(TEXT, r#"{"id":1}"#),
        Frame::client(BINARY, [0xff, 0, 0xfe]),
        Frame::client(TEXT, "{malformed \u{0}"),
        Frame::client(TEXT, ""),
    ];
    let down =
        [Frame::browser(TEXT, r#"{"id":1,"result":{}}"#), Frame::browser(BINARY, vec![7; 40_000])];
    let script = async {
        client.send_bytes(&wire(&up)).await;
        browser.send_bytes(&wire(&down)).await;
        let mut bytes = vec![0; wire(&up).len()];
        browser.io.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, wire(&up));
        let mut bytes = vec![0; wire(&down).len()];
        client.io.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, wire(&down));
        client.send(&Frame::client(CLOSE, "")).await;
        browser.expect(&Frame::browser(CLOSE, "")).await;
        browser.send(&Frame::browser(CLOSE, "")).await;
    };
    let (terminal, report, ()) = play(relay, script).await;
    assert_eq!((terminal.cause, terminal.detail), (Cause::Client, Detail::Closed { code: None }));
    let (to_browser, to_client) = (report.to_browser, report.to_client);
    assert_eq!((to_browser.messages, to_browser.frames, to_browser.bytes), (4, 4, 23));
    assert_eq!(to_browser.largest_message, 12);
    assert_eq!((to_client.messages, to_client.frames, to_client.bytes), (2, 2, 40_020));
    assert_eq!(to_client.largest_message, 40_000);
}

#[tokio::test(start_paused = true)]
async fn bytes_of_the_handshakes_come_first() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let up = wire(&[Frame::client(TEXT, "early"), Frame::client(TEXT, vec![b'x'; 300_000])]);
    let down = Frame::browser(TEXT, "hello").bytes();
    let relay = relay
        .with_client_prefix(Bytes::copy_from_slice(&up[..280_000]))
        .with_upstream_prefix(Bytes::copy_from_slice(&down[..3]));
    let script = async {
        browser.send_bytes(&down[3..]).await;
        client.expect(&Frame::browser(TEXT, "hello")).await;
        let mut bytes = vec![0; up.len()];
        tokio::join!(client.send_bytes(&up[280_000..]), async {
            browser.io.read_exact(&mut bytes).await.unwrap();
        });
        assert!(bytes == up);
        client.send(&Frame::client(TEXT, "later")).await;
        browser.expect(&Frame::client(TEXT, "later")).await;
        drop(client);
        browser.expect(&Frame::client(CLOSE, close_payload(1001, ""))).await;
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.to_browser.messages, 3);
}

#[tokio::test(start_paused = true)]
async fn memory_does_not_grow_with_the_message() {
    let limits = Limits { buffer: 64 * 1024, ..Limits::default() };
    let (relay, mut client, mut browser) = rig(limits);
    let budget = Budget::new(1 << 30);
    let relay = relay.with_budget(budget.clone());
    let (mib, count) = (1 << 20, 40);
    let script = async {
        let header = Frame::browser(BINARY, vec![0; 70_000]).bytes()[..2].to_vec();
        let header = [&header[..], &((count * mib) as u64).to_be_bytes()].concat();
        let piece = vec![0x5a; mib];
        let send = async {
            browser.send_bytes(&header).await;
            for _ in 0..count {
                browser.send_bytes(&piece).await;
            }
        };
        let read = async {
            let mut left = header.len() + count * mib;
            let mut buf = vec![0; mib];
            let mut most = 0;
            while left > 0 {
                left -= client.io.read(&mut buf).await.unwrap();
                most = most.max(budget.used());
            }
            most
        };
        let ((), most) = tokio::join!(send, read);
        assert!(most <= 2 * 64 * 1024, "{most} bytes were borrowed");
        settle().await;
        assert_eq!(budget.used(), 0, "an idle session holds no buffer");
        drop(browser);
        client.rest().await;
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!((report.to_client.messages, report.to_client.bytes), (1, (count * mib) as u64));
    assert!(report.to_client.peak_buffered <= 64 * 1024);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_not_complete_holds_no_buffer() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let budget = Budget::new(1 << 30);
    let relay = relay.with_budget(budget.clone());
    let frame = Frame::client(TEXT, vec![b'x'; 1000]);
    let script = async {
        for part in frame.bytes().chunks(300) {
            client.send_bytes(part).await;
            settle().await;
            assert_eq!(budget.used(), 0);
        }
        browser.expect(&frame).await;
        drop((client, browser));
    };
    play(relay, script).await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_read_stops_our_reading_of_the_other() {
    let limits = Limits { buffer: 32 * 1024, ..Limits::default() };
    let (relay, mut client, mut browser) = rig_with(limits, 1024, 1024);
    let frame = Frame::browser(BINARY, vec![1; 1 << 20]);
    let script = async {
        let bytes = frame.bytes();
        let mut sent = 0;
        // Whatever can be sent before the client reads: two streams and one buffer.
        loop {
            let write = browser.io.write(&bytes[sent..]);
            match tokio::time::timeout(std::time::Duration::from_secs(1), write).await {
                Ok(n) => sent += n.unwrap(),
                Err(_) => break,
            }
        }
        assert!(sent <= 32 * 1024 + 4 * 1024, "{sent} bytes were taken");
        // The other direction is not held up by it.
        client.send(&Frame::client(TEXT, "still here")).await;
        browser.expect(&Frame::client(TEXT, "still here")).await;
        tokio::join!(browser.send_bytes(&bytes[sent..]), client.expect(&frame));
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!(report.to_client.messages, 1);
    assert!(report.to_client.stall >= std::time::Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_used_up_budget_slows_down_and_blocks_nobody() {
    let (relay, mut client, mut browser) = rig(Limits::default());
    let relay = relay.with_budget(Budget::new(0));
    let frame = Frame::browser(BINARY, vec![1; 1 << 20]);
    let script = async {
        tokio::join!(browser.send(&frame), client.expect(&frame));
        client.send(&Frame::client(TEXT, vec![b'y'; 16 * 1024])).await;
        browser.expect(&Frame::client(TEXT, vec![b'y'; 16 * 1024])).await;
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert!(report.to_client.peak_buffered <= 16 * 1024 + 14);
}

#[tokio::test(start_paused = true)]
async fn fragments_of_the_client_are_joined_and_counted_as_one_message() {
    let (relay, mut client, mut browser) = rig(Limits { join_max: 2000, ..Limits::default() });
    let script = async {
        client.send(&Frame::client(TEXT, "a").unfinished()).await;
        client.send(&Frame::client(PING, "inside")).await;
        client.send(&Frame::client(CONTINUATION, "b").unfinished()).await;
        client.send(&Frame::client(CONTINUATION, "c")).await;
        browser.expect(&Frame::client(TEXT, "abc")).await;
        let long = Frame::client(BINARY, vec![1; 1500]).unfinished();
        client.send(&long).await;
        client.send(&Frame::client(CONTINUATION, vec![2; 1500])).await;
        browser.expect(&long).await;
        browser.expect(&Frame::client(CONTINUATION, vec![2; 1500])).await;
        drop((client, browser));
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!((report.joined, report.spilled), (1, 1));
    assert_eq!((report.to_browser.messages, report.to_browser.frames), (2, 3));
    assert_eq!(report.to_browser.bytes, 3003);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The same property as for one direction alone, through streams that take any number of bytes.
    #[test]
    fn whole_sessions_carry_any_valid_frames(
        up in proptest::collection::vec((any::<bool>(), 0..3000_usize), 0..20),
        down in proptest::collection::vec((any::<bool>(), 0..40_000_usize), 0..20),
        chunk in 1..5000_usize,
        holds in 1..9000_usize,
    ) {
        let frames = |sizes: &[(bool, usize)], masked: bool| -> Vec<Frame> {
            sizes.iter().enumerate().map(|(i, (text, len))| {
                let frame = Frame::client(if *text { TEXT } else { BINARY }, vec![i as u8; *len]);
                if masked { frame } else { Frame { mask: None, ..frame } }
            }).collect()
        };
        let (up, down) = (frames(&up, true), frames(&down, false));
        let (up_bytes, down_bytes) = (wire(&up), wire(&down));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let report = runtime.block_on(async {
            let (relay, client, browser) = rig_with(Limits::default(), holds, holds);
            let pump = |mut peer: Peer<tokio::io::DuplexStream>, send: Vec<u8>, expect: Vec<u8>| async move {
                let (mut read, mut write) = tokio::io::split(&mut peer.io);
                let mut got = vec![0; expect.len()];
                tokio::join!(
                    async { for piece in send.chunks(chunk) { write.write_all(piece).await.unwrap(); } },
                    async { read.read_exact(&mut got).await.unwrap(); },
                );
                assert!(got == expect);
                peer
            };
            let script = async {
                let (client, browser) = tokio::join!(
                    pump(client, up_bytes.clone(), down_bytes.clone()),
                    pump(browser, down_bytes.clone(), up_bytes.clone()),
                );
                drop((client, browser));
            };
            let ((_, report), ()) = tokio::join!(finish(relay), script);
            report
        });
        prop_assert_eq!(report.to_browser.messages, up.len() as u64);
        prop_assert_eq!(report.to_client.messages, down.len() as u64);
        let bytes = |frames: &[Frame]| frames.iter().map(|frame| frame.payload.len() as u64).sum::<u64>();
        prop_assert_eq!(report.to_browser.bytes, bytes(&up));
        prop_assert_eq!(report.to_client.bytes, bytes(&down));
    }
}
