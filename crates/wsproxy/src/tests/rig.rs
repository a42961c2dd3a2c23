//! A session between two peers that a test plays.

use crate::close::CloseFrame;
use crate::endpoint::Endpoint;
use crate::limits::Limits;
use crate::relay::Relay;
use crate::report::RelayReport;
use crate::testing::{Frame, decode_one};
use crate::verdict::Terminal;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::time::Instant;

/// One side, played by the test.
pub(crate) struct Peer<S> {
    pub(crate) io: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, frame: &Frame) {
        self.send_bytes(&frame.bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.expect("the relay reads");
        self.io.flush().await.expect("the relay reads");
    }

    /// The next frame; `None` at the end of the stream.
    ///
    /// # Panics
    ///
    /// If the stream ends inside a frame.
    pub(crate) async fn recv(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, end)) = decode_one(&self.read) {
                self.read.drain(..end);
                return Some(frame);
            }
            if self.io.read_buf(&mut self.read).await.expect("the relay closes cleanly") == 0 {
                assert!(self.read.is_empty(), "the stream ends inside a frame");
                return None;
            }
        }
    }

    pub(crate) async fn expect(&mut self, frame: &Frame) {
        let got = self.recv().await.expect("a frame, not the end");
        let unmasked = |frame: &Frame| Frame { mask: None, ..frame.clone() };
        assert!(unmasked(&got) == unmasked(frame), "got {}, expected {}", show(&got), show(frame));
    }

    /// All bytes up to the end of the stream.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.read);
        self.io.read_to_end(&mut rest).await.expect("the relay closes cleanly");
        rest
    }
}

fn show(frame: &Frame) -> String {
    let payload = &frame.payload[..frame.payload.len().min(40)];
    let payload = String::from_utf8_lossy(payload);
    format!("opcode {} fin {} of {}: {payload:?}", frame.opcode, frame.fin, frame.payload.len())
}

pub(crate) type Duplex = Relay<DuplexStream, DuplexStream>;

/// A session over streams that hold 64 KiB each way.
pub(crate) fn rig(limits: Limits) -> (Duplex, Peer<DuplexStream>, Peer<DuplexStream>) {
    rig_with(limits, 64 * 1024, 64 * 1024)
}

/// The same, with what the stream of the client and of the browser holds each way.
pub(crate) fn rig_with(
    limits: Limits,
    client_holds: usize,
    browser_holds: usize,
) -> (Duplex, Peer<DuplexStream>, Peer<DuplexStream>) {
    limits.validate().expect("limits");
    let (client, client_side) = tokio::io::duplex(client_holds);
    let (browser, browser_side) = tokio::io::duplex(browser_holds);
    let relay = Relay::new(client_side, browser_side, Arc::new(limits));
    (relay, Peer::new(client), Peer::new(browser))
}

/// Runs a session to its end; the client gets the Close that the terminal event suggests.
pub(crate) async fn finish<C: Endpoint, U: Endpoint>(
    relay: Relay<C, U>,
) -> (Terminal, RelayReport) {
    let ending = relay.run().await;
    let terminal = ending.terminal().clone();
    let close = terminal.suggested_client_close();
    let report = ending.close(std::future::ready(close)).await;
    assert!(report.teardown <= Duration::from_secs(3), "teardown took {:?}", report.teardown);
    assert_eq!((report.cause, report.detail), (terminal.cause, terminal.detail));
    (terminal, report)
}

/// Runs a session and a script beside it.
pub(crate) async fn play<C: Endpoint, U: Endpoint, T>(
    relay: Relay<C, U>,
    script: impl Future<Output = T>,
) -> (Terminal, RelayReport, T) {
    let ((terminal, report), played) = tokio::join!(finish(relay), script);
    (terminal, report, played)
}

/// Runs a session with an owner that decides about the client's Close by itself.
pub(crate) async fn finish_with<C: Endpoint, U: Endpoint>(
    relay: Relay<C, U>,
    decide: impl Future<Output = Option<CloseFrame>>,
) -> RelayReport {
    relay.run().await.close(decide).await
}

/// Lets everything happen that can happen without time passing.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn since(start: Instant) -> Duration {
    start.elapsed()
}
