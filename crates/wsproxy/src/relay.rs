//! Joins a client and a browser until something ends the session.

use crate::end::End;
use crate::ending::Ending;
use crate::endpoint::Endpoint;
use crate::limits::Limits;
use crate::pool::Budget;
use crate::session::Session;
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
    /// On the heap from the start, so that neither futures nor the ending carry it around.
    session: Box<Session<C, U>>,
}

impl<C, U> fmt::Debug for Relay<C, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("limits", &self.session.limits).finish_non_exhaustive()
    }
}

impl<C: Endpoint, U: Endpoint> Relay<C, U> {
    /// Joins `client` and `upstream`. The handshakes are over on both.
    pub fn new(client: C, upstream: U, limits: Arc<Limits>) -> Self {
        Self { session: Box::new(Session::new(client, upstream, limits)) }
    }

    /// Bytes of the client that came together with its handshake. They are relayed first.
    pub fn with_client_prefix(mut self, prefix: Bytes) -> Self {
        self.session.up.set_prefix(prefix);
        self
    }

    /// Bytes of the browser that came together with its handshake. They are relayed first.
    pub fn with_upstream_prefix(mut self, prefix: Bytes) -> Self {
        self.session.down.set_prefix(prefix);
        self
    }

    /// Lets the session be stopped.
    pub fn with_stop(mut self, stop: StopToken) -> Self {
        self.session.set_stop(stop);
        self
    }

    /// Copies the client's text messages to a tap, while it wants them.
    pub fn with_tap(mut self, tap: impl Tap + 'static) -> Self {
        self.session.set_tap(Box::new(tap));
        self
    }

    /// Counts the session's buffers against a budget. Without one they are not limited.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.session.buffers.set_budget(budget);
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
        let mut session = self.session;
        session.start();
        let end = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| session.poll(cx)));
            polled.unwrap_or_else(|_| Poll::Ready(End::new(Cause::Context, Detail::Panicked)))
        })
        .await;
        Ending::new(session, end)
    }
}
