//! What happens to all listeners at once: start, sweep, end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::{sleep, sleep_until, timeout_at};

use crate::feed::SessionKey;
use crate::listener::Setup;

use super::{Ensured, Registry, ShutdownReport, now};

/// Most listeners that make their first attempt at once when the process starts.
const AT_ONCE: usize = 64;

/// How often [`Registry::run`] looks whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Registry {
    /// Starts listeners for stored sessions, spread over time and in no order, so that neither this
    /// machine nor the runners see them all at once. Returns how many it has started; a drain ends
    /// it.
    ///
    /// # Cancel safety
    /// Those that it has started stay.
    pub async fn start_all(&self, sessions: Vec<(SessionKey, Setup)>) -> usize {
        let mut sessions = sessions;
        fastrand::shuffle(&mut sessions);
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let start = tokio::time::Instant::now();
        let step =
            self.inner.settings.spread / u32::try_from(sessions.len().max(1)).unwrap_or(u32::MAX);
        let mut started = 0;
        for (at, (key, setup)) in (0_u32..).zip(sessions) {
            sleep_until(start + step * at).await;
            // Given back when the listener has made its first attempt. Never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            match self.inner.ensure(&key, &Arc::new(setup), place).await {
                Ensured::Started(_) => started += 1,
                Ensured::Already(_) | Ensured::Refused(super::Refusal::TooSoon { .. }) => {}
                Ensured::Refused(super::Refusal::Draining) => break,
            }
        }
        started
    }

    /// Ends the listeners of sessions that have no pin and were not used for
    /// [`stale_after`](super::Settings::stale_after), and joins them. Returns how many.
    ///
    /// # Cancel safety
    /// They end all the same.
    pub async fn cancel_stale(&self, now: Instant) -> usize {
        let going = self.inner.table().cancel_stale(now, self.inner.settings.stale_after);
        for gone in &going {
            gone.cancelled().await;
        }
        going.len()
    }

    /// Sweeps stale listeners and starts pinned ones again that gave up a while ago. Runs until it
    /// is dropped.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn run(&self) {
        let settings = self.inner.settings;
        let mut swept = now();
        loop {
            sleep(LOOK_EVERY.min(settings.sweep_every).min(settings.rearm_after)).await;
            let due = self.inner.table().to_rearm(now(), settings.rearm_after);
            for (key, setup) in due {
                self.inner.ensure(&key, &setup, None).await;
            }
            if now() >= swept + settings.sweep_every {
                swept = now();
                self.cancel_stale(swept).await;
            }
        }
    }

    /// Ends everything at once and waits for it until the deadline. Nothing is started any more.
    ///
    /// # Cancel safety
    /// They end all the same.
    pub async fn shutdown(&self, deadline: Instant) -> ShutdownReport {
        let all = {
            let mut table = self.inner.table();
            table.close();
            table.live()
        };
        self.inner.tasks.close();
        let late = match timeout_at(deadline.into(), self.inner.tasks.wait()).await {
            Ok(()) => 0,
            Err(_) => self.inner.tasks.len(),
        };
        ShutdownReport { joined: all.saturating_sub(late), late }
    }
}
