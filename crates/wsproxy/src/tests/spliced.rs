//! Long payloads between sockets pass inside the kernel, and nobody can tell.

#![cfg(target_os = "linux")]

use super::rig::{Peer, play};
use super::taps::Notes;
use super::tcp::rig;
use crate::limits::Limits;
use crate::pipe::{self, Pipe};
use crate::stop::{Stop, StopMode, StopSide, stop_channel};
use crate::testing::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, wire};
use crate::verdict::{Cause, Detail, Vanished};
use proptest::prelude::*;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::RwLock;
use tokio::time::Instant;

/// One test takes all pipes.
static ALONE: RwLock<()> = RwLock::const_new(());

/// Bytes that differ everywhere.
fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8 ^ seed).collect()
}

async fn close(client: &mut Peer<TcpStream>, browser: &mut Peer<TcpStream>) {
    client.send(&Frame::client(CLOSE, "")).await;
    browser.expect(&Frame::client(CLOSE, "")).await;
    browser.send(&Frame::browser(CLOSE, "")).await;
    client.expect(&Frame::browser(CLOSE, "")).await;
}

/// Other tests of the process have pipes too, each for a short time.
async fn no_pipe_is_left() {
    let until = Instant::now() + Duration::from_secs(20);
    while pipe::count() > 0 {
        assert!(Instant::now() < until, "{} pipes are left", pipe::count());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn long_messages_pass_uncopied_both_ways_and_are_counted_as_any() {
    let _pipes = ALONE.read().await;
    let (relay, mut client, mut browser) = rig(Limits::default()).await;
    let sizes = [4 << 20, 700, 3 << 20, 300_000, 0, (1 << 20) + 1];
    let script = async {
        for (at, size) in sizes.into_iter().enumerate() {
            let up = Frame::client(BINARY, pattern(size, at as u8));
            let down = Frame::browser(TEXT, pattern(size, 100 + at as u8));
            tokio::join!(client.send(&up), browser.expect(&up));
            tokio::join!(browser.send(&down), client.expect(&down));
        }
        close(&mut client, &mut browser).await;
    };
    let (_, report, ()) = play(relay, script).await;
    let total = sizes.iter().sum::<usize>() as u64;
    for direction in [&report.to_browser, &report.to_client] {
        assert_eq!((direction.messages, direction.frames), (6, 6));
        assert_eq!((direction.bytes, direction.largest_message), (total, 4 << 20));
        // Only what came with a header was copied.
        assert!(direction.spliced > total / 2, "{direction:?}");
        assert!(direction.peak_buffered <= 512 * 1024, "{direction:?}");
    }
    no_pipe_is_left().await;
}

#[tokio::test]
async fn our_own_frames_wait_for_the_end_of_a_long_one() {
    let _pipes = ALONE.read().await;
    let (relay, mut client, mut browser) = rig(Limits::default()).await;
    let long = Frame::browser(BINARY, pattern(6 << 20, 1));
    let bytes = long.bytes();
    let script = async {
        let (first, rest) = bytes.split_at(3 << 20);
        let send = async {
            browser.send_bytes(first).await;
            // Asked in the middle of the frame; the answer may only follow it.
            client.io.readable().await.unwrap();
            client.io.write_all(&Frame::client(PING, "mid").bytes()).await.unwrap();
            super::rig::settle().await;
            browser.send_bytes(rest).await;
            browser.send(&Frame::browser(TEXT, "next")).await;
        };
        send.await;
        client.expect(&long).await;
        let (one, two) = (client.recv().await.unwrap(), client.recv().await.unwrap());
        assert_eq!((one.opcode, two.opcode), (PONG, TEXT));
        close(&mut client, &mut browser).await;
    };
    let (_, report, ()) = play(relay, script).await;
    assert!(report.to_client.spliced > 1 << 20, "{:?}", report.to_client);
    assert_eq!(report.pings_answered, 1);
}

#[tokio::test]
async fn a_tap_sees_all_of_a_long_message_and_one_that_comes_later_nothing_of_it() {
    let _pipes = ALONE.read().await;
    let (relay, mut client, mut browser) = rig(Limits::default()).await;
    let notes = Notes::new(true, 16);
    let armed = std::sync::Arc::clone(&notes.armed);
    let long = Frame::client(TEXT, pattern(2 << 20, 3));
    let bytes = long.bytes();
    let script = async {
        tokio::join!(client.send(&long), browser.expect(&long));
        armed.store(false, Ordering::Relaxed);
        let send = async {
            client.send_bytes(&bytes[..1 << 20]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            armed.store(true, Ordering::Relaxed);
            client.send_bytes(&bytes[1 << 20..]).await;
            client.send(&Frame::client(TEXT, "short")).await;
        };
        let receive = async {
            browser.expect(&long).await;
            browser.expect(&Frame::client(TEXT, "short")).await;
        };
        tokio::join!(send, receive);
        close(&mut client, &mut browser).await;
    };
    let (_, report, ()) = play(relay.with_tap(notes.clone()), script).await;
    let taken: Vec<_> =
        notes.taken().iter().map(|message| (message.head.len(), message.len)).collect();
    assert_eq!(taken, [(16, 2 << 20), (5, 5)]);
    assert!(report.to_browser.spliced > 0, "before it was armed");
    assert!(report.to_browser.spliced < 2 << 20, "the first was looked at");
}

#[tokio::test]
async fn a_peer_that_dies_inside_a_long_frame_is_told_as_any() {
    let (relay, mut client, browser) = rig(Limits::default()).await;
    let bytes = Frame::browser(BINARY, pattern(4 << 20, 5)).bytes();
    let script = async {
        let mut browser = browser;
        browser.send_bytes(&bytes[..2 << 20]).await;
        drop(browser);
        let got = client.rest().await;
        assert!(got.len() <= 2 << 20 && bytes.starts_with(&got), "{} bytes", got.len());
    };
    let (terminal, report, ()) = play(relay, script).await;
    assert_eq!(
        (terminal.cause, terminal.detail),
        (Cause::Upstream, Detail::Vanished(Vanished::Eof))
    );
    assert!(terminal.mid_frame && report.client_mid_frame);
    assert_eq!((report.to_client.messages, report.to_client.frames), (0, 0));
    no_pipe_is_left().await;
}

#[tokio::test]
async fn a_soft_stop_inside_a_long_frame_lets_it_end() {
    let (relay, mut client, mut browser) = rig(Limits::default()).await;
    let (stopper, token) = stop_channel();
    let long = Frame::browser(BINARY, pattern(4 << 20, 7));
    let bytes = long.bytes();
    let script = async {
        browser.send_bytes(&bytes[..1 << 20]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        stopper.stop(Stop { side: StopSide::Context, mode: StopMode::Soft, by: "drain" });
        let rest = async {
            browser.send_bytes(&bytes[1 << 20..]).await;
            assert_eq!(browser.recv().await.unwrap().opcode, CLOSE);
            browser.send(&Frame::browser(CLOSE, "")).await;
        };
        let receive = async {
            client.expect(&long).await;
            assert_eq!(client.recv().await.unwrap().opcode, CLOSE);
            client.send(&Frame::client(CLOSE, "")).await;
        };
        tokio::join!(rest, receive);
    };
    let (terminal, report, ()) = play(relay.with_stop(token), script).await;
    assert_eq!(terminal.detail, Detail::Stopped { by: "drain" });
    assert_eq!(report.to_client.messages, 1);
}

#[tokio::test]
async fn without_a_pipe_to_be_had_bytes_are_copied() {
    let _alone = ALONE.write().await;
    let mut taken = Vec::new();
    let mut spliced = Vec::new();
    // A session of another test may give one back meanwhile.
    while spliced.last() != Some(&0) {
        assert!(spliced.len() < 20, "{spliced:?}");
        taken.extend(std::iter::from_fn(Pipe::make));
        let (relay, mut client, mut browser) = rig(Limits::default()).await;
        let long = Frame::client(BINARY, pattern(3 << 20, 9));
        let script = async {
            tokio::join!(client.send(&long), browser.expect(&long));
            close(&mut client, &mut browser).await;
        };
        let (_, report, ()) = play(relay, script).await;
        assert_eq!(report.to_browser.bytes, 3 << 20);
        spliced.push(report.to_browser.spliced);
    }
    drop(taken);
    no_pipe_is_left().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Frames of all lengths, in pieces of all lengths, with pauses between them.
    #[test]
    fn any_frames_in_any_pieces_arrive_as_they_were_sent(
        sizes in prop::collection::vec(prop_oneof![0usize..300, 60_000usize..70_000, 100_000usize..900_000], 1..8),
        fragments in prop::collection::vec(any::<bool>(), 8),
        cuts in prop::collection::vec(1usize..600_000, 1..12),
    ) {
        let mut frames = Vec::new();
        let mut open = false;
        for (at, size) in sizes.iter().enumerate() {
            let frame = Frame::browser(if open { CONTINUATION } else { BINARY }, pattern(*size, at as u8));
            let last = at + 1 == sizes.len();
            open = fragments[at] && !last;
            frames.push(if open { frame.unfinished() } else { frame });
        }
        let bytes = wire(&frames);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (relay, mut client, mut browser) = rig(Limits::default()).await;
            let script = async {
                let send = async {
                    let mut rest = &bytes[..];
                    for cut in cuts.iter().cycle() {
                        let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                        browser.send_bytes(piece).await;
                        tokio::task::yield_now().await;
                        rest = behind;
                        if rest.is_empty() {
                            break;
                        }
                    }
                };
                let receive = async {
                    for frame in &frames {
                        client.expect(frame).await;
                    }
                };
                tokio::join!(send, receive);
                close(&mut client, &mut browser).await;
            };
            let (_, report, ()) = play(relay, script).await;
            let messages = frames.iter().filter(|frame| frame.fin).count() as u64;
            let payload = sizes.iter().sum::<usize>() as u64;
            assert_eq!(report.to_client.messages, messages);
            assert_eq!((report.to_client.frames, report.to_client.bytes), (frames.len() as u64, payload));
        });
    }
}
