//! The standard error of a browser process that we started.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::announce::{AnnounceScanner, PrefixForm, RefusedUrl, Scan};
use crate::counts::UrlRefusal;
use crate::lines::LineCutter;
use crate::publish::{Publisher, Upstream};
use crate::state::{Cause, Fact, Phase};
use crate::url::{UrlPolicy, WsUrl};

/// Longest line that the sink gets and that is matched.
pub const MAX_STDERR_LINE: usize = 8 * 1024;
/// Bytes that are read at a time.
const CHUNK: usize = 8 * 1024;
/// How long the pipe is read after the process has ended. A helper process that it left behind
/// may hold the pipe open for ever.
const DRAIN_AFTER_EXIT: Duration = Duration::from_secs(1);

/// Reads one end of a pipe for the life of a process: hands out the first valid address, every
/// line, and never lets the pipe fill up.
///
/// One value serves one process; a new process gets a new one.
#[derive(Debug)]
#[must_use = "a pipe that nobody drains blocks the process when it is full"]
pub struct ChildStderr<R> {
    pipe: R,
    scanner: AnnounceScanner,
    found: Option<oneshot::Sender<WsUrl>>,
    first: Option<WsUrl>,
    counts: Option<Upstream>,
}

/// The first valid address of a process, when it comes.
#[derive(Debug)]
pub struct Announced {
    url: oneshot::Receiver<WsUrl>,
}

impl Announced {
    /// Waits for the address. `None`: the pipe was closed, or its reader dropped, without one.
    /// The address is handed out once; after that the answer is `None`.
    ///
    /// # Cancel safety
    /// A dropped wait loses nothing.
    pub async fn url(&mut self) -> Option<WsUrl> {
        if self.url.is_terminated() {
            return None;
        }
        (&mut self.url).await.ok()
    }
}

/// What was read until the pipe was closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Lines, the last one included if no newline ended it.
    pub lines: u64,
    /// Lines that were longer than [`MAX_STDERR_LINE`]; the rest of each was skipped.
    pub long_lines: u64,
    /// Announcements that were not accepted.
    pub refused: u64,
    /// The sink panicked at some line. It was not called again; the pipe was still drained.
    pub sink_panicked: bool,
    /// The error that ended the reading, if it was not the end of the pipe.
    pub error: Option<std::io::ErrorKind>,
}

impl<R: AsyncRead + Unpin> ChildStderr<R> {
    /// A reader for the pipe of one process, and the address that it will find.
    pub fn new(pipe: R, policy: UrlPolicy) -> (Self, Announced) {
        let (found, url) = oneshot::channel();
        let scanner = AnnounceScanner::new(policy, PrefixForm::None);
        (Self { pipe, scanner, found: Some(found), first: None, counts: None }, Announced { url })
    }

    /// Counts and logs refused addresses with those of `upstream`.
    pub fn counted_by(mut self, upstream: Upstream) -> Self {
        self.counts = Some(upstream);
        self
    }

    /// Reads until the pipe is closed. `sink` gets each line without its newline, cut at
    /// [`MAX_STDERR_LINE`]. It is called in the middle of reading, so it must not wait: it stores
    /// the line, or drops it.
    ///
    /// # Cancel safety
    /// Dropping the future closes the pipe; the process gets an error when it writes.
    pub async fn drain(mut self, mut sink: impl FnMut(&[u8])) -> Drained {
        let mut drained = Drained::default();
        let mut cutter = LineCutter::new(MAX_STDERR_LINE);
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match self.pipe.read(&mut chunk).await {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => {
                    drained.error = Some(error.kind());
                    break;
                }
            };
            cutter.push(&chunk[..read], |line| self.look_at(line, &mut sink, &mut drained));
            if let Some(upstream) = &self.counts {
                upstream.count_long_lines(cutter.long_lines() - drained.long_lines);
            }
            drained.long_lines = cutter.long_lines();
            // A pipe that always has something must not hold its thread.
            tokio::task::consume_budget().await;
        }
        cutter.finish(|line| self.look_at(line, &mut sink, &mut drained));
        drained
    }

    fn look_at(&mut self, line: &[u8], sink: &mut impl FnMut(&[u8]), drained: &mut Drained) {
        drained.lines += 1;
        if !drained.sink_panicked {
            drained.sink_panicked = catch_unwind(AssertUnwindSafe(|| sink(line))).is_err();
        }
        match self.scanner.scan(line) {
            Scan::Announced(url) => match &self.first {
                None => {
                    self.first = Some(url.clone());
                    if let Some(found) = self.found.take() {
                        // Nobody may be waiting for it.
                        let _ = found.send(url);
                    }
                }
                // A process announces itself once. Another address comes from a page.
                Some(first) if *first != url => {
                    self.refused(UrlRefusal::OtherInstance, url.host(), drained);
                }
                Some(_) => {}
            },
            Scan::Refused(RefusedUrl { why, host }) => {
                self.refused(UrlRefusal::Form(why), &host, drained);
            }
            Scan::Nothing => {}
        }
    }

    fn refused(&self, why: UrlRefusal, host: &str, drained: &mut Drained) {
        drained.refused += 1;
        if let Some(upstream) = &self.counts {
            upstream.refused_url(why, host, 1);
        }
    }
}

/// Follows one process from its start to its end: applies [`Fact::Starting`] unless the owner has
/// done so, [`Fact::Ready`] with its first valid address, [`Cause::StartTimeout`] if none comes
/// within `start_timeout`, and the cause that `exited` returns. Returns that cause, after the pipe
/// was drained.
///
/// `exited` is the owner's wait on the process. A process that has not announced itself in time is
/// reported and goes on running: its owner sees that and stops it.
///
/// # Cancel safety
/// Dropping the future closes the pipe and reports nothing more; the process is not touched.
pub async fn follow_child<R, E>(
    publisher: &Publisher,
    stderr: R,
    policy: UrlPolicy,
    start_timeout: Duration,
    sink: impl FnMut(&[u8]),
    exited: E,
) -> Cause
where
    R: AsyncRead + Unpin,
    E: Future<Output = Cause>,
{
    let deadline = Instant::now() + start_timeout;
    let before = publisher.current();
    if before.phase != Phase::Starting || before.generation == 0 {
        publisher.apply(Fact::Starting);
    }
    let started = publisher.current();
    let (stderr, mut announced) = ChildStderr::new(stderr, policy);
    let mut drain = pin!(stderr.counted_by(publisher.upstream()).drain(sink));
    let mut exited = pin!(exited);
    let mut open = true;
    let mut waiting = true;
    let mut unannounced = true;
    let cause = loop {
        tokio::select! {
            // An end that is known comes before an address that was printed just before it.
            biased;
            cause = &mut exited => break cause,
            _ = &mut drain, if open => open = false,
            url = announced.url(), if waiting => {
                waiting = false;
                if let Some(url) = url {
                    unannounced = false;
                    publisher.apply_if(&started, Fact::Ready { url });
                }
            }
            () = sleep_until(deadline), if unannounced => {
                unannounced = false;
                publisher.apply_if(&started, Fact::Ended { cause: Cause::StartTimeout });
            }
        }
    };
    publisher.apply(Fact::EndedOf { generation: started.generation, cause });
    if open {
        drain_rest(drain).await;
    }
    cause
}

async fn drain_rest(drain: Pin<&mut impl Future<Output = Drained>>) {
    let _ = timeout(DRAIN_AFTER_EXIT, drain).await;
}

#[cfg(test)]
mod tests;
