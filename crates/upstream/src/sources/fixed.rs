//! A browser whose address is a setting.

use std::time::Duration;

use super::Timing;
use super::restart::{Progress, Restarts, guarded};
use super::watch::watch;
use crate::checker::{Checker, Origin, Rules};
use crate::publish::Publisher;
use crate::url::WsUrl;

/// How often a lost browser is asked whether it is back.
const WAITING_EVERY: Duration = Duration::from_millis(500);

/// Says that the browser is ready at the address that was set, and asks it at once, on hints and
/// now and then whether it is. Another instance at the same place is not the one that was set. It
/// cannot know why a browser ended.
#[derive(Debug)]
pub struct Fixed {
    checker: Checker,
    restarts: Restarts,
}

impl Fixed {
    /// What this source says about [`Upstream::restart_expected`](crate::Upstream).
    pub const RESTART_EXPECTED: bool = false;

    /// A source for the browser at `url`. Of `timing` only the interval applies.
    pub fn new(url: WsUrl, timing: Timing) -> Self {
        let rules = Rules {
            origin: Origin::Fixed(url),
            ready_every: timing.verify_interval,
            waiting_every: WAITING_EVERY,
            adopt: false,
            start_timeout: timing.start_timeout,
        };
        Self { checker: Checker::new(rules), restarts: Restarts::default() }
    }

    /// Reports to `publisher` until its owner gives up.
    ///
    /// # Cancel safety
    /// Dropping the future stops the source and leaves nothing behind; it may be run again.
    pub async fn run(&mut self, publisher: &Publisher) {
        loop {
            let progress = Progress::default();
            let outcome = guarded(watch(publisher, &mut self.checker, None, &progress)).await;
            if !self.restarts.again(publisher, "fixed", &progress, outcome).await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
