//! The end of a browser that was ordered: asked by its own protocol or by a signal, then forced.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::Instant;
use upstream::Cause;

use super::cdp::{self, CallError};
use super::launch::{Browser, Home};
use super::supervise::{End, Supervisor};
use crate::driver::Closed;

impl Supervisor {
    /// The browser's own orderly end, by its own protocol; then force.
    pub(crate) async fn close_browser(
        &mut self,
        home: &Home,
        browser: Browser,
        limit: Duration,
    ) -> End {
        let began = Instant::now();
        let asked = async {
            match self.instance.url() {
                Some(url) => cdp::close(&url).await,
                None => Err(CallError::Connection("it has no address".to_owned())),
            }
        };
        let answer = async {
            if let Err(error) = asked.await {
                // It may have gone before its answer came, which is what was wanted.
                tracing::debug!(lifecycle = %self.spec.lifecycle, %error, "close");
            }
            std::future::pending::<()>().await
        };
        let cause = tokio::select! {
            biased;
            cause = browser.child.ended() => Some(cause),
            () = answer => None,
            () = tokio::time::sleep_until(began + limit) => None,
        };
        let (grace, uptime) = (began.elapsed(), browser.spawned.elapsed());
        let buried = self.engine.bury(home, browser).await;
        self.instance.alive.send_replace(false);
        let exit = cause.unwrap_or(buried);
        self.push_exit(exit, true, uptime, None);
        // After a SIGTERM an exit code proves nothing; here nobody has sent one.
        if cause == Some(Cause::Exited { code: 0 }) {
            self.instance.closed.send_replace(Some(Closed::Cleanly { took: grace }));
        }
        End { exit: Some(exit), grace, began: Some(began) }
    }

    /// SIGTERM, the grace, then force. `relaunch_in`: when another one follows.
    pub(crate) async fn stop_browser(
        &mut self,
        home: &Home,
        browser: Browser,
        relaunch_in: Option<Duration>,
    ) -> End {
        let began = Instant::now();
        let orders = *self.orders.borrow();
        if let (Some(limit), None, false) = (orders.close, orders.stop, orders.killed) {
            return self.close_browser(home, browser, limit).await;
        }
        if !orders.killed {
            terminate(&browser);
        }
        let cause = loop {
            let grace = self.orders.borrow_and_update().grace(self.engine.stop_grace);
            tokio::select! {
                biased;
                cause = browser.child.ended() => break Some(cause),
                () = tokio::time::sleep_until(began + grace) => break None,
                // Another order may shorten the grace.
                _ = self.orders.changed() => {}
            }
        };
        let grace = began.elapsed();
        let uptime = browser.spawned.elapsed();
        let buried = self.engine.bury(home, browser).await;
        self.instance.alive.send_replace(false);
        let exit = cause.unwrap_or(buried);
        let relaunch_in = relaunch_in.filter(|_| !self.orders.borrow().ends());
        self.push_exit(exit, true, uptime, relaunch_in);
        End { exit: Some(exit), grace, began: Some(began) }
    }
}

/// Asks the browser's whole group to end. The browser must get the signal once only: a second
/// SIGTERM kills it in the middle of its own orderly end.
pub(crate) fn terminate(browser: &Browser) {
    // Nobody has waited for the child, so its pid is still the group's.
    let group = Pid::from_raw(browser.child.pid());
    let sent = group.is_some_and(|g| rustix::process::kill_process_group(g, Signal::TERM).is_ok());
    if !sent {
        browser.child.signal(Signal::TERM);
    }
}
