//! The end of an instance: tried until nothing of it is left.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::engine::Engine;
use super::instance::{Instance, Orders, Outcome};
use super::launch::Home;
use super::outbox::Outbox;
use super::removal::Removal;
use super::supervise::End;
use crate::driver::StopReport;

/// Attempts to remove a directory before it is set aside.
const TRIES: u32 = 10;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long a directory is tried before it is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Three tries within a second: somebody waits for the answer to a start that has failed.
    Little,
    /// Ten tries with growing pauses, or as soon as they are asked for.
    AsLongAsItTakes,
}

impl Patience {
    fn tries_and_pause(self) -> (u32, Duration) {
        match self {
            Self::Little => (3, Duration::from_millis(100)),
            Self::AsLongAsItTakes => (TRIES, Duration::from_secs(1)),
        }
    }
}

/// The end of one instance.
pub(crate) struct Ending<'a> {
    pub(crate) engine: &'a Arc<Engine>,
    pub(crate) instance: &'a Instance,
    pub(crate) orders: &'a mut watch::Receiver<Orders>,
    pub(crate) outbox: &'a mut Outbox,
}

impl Ending<'_> {
    /// Kills what is left and removes what there is, until nothing is left or the driver closes.
    pub(crate) async fn clean_up(mut self, mut home: Home, end: End, patience: Patience) {
        let began = end.began.unwrap_or_else(Instant::now);
        let (tries, mut pause) = patience.tries_and_pause();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let removal =
                self.engine.remove(&self.instance.lifecycle, home, attempt >= tries).await;
            let (left, errors) = match removal {
                Removal::Done => (None, Vec::new()),
                Removal::SetAside(error) => (None, vec![error]),
                Removal::Left(home, error) => (Some(home), vec![error]),
            };
            for error in &errors {
                tracing::error!(lifecycle = %self.instance.lifecycle, attempt, error, "cleanup");
            }
            let (exit, grace, total) = (end.exit, end.grace, began.elapsed());
            let report = StopReport { exit, grace, total, errors };
            home = match left {
                Some(home) if !self.orders.borrow().last => home,
                // What is left when the driver closes is the next daemon's to reclaim.
                Some(_) | None => return self.depart(attempt, report),
            };
            self.instance.outcome.send_replace(Some(Outcome { attempt, report, over: false }));
            tokio::select! {
                _ = self.orders.wait_for(|orders| orders.attempts > attempt) => {}
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Nothing of the instance is left, or nothing more will be tried.
    pub(crate) fn depart(&mut self, attempt: u32, report: StopReport) {
        let undelivered = self.outbox.undelivered();
        if undelivered > 0 {
            tracing::warn!(lifecycle = %self.instance.lifecycle, undelivered, "nobody read its events");
        }
        self.engine.instances().remove(&self.instance.lifecycle);
        self.instance.outcome.send_replace(Some(Outcome { attempt, report, over: true }));
    }
}
