//! Joins a client and a browser until something ends the session.

use crate::end::End;
use crate::ending::Ending;
use crate::endpoint::Endpoint;
use crate::limits::{Limits, TcpTimers};
use crate::pool::Budget;
use crate::session::{Parts, Session};
use crate::stop::StopToken;
use crate::tap::Tap;
use crate::verdict::{Cause, Detail};
use bytes::Bytes;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

/// Two upgraded streams, about to be joined.
#[must_use = "nothing is relayed until `run` is awaited"]
pub struct Relay<C, U> {
    parts: Parts<C, U>,
}

impl<C, U> fmt::Debug for Relay<C, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("limits", &self.parts.limits).finish_non_exhaustive()
    }
}

impl<C: Endpoint, U: Endpoint> Relay<C, U> {
    /// Joins `client` and `upstream`. The handshakes are over on both.
    pub fn new(client: C, upstream: U, limits: Arc<Limits>) -> Self {
        let parts = Parts {
            client,
            upstream,
            limits,
            client_prefix: Bytes::new(),
            upstream_prefix: Bytes::new(),
            stop: None,
            tap: None,
            budget: None,
        };
        Self { parts }
    }

    /// Bytes of the client that came together with its handshake. They are relayed first.
    pub fn with_client_prefix(mut self, prefix: Bytes) -> Self {
        self.parts.client_prefix = prefix;
        self
    }

    /// Bytes of the browser that came together with its handshake. They are relayed first.
    pub fn with_upstream_prefix(mut self, prefix: Bytes) -> Self {
        self.parts.upstream_prefix = prefix;
        self
    }

    /// Lets the session be stopped.
    pub fn with_stop(mut self, stop: StopToken) -> Self {
        self.parts.stop = Some(stop);
        self
    }

    /// Copies the client's text messages to a tap.
    pub fn with_tap(mut self, tap: Tap) -> Self {
        self.parts.tap = Some(tap);
        self
    }

    /// Counts the session's buffers against a budget. Without one they are not limited.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.parts.budget = Some(budget);
        self
    }

    /// Relays until the session ends, and says what ended it. Both sockets are still open then:
    /// [`Ending::close`] closes them. A panic of a stream is caught and is an end like others.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops both sockets without a Close. To end a session use a
    /// [`StopToken`].
    pub async fn run(self) -> Ending<C, U> {
        configure("client", &self.parts.client, &self.parts.limits.client_tcp);
        configure("upstream", &self.parts.upstream, &TcpTimers::OFF);
        // On the heap once, so that neither future nor ending carries it around.
        let mut session = Box::new(Session::new(self.parts));
        let end = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| session.poll(cx)));
            polled.unwrap_or_else(|_| Poll::Ready(End::new(Cause::Context, Detail::Panicked)))
        })
        .await;
        Ending::new(session, end)
    }
}

fn configure(side: &'static str, io: &impl Endpoint, timers: &TcpTimers) {
    if let Err(error) = io.configure(timers) {
        tracing::debug!(side, %error, "socket options not set");
    }
}
