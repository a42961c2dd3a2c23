//! The order of what one poll finds, failing streams, panics.

use super::rig::{finish, play, rig};
use crate::close::CloseFrame;
use crate::endpoint::Endpoint;
use crate::limits::Limits;
use crate::relay::Relay;
use crate::report::{CloseSent, RelayReport};
use crate::stop::{Stop, StopMode, StopSide, stop_channel};
use crate::testing::{BINARY, CLOSE, Frame, TEXT, close_payload, decode};
use crate::verdict::{Cause, Detail, Terminal, Vanished};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the next read yields.
enum Read {
    Bytes(Vec<u8>),
    /// Nothing now; the next read goes on.
    Wait,
    Eof,
    Fail(io::ErrorKind),
    Panic,
}

/// How writes go.
enum Write {
    Take,
    Never,
    Fail(io::ErrorKind),
}

struct Scripted {
    reads: VecDeque<Read>,
    write: Write,
    written: Arc<Mutex<Vec<u8>>>,
    last_ack: Option<Duration>,
}

impl Scripted {
    fn new(reads: impl IntoIterator<Item = Read>, write: Write) -> Self {
        let reads = reads.into_iter().collect();
        Self { reads, write, written: Arc::default(), last_ack: None }
    }

    /// Reads nothing, takes everything.
    fn silent() -> Self {
        Self::new([], Write::Take)
    }

    fn frames(reads: impl IntoIterator<Item = Frame>) -> Self {
        Self::new(reads.into_iter().map(|frame| Read::Bytes(frame.bytes())), Write::Take)
    }
}

impl Endpoint for Scripted {
    fn since_last_ack(&self) -> Option<Duration> {
        self.last_ack
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.reads.pop_front() {
            None => Poll::Pending,
            Some(Read::Wait) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Read::Bytes(mut bytes)) => {
                let n = bytes.len().min(buf.remaining());
                buf.put_slice(&bytes[..n]);
                bytes.drain(..n);
                if !bytes.is_empty() {
                    self.reads.push_front(Read::Bytes(bytes));
                }
                Poll::Ready(Ok(()))
            }
            Some(Read::Eof) => {
                self.reads.push_front(Read::Eof);
                Poll::Ready(Ok(()))
            }
            Some(Read::Fail(kind)) => Poll::Ready(Err(kind.into())),
            Some(Read::Panic) => panic!("injected"),
        }
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.write {
            Write::Take => {
                self.written.lock().unwrap().extend_from_slice(buf);
                Poll::Ready(Ok(buf.len()))
            }
            Write::Never => Poll::Pending,
            Write::Fail(kind) => Poll::Ready(Err(kind.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Ended {
    terminal: Terminal,
    report: RelayReport,
    to_client: Vec<Frame>,
    to_browser: Vec<Frame>,
}

async fn end(client: Scripted, browser: Scripted) -> Ended {
    let (to_client, to_browser) = (Arc::clone(&client.written), Arc::clone(&browser.written));
    let (terminal, report) = finish(Relay::new(client, browser, Arc::default())).await;
    let frames = |bytes: Arc<Mutex<Vec<u8>>>| decode(&bytes.lock().unwrap());
    Ended { terminal, report, to_client: frames(to_client), to_browser: frames(to_browser) }
}

fn close(code: u16) -> Frame {
    Frame::client(CLOSE, close_payload(code, ""))
}

fn browser_close(code: u16) -> Frame {
    Frame::browser(CLOSE, close_payload(code, ""))
}

#[tokio::test(start_paused = true)]
async fn of_a_close_and_a_dead_browser_in_one_poll_the_close_is_first() {
    let browser = Scripted::new([Read::Eof], Write::Fail(io::ErrorKind::BrokenPipe));
    let ended = end(Scripted::frames([close(1000)]), browser).await;
    assert_eq!(ended.terminal.cause, Cause::Client);
    assert_eq!(ended.terminal.detail, Detail::Closed { code: Some(1000) });
    assert_eq!(ended.to_client, [browser_close(1000)]);
    assert_eq!(ended.report.browser_close_sent, CloseSent::No);
}

#[tokio::test(start_paused = true)]
async fn of_two_reads_in_one_poll_the_client_s_is_first() {
    let ended =
        end(Scripted::new([Read::Eof], Write::Take), Scripted::frames([browser_close(1000)])).await;
    assert_eq!(ended.terminal.cause, Cause::Client);
    let ended = end(
        Scripted::new([Read::Fail(io::ErrorKind::ConnectionReset)], Write::Take),
        Scripted::new([Read::Eof], Write::Take),
    )
    .await;
    assert_eq!(ended.terminal.cause, Cause::Client);
    assert_eq!(ended.terminal.detail, Detail::Vanished(Vanished::Reset));
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_same_poll_is_before_everything() {
    let (stopper, token) = stop_channel();
    stopper.stop(Stop { side: StopSide::Context, mode: StopMode::Soft, by: "drain" });
    let client = Scripted::frames([close(1000)]);
    let relay = Relay::new(client, Scripted::new([Read::Eof], Write::Take), Arc::default());
    let (terminal, _) = finish(relay.with_stop(token)).await;
    assert_eq!(terminal.detail, Detail::Stopped { by: "drain" });
}

#[tokio::test(start_paused = true)]
async fn a_read_comes_before_a_failing_write() {
    let client = Scripted::frames([Frame::client(TEXT, "x")]);
    let browser = Scripted::new(
        [Read::Bytes(browser_close(1001).bytes())],
        Write::Fail(io::ErrorKind::BrokenPipe),
    );
    let ended = end(client, browser).await;
    assert_eq!(ended.terminal.detail, Detail::Closed { code: Some(1001) });
}

#[tokio::test(start_paused = true)]
async fn a_close_that_was_sent_before_a_write_failed_wins_over_the_error() {
    let client = Scripted::frames([Frame::client(TEXT, "x")]);
    let reply = Frame::browser(TEXT, "reply");
    let bytes = [reply.bytes(), browser_close(4001).bytes()].concat();
    let browser =
        Scripted::new([Read::Wait, Read::Bytes(bytes)], Write::Fail(io::ErrorKind::BrokenPipe));
    let ended = end(client, browser).await;
    assert_eq!(ended.terminal.cause, Cause::Upstream);
    assert_eq!(ended.terminal.detail, Detail::Closed { code: Some(4001) });
    assert_eq!(ended.to_client, [reply, browser_close(4001)]);
    assert_eq!(ended.report.to_browser.messages, 0, "a message whose write failed is not counted");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_and_drops_while_we_write_has_closed() {
    let client = Scripted::new(
        [Read::Wait, Read::Bytes(close(1000).bytes()), Read::Eof],
        Write::Fail(io::ErrorKind::ConnectionReset),
    );
    let ended = end(client, Scripted::frames([Frame::browser(TEXT, "late reply")])).await;
    assert_eq!(ended.terminal.cause, Cause::Client);
    assert_eq!(ended.terminal.detail, Detail::Closed { code: Some(1000) });
    assert_eq!(ended.to_browser.len(), 1);
    assert_eq!(ended.to_browser[0].code(), Some(1000));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_a_failed_browser_left_behind_are_delivered() {
    let client = Scripted::frames([Frame::client(TEXT, "x")]);
    let replies: Vec<_> = (0..5).map(|i| Frame::browser(BINARY, vec![i; 100_000])).collect();
    let mut reads = vec![Read::Wait];
    reads.extend(replies.iter().map(|reply| Read::Bytes(reply.bytes())));
    reads.push(Read::Bytes(Frame::browser(BINARY, vec![9; 100_000]).bytes()[..500].to_vec()));
    reads.push(Read::Fail(io::ErrorKind::ConnectionReset));
    let browser = Scripted::new(reads, Write::Fail(io::ErrorKind::BrokenPipe));
    let written = Arc::clone(&client.written);
    let (terminal, report) = finish(Relay::new(client, browser, Arc::default())).await;
    assert_eq!(
        (terminal.cause, terminal.detail),
        (Cause::Upstream, Detail::Vanished(Vanished::Reset))
    );
    assert_eq!(report.to_client.messages, 5);
    assert!(report.client_mid_frame, "the last one was cut");
    assert_eq!(decode(&written.lock().unwrap()[..5 * 100_010]), replies);
}

#[tokio::test(start_paused = true)]
async fn ways_to_fail_are_told_apart() {
    for (kind, how) in [
        (io::ErrorKind::ConnectionReset, Vanished::Reset),
        (io::ErrorKind::TimedOut, Vanished::TimedOut),
        (io::ErrorKind::InvalidData, Vanished::Tls),
    ] {
        let ended = end(Scripted::new([Read::Fail(kind)], Write::Take), Scripted::silent()).await;
        assert_eq!(ended.terminal.cause, Cause::Client);
        assert_eq!(ended.terminal.detail, Detail::Vanished(how));
        let ended = end(Scripted::silent(), Scripted::new([Read::Fail(kind)], Write::Take)).await;
        assert_eq!(ended.terminal.cause, Cause::Upstream);
        assert_eq!(ended.terminal.detail, Detail::Vanished(how));
        assert_eq!(ended.to_client[0].code(), Some(1011));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_acknowledgement_tells_a_slow_client_from_a_dead_one() {
    // The stall is 45 s, so the border is at 33.75 s.
    for (last_ack, detail) in [
        (None, Detail::WriteStalled),
        (Some(Duration::from_millis(33_750)), Detail::WriteStalled),
        (Some(Duration::from_millis(33_751)), Detail::Vanished(Vanished::TimedOut)),
    ] {
        let client = Scripted { last_ack, ..Scripted::new([], Write::Never) };
        let ended = end(client, Scripted::frames([Frame::browser(TEXT, "x")])).await;
        assert_eq!((ended.terminal.cause, ended.terminal.detail), (Cause::Client, detail));
        assert_eq!(ended.report.to_client.stall, Duration::from_secs(45));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_session_and_both_sides_are_told() {
    let text = Read::Bytes(Frame::client(TEXT, "x").bytes());
    let answer = Read::Bytes(close(1011).bytes());
    let client = Scripted::new([text, Read::Wait, Read::Wait, answer], Write::Take);
    let browser = Scripted::new([Read::Wait, Read::Panic], Write::Take);
    let ended = end(client, browser).await;
    assert_eq!((ended.terminal.cause, ended.terminal.detail), (Cause::Context, Detail::Panicked));
    assert_eq!(ended.to_client[0].code(), Some(1011));
    assert_eq!(ended.to_browser.last().unwrap().code(), Some(1001));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_on_panicking_ends_the_closing_too() {
    let browser = Scripted::new([Read::Wait, Read::Panic, Read::Panic], Write::Take);
    let ended = end(Scripted::silent(), browser).await;
    assert_eq!(ended.terminal.detail, Detail::Panicked);
}

#[tokio::test(start_paused = true)]
async fn the_same_peers_end_the_same_way_every_time() {
    for _ in 0..200 {
        let (relay, mut client, browser) = rig(Limits::default());
        let script = async {
            let close = close(1000);
            tokio::join!(client.send(&close), async { drop(browser) });
            client
        };
        let (terminal, _, _client) = play(relay, script).await;
        assert_eq!(terminal.cause, Cause::Client);
        assert_eq!(terminal.close, CloseFrame::parse(&close_payload(1000, "")).ok());
    }
}
