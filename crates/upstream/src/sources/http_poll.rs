//! A browser at a known place: it is asked who it is, again and again.

use std::time::Duration;

use super::Timing;
use super::restart::{Progress, Restarts, guarded};
use super::watch::watch;
use crate::checker::{Checker, Origin, Rules};
use crate::publish::Publisher;
use crate::url::{UrlError, WsUrl};

/// How often the place is asked while no browser is ready there.
const WAITING_EVERY: Duration = Duration::from_millis(250);
/// How often it is asked while one is.
const READY_EVERY: Duration = Duration::from_secs(1);

/// Asks `/json/version` at one place: each 250 ms until a browser is ready, then each second. A
/// new instance id is a new generation. Cannot know why a browser ended.
///
/// The place must belong to this browser alone: whatever browser answers there is taken.
#[derive(Debug)]
pub struct HttpPoll {
    checker: Checker,
    restarts: Restarts,
}

impl HttpPoll {
    /// What this source says about [`Upstream::restart_expected`](crate::Upstream).
    pub const RESTART_EXPECTED: bool = false;

    /// A source that asks `host:port`; `host` is a name or an IP address without brackets. Of
    /// `timing` only the start time-out applies.
    ///
    /// # Errors
    /// [`UrlError::Malformed`] for a bad host, [`UrlError::Port`] for port 0.
    pub fn new(host: &str, port: u16, timing: Timing) -> Result<Self, UrlError> {
        let place = WsUrl::from_parts(host, port, "any")?;
        let rules = Rules {
            origin: Origin::Place { host: place.host().to_owned(), port },
            ready_every: Some(READY_EVERY),
            waiting_every: WAITING_EVERY,
            adopt: true,
            start_timeout: timing.start_timeout,
        };
        Ok(Self { checker: Checker::new(rules), restarts: Restarts::default() })
    }

    /// Reports to `publisher` until nobody will start another browser.
    ///
    /// # Cancel safety
    /// Dropping the future stops the source and leaves nothing behind; it may be run again.
    pub async fn run(&mut self, publisher: &Publisher) {
        loop {
            let progress = Progress::default();
            let outcome = guarded(watch(publisher, &mut self.checker, None, &progress)).await;
            if !self.restarts.again(publisher, "http_poll", &progress, outcome).await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
