use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, duplex};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::{Announced, ChildStderr, Drained, MAX_STDERR_LINE, follow_child};
use crate::sources::START_TIMEOUT;
use crate::state::{Cause, Fact, Phase};
use crate::testing::{World, line, ready, until, url};
use crate::url::UrlPolicy;

/// Drains `input` to its end and gives what came out.
async fn drain(input: &[u8]) -> (Vec<Vec<u8>>, Drained, Announced) {
    let (child, announced) = ChildStderr::new(input, UrlPolicy::loopback_port(9222));
    let mut lines = Vec::new();
    let drained = child.drain(|line| lines.push(line.to_vec())).await;
    (lines, drained, announced)
}

#[tokio::test]
async fn every_line_and_the_first_valid_address_come_out() {
    let text = format!("noise\n\n{}after\r\nlast, no newline", line(9222, "a"));
    let (lines, drained, mut announced) = drain(text.as_bytes()).await;
    let announcement = line(9222, "a");
    let expected = ["noise", "", announcement.trim_end(), "after", "last, no newline"];
    assert_eq!(lines, expected.map(|line| line.as_bytes().to_vec()));
    assert_eq!(drained, Drained { lines: 5, ..Drained::default() });
    assert_eq!(announced.url().await, Some(url(9222, "a")));
    assert_eq!(announced.url().await, None);
}

#[tokio::test]
async fn a_process_that_never_announces_itself_gives_no_address() {
    let (_, _, mut announced) = drain(b"only noise\n").await;
    assert_eq!(announced.url().await, None);
    assert_eq!(announced.url().await, None);
}

#[tokio::test]
async fn later_announcements_are_a_page_and_bad_ones_are_passed_over() {
    let world = World::default();
    let publisher = world.publisher();
    let text = [
        "DevTools listening on ws://evil.example:9222/devtools/browser/x\n".to_owned(),
        line(9223, "x"),
        line(9222, "a"),
        line(9222, "a"),
        line(9222, "b"),
        line(9223, "y"),
    ];
    let text = text.concat();
    let (child, mut announced) = ChildStderr::new(text.as_bytes(), UrlPolicy::loopback_port(9222));
    let drained = child.counted_by(publisher.upstream()).drain(|_| ()).await;
    assert_eq!(announced.url().await, Some(url(9222, "a")));
    assert_eq!(drained.refused, 4);
    let refused = publisher.upstream().counts().refused_urls;
    assert_eq!((refused.host, refused.port, refused.other_instance), (1, 2, 1));
}

#[tokio::test]
async fn lines_are_cut_and_the_rest_is_skipped() {
    let text = format!("{}\nnext\n", "x".repeat(MAX_STDERR_LINE * 3));
    let (lines, drained, _) = drain(text.as_bytes()).await;
    assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_STDERR_LINE, 4]);
    assert_eq!(drained.long_lines, 1);
}

#[tokio::test]
async fn a_panicking_sink_stops_neither_the_pipe_nor_the_address() {
    let text = format!("boom\n{}{}", line(9222, "a"), "more\n".repeat(1000));
    let (child, mut announced) = ChildStderr::new(text.as_bytes(), UrlPolicy::default());
    let mut calls = 0;
    let drained = child
        .drain(|_| {
            calls += 1;
            panic!("scripted panic of a sink");
        })
        .await;
    assert_eq!((drained.lines, drained.sink_panicked, calls), (1002, true, 1));
    assert_eq!(announced.url().await, Some(url(9222, "a")));
}

#[tokio::test]
async fn a_pipe_that_nobody_would_read_is_drained_as_long_as_it_is_open() {
    let (mut writer, reader) = duplex(64);
    let (child, mut announced) = ChildStderr::new(reader, UrlPolicy::default());
    let mut lines = 0;
    let write = async {
        writer.write_all(line(9222, "a").as_bytes()).await.unwrap();
        assert_eq!(announced.url().await, Some(url(9222, "a")));
        // Nobody waits for the address any more, and the pipe is far smaller than this.
        for _ in 0..1000 {
            writer.write_all(&[b'x'; 99]).await.unwrap();
            writer.write_all(b"\n").await.unwrap();
        }
        drop(writer);
    };
    let (drained, ()) = timeout(Duration::from_secs(20), async {
        tokio::join!(child.drain(|_| lines += 1), write)
    })
    .await
    .unwrap();
    assert_eq!((lines, drained.lines), (1001, 1001));
}

/// A pipe that fails.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }
}

#[tokio::test]
async fn an_error_of_the_pipe_ends_the_reading_and_is_told() {
    let (child, mut announced) = ChildStderr::new(Broken, UrlPolicy::default());
    let drained = child.drain(|_| ()).await;
    assert_eq!(drained.error, Some(io::ErrorKind::BrokenPipe));
    assert_eq!(announced.url().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_process_is_followed_from_its_start_to_its_end() {
    let publisher = World::default().publisher();
    let upstream = publisher.upstream();
    let crash = Cause::Exited { code: 1 };
    for generation in 1..=2 {
        let (mut stderr, pipe) = duplex(1024);
        let (exit, exited) = oneshot::channel();
        let mut lines = Vec::new();
        let script = async {
            let starting = until(&upstream, "starting", |s| s.phase == Phase::Starting).await;
            assert!(starting.generation == generation || starting.generation == 0);
            stderr.write_all(line(9222, &generation.to_string()).as_bytes()).await.unwrap();
            assert_eq!(ready(&upstream, generation).await, generation.to_string());
            exit.send(crash).unwrap();
            until(&upstream, "down", |s| matches!(s.phase, Phase::Down { .. })).await;
            // What it wrote before it ended is still read.
            stderr.write_all(b"last words\n").await.unwrap();
            drop(stderr);
        };
        let policy = UrlPolicy::default();
        let sink = |line: &[u8]| lines.push(line.to_vec());
        let wait = async { exited.await.unwrap() };
        let follow = follow_child(&publisher, pipe, policy, START_TIMEOUT, sink, wait);
        let (cause, ()) = tokio::join!(follow, script);
        assert_eq!(cause, crash);
        assert_eq!(lines.last().unwrap(), b"last words");
        let end = upstream.current().last_end.unwrap();
        assert_eq!((end.generation, end.cause), (generation, crash));
    }
    assert_eq!(upstream.counts().refused_steps, 0);
}

#[tokio::test(start_paused = true)]
async fn an_ordered_restart_is_not_a_crash() {
    let publisher = World::default().publisher();
    let upstream = publisher.upstream();
    let text = line(9222, "a");
    let (exit, exited) = oneshot::channel();
    let wait = async { exited.await.unwrap() };
    let policy = UrlPolicy::default();
    let follow = follow_child(&publisher, text.as_bytes(), policy, START_TIMEOUT, |_| (), wait);
    let script = async {
        ready(&upstream, 1).await;
        publisher.apply(Fact::RestartRequested);
        exit.send(Cause::Signalled { signal: 15 }).unwrap();
    };
    let (cause, ()) = tokio::join!(follow, script);
    assert_eq!(cause, Cause::Signalled { signal: 15 });
    let end = upstream.current().last_end.unwrap();
    assert_eq!((end.generation, end.cause), (1, Cause::RestartRequested));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_announce_itself_in_time_is_reported_before_it_ends() {
    let publisher = World::default().publisher();
    let upstream = publisher.upstream();
    let (mut stderr, pipe) = duplex(1024);
    let (exit, exited) = oneshot::channel();
    let start = Instant::now();
    let script = async {
        until(&upstream, "down", |s| matches!(s.phase, Phase::Down { .. })).await;
        assert_eq!(start.elapsed(), START_TIMEOUT);
        // Too late: its owner has begun to stop it.
        stderr.write_all(line(9222, "late").as_bytes()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(!upstream.current().is_ready());
        exit.send(Cause::Signalled { signal: 9 }).unwrap();
        // A helper process of the browser keeps the pipe open.
        std::future::pending::<()>().await;
    };
    let policy = UrlPolicy::default();
    let wait = async { exited.await.unwrap() };
    let follow = follow_child(&publisher, pipe, policy, START_TIMEOUT, |_| (), wait);
    let cause = tokio::select! {
        cause = follow => cause,
        () = script => panic!("the script waits for ever"),
    };
    assert_eq!(cause, Cause::Signalled { signal: 9 });
    let end = upstream.current().last_end.unwrap();
    assert_eq!((end.generation, end.cause), (1, Cause::StartTimeout));
    assert!(start.elapsed() < START_TIMEOUT + Duration::from_secs(4));
}
