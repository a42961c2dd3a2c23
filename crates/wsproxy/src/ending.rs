//! The second half of a session: both sides are told and closed.

use crate::close::CloseFrame;
use crate::closing::{Clock, Closer};
use crate::end::End;
use crate::endpoint::Endpoint;
use crate::lane::Lane;
use crate::observe::FromClient;
use crate::plan;
use crate::report::{CloseSent, DirectionReport, FirstClose, Moment, Party, RelayReport};
use crate::session::{ROUNDS, Session};
use crate::side::{Side, later, now};
use crate::verdict::{Cause, Detail, Terminal};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

/// What the closing may take beyond `Limits::close_grace`.
const AFTER_GRACE: Duration = Duration::from_secs(1);

/// A session whose end is known and whose sockets are still open.
#[must_use = "both sockets are dropped without a Close"]
pub struct Ending<C, U> {
    inner: Box<Inner<C, U>>,
}

struct Inner<C, U> {
    session: Box<Session<C, U>>,
    terminal: Terminal,
    client: Closer,
    browser: Closer,
    first_close: Option<FirstClose>,
    clock: Clock,
    /// How long writes to the client and to the browser waited, up to the terminal event.
    stalls: [Duration; 2],
}

impl<C, U> fmt::Debug for Ending<C, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").field("terminal", &self.inner.terminal).finish_non_exhaustive()
    }
}

impl<C: Endpoint, U: Endpoint> Ending<C, U> {
    pub(crate) fn new(mut session: Box<Session<C, U>>, end: End) -> Self {
        let at = now();
        let plan = plan::plan(&end);
        plan::apply(plan.up, &mut session.up);
        plan::apply(plan.down, &mut session.down);
        session.observers.quiet = None;
        session.client.outbox.forget();
        session.browser.outbox.forget();
        let first_close = end.close.as_ref().map(|close| FirstClose {
            by: match end.cause {
                Cause::Client => Party::Client,
                Cause::Upstream => Party::Browser,
                Cause::Context => Party::Proxy,
            },
            code: close.code().map(|code| code.get()),
            text: close.text().into(),
        });
        let terminal = Terminal {
            cause: end.cause,
            detail: end.detail,
            at,
            wall: SystemTime::now(),
            mid_frame: end.mid_frame,
            close: end.close,
        };
        let grace = session.limits.close_grace;
        let inner = Inner {
            client: Closer::new(plan.client, None),
            browser: Closer::new(plan.browser, Some(terminal.browser_close())),
            clock: Clock {
                now: at,
                grace,
                deliver_until: later(at, grace),
                end: later(at, grace.saturating_add(AFTER_GRACE)),
            },
            stalls: [session.client.stalled(at), session.browser.stalled(at)],
            session,
            terminal,
            first_close,
        };
        Self { inner: Box::new(inner) }
    }

    /// What ended the session.
    pub fn terminal(&self) -> &Terminal {
        &self.inner.terminal
    }

    /// Whether a Close can still be written to the client: it has not vanished, and no frame to it
    /// is open that can never be finished. If not, its code need not be decided.
    #[must_use]
    pub fn client_can_be_told(&self) -> bool {
        self.inner.client.may_write() && !self.inner.session.down.is_dead_end()
    }

    /// Closes both sides and reports.
    ///
    /// The upstream's close starts at once. The client's Close is what `client_close` resolves to,
    /// awaited at the same time: `None` writes none. If it takes longer than `Limits::close_grace`
    /// after the terminal event, [`Terminal::suggested_client_close`] is used. The whole is over
    /// one second after `close_grace` at the latest, counted from the terminal event.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops what is still open of both sockets.
    pub async fn close<F>(self, client_close: F) -> RelayReport
    where
        F: Future<Output = Option<CloseFrame>>,
    {
        let mut inner = self.inner;
        let mut client_close = pin!(client_close);
        poll_fn(|cx| {
            if !inner.client.is_decided()
                && let Poll::Ready(close) = client_close.as_mut().poll(cx)
            {
                inner.client.decide(close);
            }
            // The owner's future panics for itself; a stream's panic only ends the closing.
            let polled = catch_unwind(AssertUnwindSafe(|| inner.poll_close(cx)));
            polled.unwrap_or(Poll::Ready(()))
        })
        .await;
        let report = inner.report();
        log(&report);
        report
    }
}

impl<C: Endpoint, U: Endpoint> Inner<C, U> {
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stopped = matches!(self.terminal.detail, Detail::Stopped { .. });
        if stopped && self.session.poll_harder(cx) {
            self.session.up.cut_short();
            self.session.down.cut_short();
        }
        loop {
            self.clock.now = now();
            if !self.client.is_decided() && self.clock.deliver_until <= self.clock.now {
                self.client.decide(self.terminal.suggested_client_close());
            }
            let mut rounds = 0;
            while self.step(cx) {
                rounds += 1;
                if rounds == ROUNDS {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            if self.client.is_closed() && self.browser.is_closed() {
                return Poll::Ready(());
            }
            let deadlines = [self.client.deadline(&self.clock), self.browser.deadline(&self.clock)];
            let next = deadlines.into_iter().flatten().min();
            if !self.session.timer.poll_until(next, cx) {
                let Session { up, down, buffers, .. } = &mut *self.session;
                up.charge(buffers.budget());
                down.charge(buffers.budget());
                return Poll::Pending;
            }
        }
    }

    /// Both sides, one step each. Returns whether anything happened.
    fn step(&mut self, cx: &mut Context<'_>) -> bool {
        let Session { client, browser, up, down, buffers, observers, .. } = &mut *self.session;
        let (mut moved, close) = self.client.drain(client, up, buffers, cx);
        note_close(&mut self.first_close, Party::Client, close.as_ref());
        let (drained, close) = self.browser.drain(browser, down, buffers, cx);
        note_close(&mut self.first_close, Party::Browser, close.as_ref());
        moved |= drained;

        let sent = [self.client.sent(), self.browser.sent()];
        let to_client = |side: &mut Side<C>, lane: &mut Lane, cx: &mut Context<'_>| {
            side.poll_output(lane, &mut (), cx)
        };
        moved |= self.client.advance(client, down, to_client, &self.clock, cx);
        let to_browser = |side: &mut Side<U>, lane: &mut Lane, cx: &mut Context<'_>| {
            side.poll_output(lane, &mut FromClient(observers), cx)
        };
        moved |= self.browser.advance(browser, up, to_browser, &self.clock, cx);

        if client.io.is_none() {
            up.source_gone();
            down.abandon();
        }
        if browser.io.is_none() {
            down.source_gone();
            up.abandon();
        }
        for (closer, before) in [&self.client, &self.browser].into_iter().zip(sent) {
            if before == CloseSent::No && closer.sent() != CloseSent::No {
                note_close(&mut self.first_close, Party::Proxy, closer.close());
            }
        }
        moved
    }

    fn report(self) -> RelayReport {
        let Self { session, terminal, client, browser, first_close, stalls, .. } = self;
        let [client_stall, browser_stall] = stalls;
        let direction = |lane: &Lane, stall| {
            let totals = lane.totals();
            DirectionReport {
                messages: totals.messages,
                bytes: totals.bytes,
                frames: totals.frames,
                largest_message: totals.largest,
                stall,
                peak_buffered: lane.peak(),
                spliced: lane.spliced(),
            }
        };
        let (up, down) = (session.up.counts(), session.down.counts());
        RelayReport {
            cause: terminal.cause,
            detail: terminal.detail,
            mid_frame: terminal.mid_frame,
            first_close,
            client_close_sent: client.sent(),
            browser_close_sent: browser.sent(),
            started_at: session.started,
            ended_at: Moment { at: terminal.at, wall: terminal.wall },
            teardown: now().saturating_duration_since(terminal.at),
            to_browser: direction(&session.up, browser_stall),
            to_client: direction(&session.down, client_stall),
            pings_answered: session.client.pongs_sent + session.browser.pongs_sent,
            pongs_dropped: up.pongs_dropped + down.pongs_dropped,
            joined: up.joined,
            spilled: up.spilled,
            discarded_after_end: up.discarded,
            client_mid_frame: client.mid_frame(),
            quiet: session.quiet_end,
        }
    }
}

/// Remembers a Close if it was the first on either wire.
fn note_close(first: &mut Option<FirstClose>, by: Party, close: Option<&CloseFrame>) {
    if let (None, Some(close)) = (&first, close) {
        let code = close.code().map(|code| code.get());
        *first = Some(FirstClose { by, code, text: close.text().into() });
    }
}

/// A routine end is not worth a line in a log; what somebody did wrong is, our own fault is an error.
fn log(report: &RelayReport) {
    let (cause, detail, teardown) = (report.cause.kind(), report.detail, report.teardown);
    match detail {
        Detail::Closed { .. } | Detail::Vanished(_) | Detail::Stopped { .. } | Detail::Idle => {
            tracing::debug!(cause, ?detail, ?teardown, "session ended");
        }
        Detail::ProtocolError { .. } | Detail::MessageTooLarge { .. } | Detail::WriteStalled => {
            tracing::info!(cause, ?detail, ?teardown, "session ended");
        }
        Detail::Panicked => tracing::error!(cause, ?detail, ?teardown, "session ended"),
    }
}
