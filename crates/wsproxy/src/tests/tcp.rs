//! Sessions over real sockets.

use super::rig::{Peer, play};
use crate::limits::{Limits, TcpTimers};
use crate::pool::Budget;
use crate::relay::Relay;
use crate::stop::{Stop, StopMode, StopSide, stop_channel};
use crate::testing::{BINARY, CLOSE, Frame, TEXT};
use crate::verdict::{Cause, Detail, Vanished};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

type Tcp = Relay<TcpStream, TcpStream>;

pub(super) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (connected.unwrap(), accepted.unwrap().0)
}

pub(super) async fn rig(limits: Limits) -> (Tcp, Peer<TcpStream>, Peer<TcpStream>) {
    limits.validate().unwrap();
    let ((client, client_side), (browser, browser_side)) = tokio::join!(pair(), pair());
    let relay = Relay::new(client_side, browser_side, Arc::new(limits));
    (relay, Peer::new(client), Peer::new(browser))
}

#[test]
fn a_session_may_move_between_threads() {
    fn send<T: Send>(_: &T) {}
    fn both(relay: Tcp) {
        send(&async move { relay.run().await.close(std::future::ready(None)).await });
    }
    let _: fn(Tcp) = both;
}

#[tokio::test]
async fn messages_of_every_size_pass_and_no_buffer_stays() {
    let (relay, mut client, mut browser) = rig(Limits::default()).await;
    let budget = Budget::new(1 << 30);
    let relay = relay.with_budget(budget.clone());
    let script = async {
        for len in [0, 1, 125, 126, 16_384, 16_385, 65_535, 65_536, 1 << 20, 5 << 20] {
            let (up, down) =
                (Frame::client(BINARY, vec![1; len]), Frame::browser(BINARY, vec![2; len]));
            tokio::join!(client.send(&up), browser.expect(&up));
            tokio::join!(browser.send(&down), client.expect(&down));
        }
        client.send(&Frame::client(CLOSE, "")).await;
        browser.expect(&Frame::client(CLOSE, "")).await;
        browser.send(&Frame::browser(CLOSE, "")).await;
        client.expect(&Frame::browser(CLOSE, "")).await;
        assert_eq!(client.recv().await, None);
    };
    let (_, report, ()) = play(relay, script).await;
    assert_eq!((report.to_browser.messages, report.to_client.messages), (10, 10));
    assert_eq!(report.to_browser.largest_message, 5 << 20);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn a_reset_is_told_from_an_end_of_file() {
    for reset in [true, false] {
        let (relay, client, mut browser) = rig(Limits::default()).await;
        let script = async {
            if reset {
                client.io.set_zero_linger().unwrap();
            }
            drop(client);
            assert_eq!(browser.recv().await.unwrap().opcode, CLOSE);
            browser.send(&Frame::browser(CLOSE, "")).await;
        };
        let (terminal, _, ()) = play(relay, script).await;
        let how = if reset { Vanished::Reset } else { Vanished::Eof };
        assert_eq!((terminal.cause, terminal.detail), (Cause::Client, Detail::Vanished(how)));
    }
}

#[tokio::test]
async fn the_last_reply_of_a_browser_that_dies_arrives() {
    let (relay, mut client, mut browser) = rig(Limits::default()).await;
    let reply = Frame::browser(TEXT, vec![b'x'; 3 << 20]);
    let script = async {
        client.send(&Frame::client(TEXT, "Browser.close")).await;
        browser.expect(&Frame::client(TEXT, "Browser.close")).await;
        let die = async {
            browser.send(&reply).await;
            drop(browser);
        };
        tokio::join!(die, client.expect(&reply));
        assert_eq!(client.recv().await.unwrap().code(), Some(1011));
        client.send(&Frame::client(CLOSE, "")).await;
        assert_eq!(client.recv().await, None);
    };
    let (terminal, report, ()) = play(relay, script).await;
    assert_eq!(
        (terminal.cause, terminal.detail),
        (Cause::Upstream, Detail::Vanished(Vanished::Eof))
    );
    assert_eq!(report.to_client.messages, 1);
}

/// The kernel probes a window that stays closed, and the answers say that the peer is alive.
#[tokio::test]
async fn a_live_client_that_does_not_read_stalls_and_has_not_vanished() {
    let limits = Limits {
        write_stall_client: Duration::from_secs(1),
        client_tcp: TcpTimers {
            user_timeout: Some(Duration::from_secs(2)),
            ..TcpTimers::default()
        },
        ..Limits::default()
    };
    let (relay, client, mut browser) = rig(limits).await;
    let mut frame = Frame::browser(BINARY, vec![0; 1 << 16]).bytes();
    frame[2..10].copy_from_slice(&(64_u64 << 20).to_be_bytes());
    frame.resize(10 + (64 << 20), 0);
    let ending = tokio::select! {
        ending = relay.run() => ending,
        // The relay stops reading when the client does, so this cannot end by itself.
        () = browser.send_bytes(&frame) => panic!("64 MiB fit into the sockets"),
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("no stall"),
    };
    let (cause, detail) = (ending.terminal().cause, ending.terminal().detail);
    assert_eq!((cause, detail), (Cause::Client, Detail::WriteStalled));
    assert!(!ending.client_can_be_told());
    drop((client, browser));
    let report = ending.close(std::future::ready(None)).await;
    assert!(report.client_mid_frame);
}

/// A stop has its bound also where the order cannot be written, because the peer reads nothing.
#[tokio::test]
async fn a_stop_ends_a_session_whose_peer_reads_nothing_within_its_bound() {
    let quiet = || {
        let deadline = Instant::now() + Duration::from_millis(300);
        StopMode::Quiet { deadline: deadline.into_std() }
    };
    for (to_client, mode) in [
        (true, StopMode::Soft),
        (true, StopMode::Hard),
        (true, quiet()),
        (false, StopMode::Soft),
        (false, StopMode::Hard),
        (false, quiet()),
    ] {
        let limits = Limits { close_grace: Duration::from_millis(500), ..Limits::default() };
        let (relay, client, browser) = rig(limits).await;
        let (stopper, token) = stop_channel();
        let budget = Budget::new(1 << 30);
        let relay = relay.with_stop(token).with_budget(budget.clone());
        let stalls = async {
            // More than the sockets hold, so that the relay is inside a write from some point on.
            let (mut sender, reader, frame) = match to_client {
                true => (browser, client, Frame::browser(BINARY, vec![1; 64 << 20])),
                false => (client, browser, Frame::client(BINARY, vec![1; 64 << 20])),
            };
            let bytes = frame.bytes();
            let sending = sender.send_bytes(&bytes);
            let stuck = tokio::time::timeout(Duration::from_secs(1), sending).await;
            assert!(stuck.is_err(), "64 MiB fit into the sockets");
            stopper.stop(Stop { side: StopSide::Context, mode, by: "drain" });
            (sender, reader)
        };
        let bounded = tokio::time::timeout(Duration::from_secs(20), play(relay, stalls));
        let (terminal, report, (sender, mut reader)) = bounded.await.expect("it hangs");
        assert_eq!(terminal.detail, Detail::Stopped { by: "drain" }, "{mode:?}");
        // The grace, a second for the rest, and what a busy machine takes.
        assert!(report.teardown < Duration::from_secs(5), "{mode:?}: {:?}", report.teardown);
        assert_eq!(report.client_mid_frame, to_client, "the frame to it was never finished");
        assert_eq!(budget.used(), 0, "buffers were kept");
        // Both sockets are closed: what the kernel still holds is read, and then there is no more.
        drop(sender);
        let mut rest = Vec::new();
        let end = reader.io.read_to_end(&mut rest);
        let ended = tokio::time::timeout(Duration::from_secs(20), end).await;
        assert!(ended.is_ok(), "the socket stayed open");
    }
}
