//! The one task that takes events from the queue to the log, and shows them to readers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use eventlog::{AppendError, Appended, BATCH_MAX, Batch, DedupeId, NewRecord, Retry, micros};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Telemetry;
use crate::envelope::Rendered;
use crate::events::{LogDegraded, LogRecovered};
use crate::feed::{Feed, Stored};
use crate::fields;
use crate::handle::{Accepted, Intake, Item, LossCounter, Outlet};
use crate::metrics::{ClassMetrics, EventMetrics};
use crate::words::LossCause;

#[cfg(test)]
mod tests;

/// Most events taken from the queue at once.
const TAKE: usize = 512;
/// Pauses between attempts on a log that refuses.
const RETRY: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(250)..=Duration::from_secs(5);

/// Turns an event into what is stored.
pub(crate) type Render = fn(&str, &Item, u64) -> serde_json::Result<Rendered>;

pub(crate) struct Writer {
    pub(crate) node: String,
    pub(crate) outlet: Outlet,
    pub(crate) intake: Arc<Intake>,
    pub(crate) telemetry: Telemetry,
    pub(crate) feed: Arc<Feed>,
    pub(crate) events: EventMetrics,
    pub(crate) log: ClassMetrics,
    pub(crate) render: Render,
    /// Set once: no further event is taken, and by then what is inside has to be stored.
    pub(crate) stop: watch::Receiver<Option<Instant>>,
    /// Losses behind the queue that no stored event has told of yet.
    pub(crate) lost: u64,
    /// Since when the log refuses events.
    pub(crate) refused_since: Option<Instant>,
}

/// An event on its way into the log.
struct Pending {
    item: Item,
    record: NewRecord,
    told: u64,
}

impl Writer {
    /// Runs until it is stopped and the queue is empty or the time is over. Gives how many events
    /// were left.
    pub(crate) async fn run(mut self) -> u64 {
        let mut items = Vec::with_capacity(TAKE);
        let mut left = 0;
        loop {
            let received = tokio::select! {
                biased;
                received = self.outlet.receive(&mut items, TAKE) => received,
                () = stopping(&mut self.stop, false) => {
                    self.outlet.close();
                    self.outlet.receive(&mut items, TAKE).await
                }
            };
            if received == 0 {
                break;
            }
            self.events.queue(self.intake.queued(), self.intake.queued_bytes());
            left += self.store(&mut items).await;
            self.feed.handled(received as u64);
        }
        self.events.queue(0, 0);
        if left > 0 {
            tracing::warn!(events = left, "events were left when the time to store them was over");
        }
        left
    }

    /// Stores events in batches, and gives how many were left because the time was over.
    async fn store(&mut self, items: &mut Vec<Item>) -> u64 {
        let mut left = 0;
        let mut batch: Vec<Pending> = Vec::with_capacity(items.len());
        let mut bytes = 0;
        for item in items.drain(..) {
            let Some(pending) = self.rendered(item) else { continue };
            let more = pending.record.payload.len() + eventlog::RECORD_OVERHEAD;
            if bytes + more > self.feed.log.max_batch() || batch.len() == BATCH_MAX {
                left += self.append(std::mem::take(&mut batch)).await;
                bytes = 0;
            }
            bytes += more;
            batch.push(pending);
        }
        if !batch.is_empty() {
            left += self.append(batch).await;
        }
        left
    }

    /// Writes one event as bytes; a panic in there loses that event only.
    fn rendered(&mut self, item: Item) -> Option<Pending> {
        let told = std::mem::take(&mut self.lost) + item.lost;
        let rendered = catch_unwind(AssertUnwindSafe(|| (self.render)(&self.node, &item, told)));
        let Ok(Ok(Rendered { payload, truncated })) = rendered else {
            tracing::error!(event = item.event.type_name(), "an event could not be written");
            self.lose(&item, told, LossCause::Serialise);
            return None;
        };
        if truncated {
            self.events.truncated();
        }
        let record = NewRecord { ts: micros(item.ts), payload };
        Some(Pending { item, record, told })
    }

    /// `told`: losses that this event was to tell of.
    fn lose(&mut self, item: &Item, told: u64, cause: LossCause) {
        self.lost += told + 1;
        self.events.lost(item.event.category(), cause, 1);
    }

    /// Appends a batch, again and again while that can help. Gives how many events were left.
    async fn append(&mut self, pending: Vec<Pending>) -> u64 {
        let records = pending.iter().map(|pending| pending.record.clone()).collect();
        let batch = match Batch::new(records) {
            Ok(batch) => batch.named(DedupeId::random()),
            Err(error) => {
                tracing::error!(%error, "events do not fit the log");
                self.lose_all(&pending, LossCause::Refused);
                return 0;
            }
        };
        let mut pause = *RETRY.start();
        loop {
            let started = Instant::now();
            let outcome = tokio::select! {
                biased;
                outcome = self.feed.log.append(batch.clone()) => outcome,
                () = stopping(&mut self.stop, true) => return self.leave(&pending),
            };
            let error = match outcome {
                Ok(appended) => {
                    self.log.appended(started.elapsed());
                    self.log.observe(&self.feed.log.status());
                    self.accepted(pending, appended);
                    self.recovered();
                    return 0;
                }
                Err(error) => error,
            };
            self.log.failed(&error);
            self.events.queue(self.intake.queued(), self.intake.queued_bytes());
            self.degraded(&error, started);
            if error.retry() == Retry::Never {
                self.lose_all(&pending, LossCause::Refused);
                return 0;
            }
            tokio::select! {
                () = tokio::time::sleep(jittered(pause)) => {}
                () = stopping(&mut self.stop, true) => return self.leave(&pending),
            }
            pause = (pause * 2).min(*RETRY.end());
        }
    }

    fn leave(&mut self, pending: &[Pending]) -> u64 {
        self.lose_all(pending, LossCause::Shutdown);
        pending.len() as u64
    }

    fn lose_all(&mut self, pending: &[Pending], cause: LossCause) {
        for Pending { item, told, .. } in pending {
            self.lose(item, *told, cause);
        }
    }

    fn accepted(&mut self, pending: Vec<Pending>, appended: Appended) {
        let epoch = self.feed.epoch().clone();
        let mut stored = Vec::with_capacity(pending.len());
        for (offset, Pending { item, record, .. }) in (appended.first..).zip(pending) {
            self.events.published(item.event.category());
            let event = Stored::of(&epoch, offset, &item, &record.payload);
            if let Some(reply) = item.reply {
                // Who asked may have left.
                let _ = reply.send(Accepted { envelope: event.envelope() });
            }
            stored.push(event);
        }
        self.events.ring(self.feed.push(stored));
    }

    fn degraded(&mut self, error: &AppendError, since: Instant) {
        if self.refused_since.is_some() {
            return;
        }
        self.refused_since = Some(since);
        tracing::error!({ fields::ERROR } = %error, "the telemetry log refuses events");
        self.feed.set_log_good(false);
        let log = self.feed.log.name().as_str().into();
        self.telemetry.publish(None, LogDegraded { log, error: error.to_string().into() });
    }

    fn recovered(&mut self) {
        let Some(since) = self.refused_since.take() else { return };
        tracing::info!("the telemetry log takes events again");
        self.feed.set_log_good(true);
        let log = self.feed.log.name().as_str().into();
        let down_ms = Some(since.elapsed().into());
        let event = LogRecovered { log, down_ms, lost_from: None, lost_to: None };
        self.telemetry.publish(None, event);
    }
}

/// Waits until it is to stop; with `hard`, until the time to do so is over too.
async fn stopping(stop: &mut watch::Receiver<Option<Instant>>, hard: bool) {
    let deadline = match stop.wait_for(Option::is_some).await {
        Ok(stop) => *stop,
        // The owner is gone: nobody waits for what is left.
        Err(_) => None,
    };
    if let Some(deadline) = deadline.filter(|_| hard) {
        tokio::time::sleep_until(deadline).await;
    }
}

/// A pause of 80 to 120 % of what was asked for.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.8 + 0.4 * fastrand::f64())
}
