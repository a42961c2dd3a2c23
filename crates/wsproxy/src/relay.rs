//! Joins a client and a browser until something ends the session.

use crate::ending::Ending;
use crate::endpoint::Endpoint;
use crate::limits::Limits;
use crate::pool::Budget;
use crate::stop::StopToken;
use crate::tap::Tap;
use bytes::Bytes;
use std::sync::Arc;

/// Two upgraded streams, about to be joined.
#[must_use = "nothing is relayed until `run` is awaited"]
#[derive(Debug)]
pub struct Relay<C, U> {
    client: C,
    upstream: U,
    limits: Arc<Limits>,
    client_prefix: Bytes,
    upstream_prefix: Bytes,
    stop: Option<StopToken>,
    tap: Option<Tap>,
    budget: Option<Budget>,
}

impl<C: Endpoint, U: Endpoint> Relay<C, U> {
    /// Joins `client` and `upstream`. The handshakes are over on both.
    pub fn new(client: C, upstream: U, limits: Arc<Limits>) -> Self {
        Self {
            client,
            upstream,
            limits,
            client_prefix: Bytes::new(),
            upstream_prefix: Bytes::new(),
            stop: None,
            tap: None,
            budget: None,
        }
    }

    /// Bytes of the client that came together with its handshake. They are relayed first.
    pub fn with_client_prefix(self, prefix: Bytes) -> Self {
        Self { client_prefix: prefix, ..self }
    }

    /// Bytes of the browser that came together with its handshake. They are relayed first.
    pub fn with_upstream_prefix(self, prefix: Bytes) -> Self {
        Self { upstream_prefix: prefix, ..self }
    }

    /// Lets the session be stopped.
    pub fn with_stop(self, stop: StopToken) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Copies the client's text messages to a tap.
    pub fn with_tap(self, tap: Tap) -> Self {
        Self { tap: Some(tap), ..self }
    }

    /// Counts the session's buffers against a budget. Without one they are not limited.
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// Relays until the session ends, and says what ended it. Both sockets are still open then:
    /// [`Ending::close`] closes them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops both sockets without a Close. To end a session use a
    /// [`StopToken`].
    pub async fn run(self) -> Ending<C, U> {
        unimplemented!("the relay follows")
    }
}
