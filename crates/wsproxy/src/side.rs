//! One peer of a session: its stream, our control frames to it, and how long it keeps us waiting.

use crate::endpoint::Endpoint;
use crate::found::Found;
use crate::frame::Sender;
use crate::lane::Lane;
use crate::limits::Limits;
use crate::outbox::{Control, Outbox};
use crate::pool::{Budget, Lease};
use crate::tally::Observe;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::ReadBuf;

/// The clock of tokio, so that paused time works.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// `by` after `at`; far away if that is beyond what an `Instant` holds, since a limit that is set to
/// a huge value means "never".
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    at.checked_add(by).unwrap_or_else(|| at + FAR)
}

/// Where buffers are borrowed.
#[derive(Debug)]
pub(crate) struct Buffers {
    full: usize,
    least: usize,
    budget: Option<Budget>,
}

impl Buffers {
    pub(crate) fn new(limits: &Limits) -> Self {
        let least = limits.least_buffer();
        // Limits that nobody validated must not make a buffer in which a frame never fits.
        Self { full: limits.buffer.max(least), least, budget: None }
    }

    pub(crate) fn set_budget(&mut self, budget: Budget) {
        self.budget = Some(budget);
    }

    pub(crate) fn budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
    }

    #[inline]
    fn take(&self, needed: usize) -> Lease {
        Lease::take(self.full, self.least.max(needed), self.budget.as_ref())
    }
}

/// What a read found.
pub(crate) enum Input {
    Found(Found),
    Eof,
    Failed(io::Error),
}

/// What a round of writes did.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) any: bool,
    pub(crate) data: bool,
    /// Something is left to write, and the task is woken when it can be.
    pub(crate) blocked: bool,
}

#[derive(Debug)]
pub(crate) struct Side<E> {
    /// `None` once it is closed.
    pub(crate) io: Option<E>,
    pub(crate) outbox: Outbox,
    needs_flush: bool,
    blocked_since: Option<Instant>,
    stalled: Duration,
    pub(crate) pongs_sent: u64,
    pub(crate) close_sent: bool,
}

impl<E: Endpoint> Side<E> {
    /// `peer` is who is at the other end.
    pub(crate) fn new(io: E, peer: Sender) -> Self {
        let role = match peer {
            Sender::Client => Sender::Browser,
            Sender::Browser => Sender::Client,
        };
        Self {
            io: Some(io),
            outbox: Outbox::new(role),
            needs_flush: false,
            blocked_since: None,
            stalled: Duration::ZERO,
            pongs_sent: 0,
            close_sent: false,
        }
    }

    /// Since when a write waits without a byte of progress.
    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    /// How long writes waited up to now, added up.
    pub(crate) fn stalled(&self, now: Instant) -> Duration {
        let waits = self.blocked_since.map(|since| now.saturating_duration_since(since));
        self.stalled + waits.unwrap_or_default()
    }

    pub(crate) fn since_last_ack(&self) -> Option<Duration> {
        self.io.as_ref().and_then(Endpoint::since_last_ack)
    }

    /// Whether there is anything to write or to flush here.
    #[inline]
    pub(crate) fn has_output(&self, lane: &Lane) -> bool {
        !lane.wants_input() || !self.outbox.is_empty() || self.needs_flush
    }

    /// One read into the lane that leads away from here. Only if the lane wants input.
    #[inline]
    pub(crate) fn poll_input(
        &mut self,
        lane: &mut Lane,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<Input> {
        if let Some(found) = lane.take_held(|needed| buffers.take(needed)) {
            return Poll::Ready(Input::Found(found));
        }
        let Some(io) = &mut self.io else { return Poll::Pending };
        match io.poll_readable(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Input::Failed(error)),
            Poll::Pending => {
                lane.park();
                return Poll::Pending;
            }
        }
        let mut buf = ReadBuf::new(lane.room(|needed| buffers.take(needed)));
        match Pin::new(io).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) => {
                let n = buf.filled().len();
                Poll::Ready(if n == 0 { Input::Eof } else { Input::Found(lane.filled(n)) })
            }
            Poll::Ready(Err(error)) => Poll::Ready(Input::Failed(error)),
            Poll::Pending => {
                lane.park();
                Poll::Pending
            }
        }
    }

    /// One read past the relay, of at most `left` bytes that are all payload of one frame. Only if
    /// the lane wants input.
    #[inline(never)]
    pub(crate) fn poll_unseen(
        &mut self,
        lane: &mut Lane,
        left: u64,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<Input> {
        // What was read is written: the buffer is for others.
        lane.park();
        let socket = self.io.as_ref().and_then(Endpoint::socket);
        let (Some(socket), Some(pipe)) = (socket, lane.pipe()) else {
            return self.poll_input(lane, buffers, cx);
        };
        loop {
            match socket.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Input::Failed(error)),
                Poll::Pending => return Poll::Pending,
            }
            match pipe.fill(socket, left) {
                Ok(0) => return Poll::Ready(Input::Eof),
                Ok(n) => {
                    lane.read_unseen(n);
                    return Poll::Ready(Input::Found(Found { data: true, rare: None }));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    lane.refuse_pipe();
                    return self.poll_input(lane, buffers, cx);
                }
                Err(error) => return Poll::Ready(Input::Failed(error)),
            }
        }
    }

    /// Writes what is in the lane's pipe.
    #[inline(never)]
    fn write_unseen(
        &mut self,
        lane: &mut Lane,
        observer: &mut impl Observe,
        output: &mut Output,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        let Some(socket) = self.io.as_ref().and_then(Endpoint::socket) else { return Ok(()) };
        while let Some(pipe) = lane.full_pipe() {
            match socket.poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    output.blocked = true;
                    return Ok(());
                }
            }
            match pipe.empty(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    output.any = true;
                    output.data = true;
                    lane.wrote_unseen(n, observer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// After a failed write: what the peer sent before, without waiting.
    pub(crate) fn last_look(
        &mut self,
        lane: &mut Lane,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> Option<Found> {
        let mut buf = ReadBuf::new(lane.room_behind(|needed| buffers.take(needed))?);
        let read = Pin::new(self.io.as_mut()?).poll_read(cx, &mut buf);
        let n = buf.filled().len();
        match read {
            Poll::Ready(Ok(())) if n > 0 => Some(lane.filled(n)),
            Poll::Ready(_) | Poll::Pending => None,
        }
    }

    /// One read that is thrown away. Ready with whether there may be more.
    pub(crate) fn poll_swallow(&mut self, buffers: &Buffers, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(io) = &mut self.io else { return Poll::Ready(false) };
        if ready!(io.poll_readable(cx)).is_err() {
            return Poll::Ready(false);
        }
        let mut lease = buffers.take(1);
        let mut buf = ReadBuf::new(lease.bytes_mut());
        let read = ready!(Pin::new(io).poll_read(cx, &mut buf));
        Poll::Ready(read.is_ok() && !buf.filled().is_empty())
    }

    /// Writes what the lane that leads here holds, and our own frames where they fit.
    pub(crate) fn poll_output(
        &mut self,
        lane: &mut Lane,
        observer: &mut impl Observe,
        cx: &mut Context<'_>,
    ) -> io::Result<Output> {
        let mut output = Output::default();
        if !self.outbox.is_empty() {
            self.write_own(lane, observer, &mut output, cx)?;
        }
        // What is left of our own goes first.
        if !output.blocked {
            while let bytes @ [_, ..] = lane.front() {
                let Some(n) = poll_write(&mut self.io, bytes, &mut output, cx)? else { break };
                output.data = true;
                lane.wrote(n, observer);
            }
            if lane.piped() > 0 && !output.blocked {
                self.write_unseen(lane, observer, &mut output, cx)?;
            }
        }
        self.needs_flush |= output.any;
        if self.needs_flush {
            self.flush(&mut output, cx)?;
        }
        if output.blocked || self.blocked_since.is_some() {
            self.account(&output);
        }
        Ok(output)
    }

    /// Writes our own frames, and of the lane what has to go before them: to the end of its frame.
    #[cold]
    fn write_own(
        &mut self,
        lane: &mut Lane,
        observer: &mut impl Observe,
        output: &mut Output,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        while !self.outbox.is_empty() {
            if lane.at_boundary() {
                self.outbox.begin();
            }
            let own = self.outbox.is_writing();
            let bytes = if own { self.outbox.front() } else { lane.front_to_boundary() };
            if bytes.is_empty() {
                // The rest of the frame has yet to be read.
                return Ok(());
            }
            let Some(n) = poll_write(&mut self.io, bytes, output, cx)? else { return Ok(()) };
            if !own {
                output.data = true;
                lane.wrote(n, observer);
                continue;
            }
            match self.outbox.wrote(n) {
                Some(Control::Pong) => self.pongs_sent += 1,
                Some(Control::Close) => self.close_sent = true,
                Some(Control::Ping) | None => {}
            }
        }
        Ok(())
    }

    fn flush(&mut self, output: &mut Output, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(io) = &mut self.io else { return Ok(()) };
        match Pin::new(io).poll_flush(cx) {
            Poll::Ready(flushed) => {
                self.needs_flush = false;
                flushed
            }
            Poll::Pending => {
                output.blocked = true;
                Ok(())
            }
        }
    }

    /// Keeps the time that writes wait.
    #[cold]
    fn account(&mut self, output: &Output) {
        // One that ended with a flush alone had no bytes left.
        if (output.any || !output.blocked)
            && let Some(since) = self.blocked_since.take()
        {
            self.stalled += now().saturating_duration_since(since);
        }
        if output.blocked && self.blocked_since.is_none() {
            self.blocked_since = Some(now());
        }
    }

    /// Whether everything that was written has been flushed too.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.needs_flush
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.io {
            Some(io) => Pin::new(io).poll_shutdown(cx).map(|_| ()),
            None => Poll::Ready(()),
        }
    }
}

/// One write; `None` if the stream takes nothing now.
#[inline]
fn poll_write<E: Endpoint>(
    io: &mut Option<E>,
    bytes: &[u8],
    output: &mut Output,
    cx: &mut Context<'_>,
) -> io::Result<Option<usize>> {
    let Some(io) = io else { return Ok(None) };
    match Pin::new(io).poll_write(cx, bytes) {
        Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
        Poll::Ready(Ok(n)) => {
            output.any = true;
            Ok(Some(n))
        }
        Poll::Ready(Err(error)) => Err(error),
        Poll::Pending => {
            output.blocked = true;
            Ok(None)
        }
    }
}
