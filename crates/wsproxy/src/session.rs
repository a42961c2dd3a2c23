//! A running session: one poll moves bytes both ways until nothing moves, then looks at the time.

use crate::end::End;
use crate::endpoint::Endpoint;
use crate::found::{Event, Found, Rare};
use crate::frame::Sender;
use crate::lane::Lane;
use crate::limits::{Limits, TcpTimers};
use crate::observe::{Copying, FromBrowser, FromClient, Observers};
use crate::quiet::Quiet;
use crate::report::{Moment, QuietEnd};
use crate::side::{Buffers, Input, Output, Side, later, now};
use crate::stop::{Stop, StopMode, StopToken};
use crate::tap::Tap;
use crate::timer::Timer;
use crate::verdict::{Cause, Detail, Vanished};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// Rounds of one poll, so that a session in full flow leaves the thread to others in between.
pub(crate) const ROUNDS: u32 = 16;

#[derive(Debug)]
pub(crate) struct Session<C, U> {
    pub(crate) client: Side<C>,
    pub(crate) browser: Side<U>,
    /// From the client to the browser.
    pub(crate) up: Lane,
    /// From the browser to the client.
    pub(crate) down: Lane,
    pub(crate) limits: Arc<Limits>,
    pub(crate) buffers: Buffers,
    pub(crate) observers: Observers,
    pub(crate) started: Moment,
    pub(crate) quiet_end: Option<QuietEnd>,
    pub(crate) timer: Timer,
    /// Both streams are sockets, so that payloads may pass inside the kernel.
    bypasses: bool,
    stop_token: Option<StopToken>,
    stop: Option<Stop>,
    /// The last data byte; kept only if `Limits::idle` is set.
    last_data: Instant,
    next_ping: Option<Instant>,
}

impl<C: Endpoint, U: Endpoint> Session<C, U> {
    pub(crate) fn new(client: C, upstream: U, limits: Arc<Limits>) -> Self {
        let now = now();
        let bypasses = client.socket().is_some() && upstream.socket().is_some();
        Self {
            bypasses,
            up: Lane::new(Sender::Client, &limits),
            down: Lane::new(Sender::Browser, &limits),
            client: Side::new(client, Sender::Client),
            browser: Side::new(upstream, Sender::Browser),
            buffers: Buffers::new(&limits),
            observers: Observers::default(),
            started: Moment { at: now, wall: SystemTime::now() },
            quiet_end: None,
            timer: Timer::default(),
            stop_token: None,
            stop: None,
            last_data: now,
            next_ping: None,
            limits,
        }
    }

    pub(crate) fn set_stop(&mut self, stop: StopToken) {
        self.stop_token = Some(stop);
    }

    pub(crate) fn set_tap(&mut self, tap: Box<dyn Tap>) {
        self.observers.tap = Some(Box::new(Copying::new(tap)));
    }

    /// The session's time begins.
    pub(crate) fn start(&mut self) {
        configure("client", self.client.io.as_ref(), &self.limits.client_tcp);
        configure("upstream", self.browser.io.as_ref(), &TcpTimers::OFF);
        let now = now();
        self.started = Moment { at: now, wall: SystemTime::now() };
        self.last_data = now;
        self.next_ping = self.limits.ping_interval.map(|interval| later(now, interval));
    }

    /// Goes on until something ends the session. What one poll finds is taken in this order: stop,
    /// client read, browser read, client write, browser write, time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Some(end) = self.poll_stop(cx) {
            return Poll::Ready(end);
        }
        // Whatever was pending once in this poll wakes the task again.
        let (mut read_client, mut read_browser) = (true, true);
        let (mut write_client, mut write_browser) = (true, true);
        for _ in 0..ROUNDS {
            let mut moved = false;
            if read_client && self.up.wants_input() {
                let polled = match self.up.unseen_left() {
                    Some(left) if self.bypasses && !self.observers.watch_the_client() => {
                        self.client.poll_unseen(&mut self.up, left, &self.buffers, cx)
                    }
                    Some(_) | None => self.client.poll_input(&mut self.up, &self.buffers, cx),
                };
                match polled {
                    Poll::Pending => read_client = false,
                    Poll::Ready(input) => {
                        moved = true;
                        if !self.is_plain(&input)
                            && let Some(end) = self.take_input(Cause::Client, input)
                        {
                            return Poll::Ready(end);
                        }
                    }
                }
            }
            if read_browser && self.down.wants_input() {
                let polled = match self.down.unseen_left() {
                    Some(left) if self.bypasses && self.observers.quiet.is_none() => {
                        self.browser.poll_unseen(&mut self.down, left, &self.buffers, cx)
                    }
                    Some(_) | None => self.browser.poll_input(&mut self.down, &self.buffers, cx),
                };
                match polled {
                    Poll::Pending => read_browser = false,
                    Poll::Ready(input) => {
                        moved = true;
                        if !self.is_plain(&input)
                            && let Some(end) = self.take_input(Cause::Upstream, input)
                        {
                            return Poll::Ready(end);
                        }
                    }
                }
            }
            if write_client && self.client.has_output(&self.down) {
                match self.write_client(cx) {
                    Ok(output) => {
                        moved |= output.any;
                        write_client = !output.blocked;
                        self.passed(&output);
                    }
                    Err(error) => return Poll::Ready(self.write_failed(Cause::Client, &error, cx)),
                }
            }
            if write_browser && self.browser.has_output(&self.up) {
                match self.write_browser(cx) {
                    Ok(output) => {
                        moved |= output.any;
                        write_browser = !output.blocked;
                        self.passed(&output);
                    }
                    Err(error) => {
                        return Poll::Ready(self.write_failed(Cause::Upstream, &error, cx));
                    }
                }
            }
            if !moved {
                self.up.charge(self.buffers.budget());
                self.down.charge(self.buffers.budget());
                if self.is_timeless() {
                    return Poll::Pending;
                }
                return self.poll_time(cx).map_or(Poll::Pending, Poll::Ready);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(crate) fn write_client(&mut self, cx: &mut Context<'_>) -> io::Result<Output> {
        match &self.observers.quiet {
            None => self.client.poll_output(&mut self.down, &mut (), cx),
            Some(_) => {
                let mut observer = FromBrowser(&mut self.observers);
                self.client.poll_output(&mut self.down, &mut observer, cx)
            }
        }
    }

    pub(crate) fn write_browser(&mut self, cx: &mut Context<'_>) -> io::Result<Output> {
        if self.observers.watch_the_client() {
            let mut observer = FromClient(&mut self.observers);
            self.browser.poll_output(&mut self.up, &mut observer, cx)
        } else {
            self.browser.poll_output(&mut self.up, &mut (), cx)
        }
    }

    /// Data, and nothing else to look at.
    #[inline]
    fn is_plain(&self, input: &Input) -> bool {
        matches!(input, Input::Found(Found { rare: None, .. })) && self.limits.idle.is_none()
    }

    #[cold]
    fn take_input(&mut self, from: Cause, input: Input) -> Option<End> {
        let Found { data, rare } = match input {
            Input::Found(found) => found,
            Input::Eof => return Some(self.read_failed(from, Vanished::Eof)),
            Input::Failed(error) => {
                return Some(self.read_failed(from, Vanished::from_error(&error)));
            }
        };
        if data && self.limits.idle.is_some() {
            self.last_data = now();
        }
        let Rare { ping, event, .. } = *rare?;
        if let Some(payload) = ping {
            match from {
                Cause::Client => self.client.outbox.pong(payload),
                Cause::Upstream | Cause::Context => self.browser.outbox.pong(payload),
            }
        }
        event.map(|event| End::event(from, event))
    }

    #[cold]
    fn read_failed(&self, from: Cause, how: Vanished) -> End {
        let mid_frame = match from {
            Cause::Client => self.up.reads_mid_frame(),
            Cause::Upstream | Cause::Context => self.down.reads_mid_frame(),
        };
        End::vanished(from, how, mid_frame)
    }

    /// Bytes were written.
    #[inline]
    fn passed(&mut self, output: &Output) {
        if output.data && (self.limits.idle.is_some() || self.observers.quiet.is_some()) {
            self.traffic();
        }
    }

    #[cold]
    fn traffic(&mut self) {
        if self.limits.idle.is_some() {
            self.last_data = now();
        }
        if let Some(quiet) = &mut self.observers.quiet {
            quiet.traffic(now());
        }
    }

    #[cold]
    fn write_failed(&mut self, to: Cause, error: &io::Error, cx: &mut Context<'_>) -> End {
        let found = match to {
            Cause::Client => self.client.last_look(&mut self.up, &self.buffers, cx),
            Cause::Upstream | Cause::Context => {
                self.browser.last_look(&mut self.down, &self.buffers, cx)
            }
        };
        if let Some(event @ Event::Close(_)) = found.and_then(Found::into_event) {
            return End::event(to, event);
        }
        let mid_frame = match to {
            Cause::Client => self.up.reads_mid_frame(),
            Cause::Upstream | Cause::Context => self.down.reads_mid_frame(),
        };
        let how = Vanished::from_error(error);
        End { left_bytes: true, ..End::vanished(to, how, mid_frame) }
    }

    fn poll_stop(&mut self, cx: &Context<'_>) -> Option<End> {
        let stop = self.stop_token.as_mut()?.poll_changed(cx)?;
        self.stop = Some(stop);
        match stop.mode {
            StopMode::Quiet { deadline } => {
                match &mut self.observers.quiet {
                    Some(quiet) => quiet.set_deadline(deadline),
                    empty @ None => *empty = Some(Box::new(Quiet::new(deadline, now()))),
                }
                None
            }
            StopMode::Soft | StopMode::Hard => {
                if self.observers.quiet.is_some() {
                    self.quiet_end = Some(QuietEnd::Overruled);
                }
                Some(End::stopped(&stop, stop.mode == StopMode::Soft))
            }
        }
    }

    /// Whether the session, which is ending by a stop, is to hurry now.
    pub(crate) fn poll_harder(&mut self, cx: &Context<'_>) -> bool {
        let stop = self.stop_token.as_mut().and_then(|token| token.poll_changed(cx));
        stop.is_some_and(|stop| stop.mode == StopMode::Hard)
    }

    /// Whether nothing waits for a time.
    #[inline]
    fn is_timeless(&self) -> bool {
        self.client.blocked_since().is_none()
            && self.browser.blocked_since().is_none()
            && !self.timer.is_armed()
            && self.next_ping.is_none()
            && self.observers.quiet.is_none()
            && self.limits.idle.is_none()
    }

    /// Looks at the time, and asks to be woken when it is time again.
    #[cold]
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Option<End> {
        loop {
            let deadline = self.next_deadline();
            if !self.timer.poll_until(deadline, cx) {
                return None;
            }
            if let Some(end) = self.expired(now(), cx) {
                return Some(end);
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let limits = &self.limits;
        let client =
            self.client.blocked_since().map(|since| later(since, limits.write_stall_client));
        let browser =
            self.browser.blocked_since().map(|since| later(since, limits.write_stall_upstream));
        let idle = limits.idle.map(|idle| later(self.last_data, idle));
        let quiet = self.observers.quiet.as_ref();
        let quiet = quiet.map(|quiet| quiet.due(limits.quiet_for, self.is_busy()));
        [client, browser, idle, quiet, self.next_ping].into_iter().flatten().min()
    }

    /// Data is on its way.
    fn is_busy(&self) -> bool {
        !self.up.wants_input() || !self.down.wants_input()
    }

    fn expired(&mut self, now: Instant, cx: &Context<'_>) -> Option<End> {
        let limits = Arc::clone(&self.limits);
        let over = |since: Option<Instant>, limit: Duration| {
            since.is_some_and(|since| later(since, limit) <= now)
        };
        if over(self.client.blocked_since(), limits.write_stall_client) {
            let last_ack = self.client.since_last_ack();
            let mid_frame = self.up.reads_mid_frame();
            let limit = limits.write_stall_client;
            return Some(End::stalled(Cause::Client, last_ack, limit, mid_frame));
        }
        if over(self.browser.blocked_since(), limits.write_stall_upstream) {
            let last_ack = self.browser.since_last_ack();
            let mid_frame = self.down.reads_mid_frame();
            let limit = limits.write_stall_upstream;
            return Some(End::stalled(Cause::Upstream, last_ack, limit, mid_frame));
        }
        if limits.idle.is_some_and(|idle| later(self.last_data, idle) <= now) {
            return Some(End::new(Cause::Context, Detail::Idle));
        }
        if let Some(quiet) = &self.observers.quiet {
            self.quiet_end = quiet.ended(limits.quiet_for, self.is_busy(), now);
            if let (Some(_), Some(stop)) = (self.quiet_end, &self.stop) {
                return Some(End::stopped(stop, true));
            }
        }
        if let (Some(due), Some(interval)) = (self.next_ping, limits.ping_interval)
            && due <= now
        {
            self.next_ping = Some(later(now, interval));
            self.client.outbox.ping();
            cx.waker().wake_by_ref();
        }
        None
    }
}

fn configure(side: &'static str, io: Option<&impl Endpoint>, timers: &TcpTimers) {
    if let Some(Err(error)) = io.map(|io| io.configure(timers)) {
        tracing::debug!(side, %error, "socket options not set");
    }
}
