//! The task of a sink: reads the log from its cursor, sends batches, and keeps the cursor.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use eventlog::{Cursor, ReadError, ReadLimit, micros};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Batch, Refused, Sent, Target, Then, cursor};
use crate::Telemetry;
use crate::events::{SinkDegraded, SinkRecovered};
use crate::feed::{Chunk, Feed};
use crate::fields;
use crate::metrics::SinkMetrics;
use crate::query::{GapTold, Place, Start};

/// First and longest pause between attempts.
const RETRY: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(250)..=Duration::from_secs(30);
/// How often the cursor is saved while it moves.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often its lag is told anew while the far side is down.
const LAG_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before a log that could not be read is tried again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// What a sink's task works with.
pub(super) struct Ends {
    pub(super) name: &'static str,
    /// Where its place is kept, if it is.
    pub(super) cursor: Option<PathBuf>,
    pub(super) feed: Arc<Feed>,
    pub(super) telemetry: Telemetry,
    pub(super) metrics: SinkMetrics,
    pub(super) enabled: watch::Receiver<Vec<String>>,
    /// Set once: what there is may still be sent until then.
    pub(super) stop: watch::Receiver<Option<Instant>>,
}

pub(super) struct SinkTask<T> {
    target: T,
    ends: Ends,
    /// The next offset to send.
    next: u64,
    /// What has to be told before it.
    gap: Option<GapTold>,
    /// The offset that the saved cursor says, and when it was saved.
    saved: (u64, Instant),
    trouble: Option<Trouble>,
    /// The time of the oldest event that is being sent.
    oldest: Option<i64>,
}

/// Since when the far side accepts nothing.
struct Trouble {
    since: Instant,
    pause: Duration,
    dropped: u64,
}

/// Why sending stopped.
enum Pause {
    SwitchedOff,
    Ended,
}

impl<T: Target> SinkTask<T> {
    pub(super) fn new(target: T, ends: Ends) -> Self {
        Self {
            target,
            ends,
            next: 0,
            gap: None,
            saved: (0, Instant::now()),
            trouble: None,
            oldest: None,
        }
    }

    /// Runs until it is stopped and everything is sent, or the time is over.
    pub(super) async fn run(mut self) {
        loop {
            let Ends { enabled, stop, name, .. } = &mut self.ends;
            tokio::select! {
                biased;
                on = enabled.wait_for(|on| on.iter().any(|on| on == name)) => {
                    if on.is_err() {
                        return;
                    }
                }
                _ = stop.wait_for(Option::is_some) => return,
            }
            if self.find_place().await.is_err() {
                return;
            }
            let pause = self.pump().await;
            self.save().await;
            if matches!(pause, Pause::Ended) {
                return;
            }
        }
    }

    /// The saved place, or the end of the log for a sink that never was on.
    async fn find_place(&mut self) -> Result<(), ()> {
        let place = match self.ends.cursor.clone() {
            Some(path) => self.saved_place(path).await?,
            None if self.next == 0 => Place::Oldest,
            // It was on before.
            None => Place::After(self.cursor()),
        };
        let feed = &self.ends.feed;
        let (first, next) = (feed.first(), feed.news().next);
        Start { gap: self.gap, next: self.next } = place.find(feed.epoch(), first, next);
        self.saved = (u64::MAX, Instant::now());
        self.save().await;
        Ok(())
    }

    async fn saved_place(&self, path: PathBuf) -> Result<Place, ()> {
        match tokio::task::spawn_blocking(move || cursor::load(&path)).await {
            Ok(Ok(Some(cursor))) => Ok(Place::After(cursor)),
            Ok(Ok(None)) => Ok(Place::Now),
            Ok(Err(error)) => {
                let name = self.ends.name;
                tracing::error!({ fields::SINK } = name, { fields::ERROR } = %error,
                    "the place of a sink cannot be read: it starts with the next event");
                Ok(Place::Now)
            }
            // The runtime is ending.
            Err(_) => Err(()),
        }
    }

    /// Behind what was sent.
    fn cursor(&self) -> Cursor {
        Cursor { epoch: self.ends.feed.epoch().clone(), offset: self.next - 1 }
    }

    async fn save(&mut self) {
        let cursor = self.cursor();
        let offset = cursor.offset;
        if self.saved.0 == offset || self.gap.is_some() {
            return;
        }
        let Some(path) = self.ends.cursor.clone() else { return };
        let saved = tokio::task::spawn_blocking(move || cursor::save(&path, &cursor)).await;
        if let Ok(Err(error)) = saved {
            let name = self.ends.name;
            tracing::error!({ fields::SINK } = name, { fields::ERROR } = %error,
                "the place of a sink cannot be saved: after a restart it repeats events");
        }
        self.saved = (offset, Instant::now());
    }

    /// Sends batches until it is switched off or ended.
    async fn pump(&mut self) -> Pause {
        let limits = self.target.limits();
        let limit = ReadLimit { records: limits.events, bytes: limits.bytes };
        let mut news = self.ends.feed.watch();
        loop {
            let head = news.borrow_and_update().next;
            if self.saved.1.elapsed() >= SAVE_EVERY {
                self.save().await;
            }
            let stopping = self.ends.stop.borrow().is_some();
            let waiting = head.saturating_sub(self.next);
            if waiting > 0 && waiting < limits.events as u64 && !stopping {
                // Not much yet: more may come and go together.
                if let Some(pause) = self.wait(limits.wait).await {
                    return pause;
                }
            }
            let chunk = match self.ends.feed.read(self.next, limit).await {
                Ok(chunk) => chunk,
                Err(ReadError::Closed | ReadError::Corrupt { .. }) => return Pause::Ended,
                Err(ReadError::Ahead { .. } | ReadError::Unavailable { .. }) if stopping => {
                    return Pause::Ended;
                }
                Err(ReadError::Ahead { .. } | ReadError::Unavailable { .. }) => {
                    if let Some(pause) = self.wait(READ_AGAIN).await {
                        return pause;
                    }
                    continue;
                }
            };
            if chunk.next == self.next && self.gap.is_none() {
                self.ends.metrics.lag(self.ends.name, 0, Duration::ZERO);
                if stopping {
                    return Pause::Ended;
                }
                // The cursor is saved a little later, if it moved.
                let unsaved = self.saved.0 != self.next - 1;
                let mut stop = self.ends.stop.clone();
                tokio::select! {
                    _ = news.changed() => {}
                    pause = self.paused() => return pause,
                    () = tokio::time::sleep(SAVE_EVERY), if unsaved => {}
                    () = stopping_now(&mut stop) => {}
                }
                continue;
            }
            if let Some(pause) = self.deliver(chunk).await {
                return pause;
            }
        }
    }

    /// Sends what was read, in smaller parts if it has to be, until it is sent or lost.
    async fn deliver(&mut self, chunk: Chunk) -> Option<Pause> {
        let Chunk { gap, mut events, next, .. } = chunk;
        let gap = self.gap.or(gap.map(GapTold::from));
        let mut batch = Batch { epoch: self.ends.feed.epoch().to_string(), gap, events: vec![] };
        let mut part = events.len();
        loop {
            batch.events = events.drain(..part).collect();
            self.oldest = batch.events.first().map(|event| event.ts);
            self.lag();
            let refused = match self.target.send(&batch).await {
                Ok(Sent { rejected }) => {
                    self.accepted(batch.events.len() as u64, rejected);
                    None
                }
                Err(refused) => Some(refused),
            };
            let lost = match &refused {
                None => 0,
                Some(Refused { then: Then::Split, .. }) if batch.events.len() > 1 => {
                    part = batch.events.len() / 2;
                    batch.events.append(&mut events);
                    events = std::mem::take(&mut batch.events);
                    continue;
                }
                Some(Refused { then: Then::Split | Then::Drop, .. }) => batch.events.len() as u64,
                Some(refused @ Refused { then: Then::Retry | Then::RetryAfter(_), .. }) => {
                    if let Some(pause) = self.failed(refused).await {
                        return Some(pause);
                    }
                    part = batch.events.len();
                    batch.events.append(&mut events);
                    events = std::mem::take(&mut batch.events);
                    continue;
                }
            };
            if let Some(refused) = refused.filter(|_| lost > 0) {
                self.ends.metrics.failed(self.ends.name, refused.cause);
                self.lost(refused.cause, lost);
            }
            self.gap = None;
            if let Some(GapTold { from: Some(from), to, cause }) = batch.gap.take() {
                self.lost(cause.as_str(), (to + 1).saturating_sub(from));
            }
            self.next = batch.events.last().map_or(next, |event| event.offset + 1);
            if events.is_empty() {
                self.next = next;
                return None;
            }
            part = part.min(events.len());
        }
    }

    fn accepted(&mut self, events: u64, rejected: u64) {
        let Ends { name, metrics, telemetry, .. } = &self.ends;
        metrics.sent(name, events.saturating_sub(rejected));
        if rejected > 0 {
            metrics.dropped(name, "rejected", rejected);
        }
        if let Some(Trouble { since, dropped, .. }) = self.trouble.take() {
            let down_ms = since.elapsed().into();
            telemetry.publish(None, SinkRecovered { sink: (*name).into(), down_ms, dropped });
            tracing::info!({ fields::SINK } = name, "a sink takes events again");
        }
    }

    fn lost(&mut self, cause: &'static str, events: u64) {
        self.ends.metrics.dropped(self.ends.name, cause, events);
        if let Some(trouble) = &mut self.trouble {
            trouble.dropped += events;
        }
    }

    /// Counts a failure, tells the first one, and waits until it is time to try again.
    async fn failed(&mut self, refused: &Refused) -> Option<Pause> {
        let Ends { name, metrics, telemetry, feed, stop, .. } = &self.ends;
        metrics.failed(name, refused.cause);
        if stop.borrow().is_some() {
            // One attempt more was made; what is left is sent after the next start.
            return Some(Pause::Ended);
        }
        if self.trouble.is_none() {
            tracing::warn!(
                { fields::SINK } = name,
                { fields::ERROR } = refused.error,
                "a sink takes no events"
            );
            let lag_events = feed.news().next.saturating_sub(self.next);
            let error = refused.error.clone().into();
            telemetry.publish(None, SinkDegraded { sink: (*name).into(), error, lag_events });
        }
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            since: Instant::now(),
            pause: *RETRY.start(),
            dropped: 0,
        });
        let pause = match refused.then {
            Then::RetryAfter(pause) => pause,
            Then::Retry | Then::Split | Then::Drop => {
                let pause = trouble.pause;
                trouble.pause = (pause * 2).min(*RETRY.end());
                pause.mul_f64(0.8 + 0.4 * fastrand::f64())
            }
        };
        let until = Instant::now() + pause;
        loop {
            // Pauses are long, and meanwhile it falls behind.
            self.lag();
            let left = until.saturating_duration_since(Instant::now());
            if let Some(pause) = self.wait(left.min(LAG_EVERY)).await {
                return Some(pause);
            }
            if Instant::now() >= until || self.ends.stop.borrow().is_some() {
                return None;
            }
        }
    }

    /// Waits; cut short when the sink is to end, so that it can try once more.
    async fn wait(&mut self, time: Duration) -> Option<Pause> {
        let mut stop = self.ends.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(time) => None,
            () = stopping_now(&mut stop) => None,
            pause = self.paused() => Some(pause),
        }
    }

    /// Waits until it is switched off, or the time to end is over.
    async fn paused(&mut self) -> Pause {
        let Ends { enabled, stop, name, .. } = &mut self.ends;
        tokio::select! {
            off = enabled.wait_for(|on| on.iter().all(|on| on != name)) => {
                if off.is_ok() { Pause::SwitchedOff } else { Pause::Ended }
            }
            () = stopping(stop) => Pause::Ended,
        }
    }

    fn lag(&self) {
        let events = self.ends.feed.news().next.saturating_sub(self.next);
        let age = self.oldest.map_or(0, |ts| micros(SystemTime::now()).saturating_sub(ts));
        let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
        self.ends.metrics.lag(self.ends.name, events, age);
    }
}

/// Waits until it is to end, and the time to do so is over.
async fn stopping(stop: &mut watch::Receiver<Option<Instant>>) {
    let deadline = stop.wait_for(Option::is_some).await.map_or(None, |deadline| *deadline);
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline).await;
    }
}

/// Waits until it is to end; for ever if it is ending already.
async fn stopping_now(stop: &mut watch::Receiver<Option<Instant>>) {
    if stop.borrow().is_some() || stop.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
