//! Two waits that hyper sees as one: for the first byte of a request, and for the rest of its head.
//!
//! hyper asks its timer for one sleep per request head, which starts when the connection becomes idle.
//! We hand out a sleep that starts with the idle time and switches to the header time as soon as the
//! connection was woken again, which is when bytes arrived. A wake-up without bytes switches too
//! early, and then an idle connection ends sooner than it could have: nothing is lost.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::Sleep;

/// How often the connection's task has been polled. Only that task touches it.
#[derive(Debug, Default)]
pub(super) struct Polls(AtomicU64);

impl Polls {
    pub(super) fn next(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The timer of one connection.
pub(super) struct HeadTimer {
    polls: Arc<Polls>,
    head: Duration,
    idle: Duration,
    /// Whether the first head was asked for. It has the header time only: a connection that never
    /// sends anything is not idle between requests, it is a client that does not come.
    asked: AtomicBool,
}

impl HeadTimer {
    pub(super) fn new(polls: Arc<Polls>, head: Duration, idle: Duration) -> Self {
        Self { polls, head, idle, asked: AtomicBool::new(false) }
    }

    fn wait(&self) -> HeadWait {
        let first = !self.asked.swap(true, Ordering::Relaxed);
        let limit = if first { self.head } else { self.idle };
        HeadWait {
            sleep: Box::pin(tokio::time::sleep(limit)),
            polls: Arc::clone(&self.polls),
            asked_in: self.polls.number(),
            head: self.head,
            begun: first,
        }
    }
}

impl hyper::rt::Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.wait())
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.wait())
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

struct HeadWait {
    sleep: Pin<Box<tokio::time::Sleep>>,
    polls: Arc<Polls>,
    asked_in: u64,
    head: Duration,
    begun: bool,
}

impl Future for HeadWait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // First, because the end of the idle time wakes the connection too.
        if self.sleep.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.begun || self.polls.number() == self.asked_in {
            return Poll::Pending;
        }
        self.begun = true;
        let until = tokio::time::Instant::now() + self.head;
        self.sleep.as_mut().reset(until);
        self.sleep.as_mut().poll(cx)
    }
}

impl Sleep for HeadWait {}
