//! The handle through which facts enter: it never waits, and never fails towards its caller.

use std::collections::BTreeSet;
use std::fmt;
#[cfg(not(all(test, lockkeeper_loom)))]
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

#[cfg(all(test, lockkeeper_loom))]
use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::events::{Body, Event};
use crate::trace::{self, TraceId};
use crate::value::Id;
use crate::words::{Category, LossCause};

#[cfg(all(test, lockkeeper_loom))]
mod races;
#[cfg(test)]
mod tests;

/// Most events between publishers and the writer.
pub const QUEUE_EVENTS: usize = 8_192;
/// Most bytes between publishers and the writer.
pub const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Publishes events. Clones are cheap and publish to the same place.
///
/// Publishing copies the event into a bounded queue and returns. When the queue is full the event
/// is dropped and counted, and the next one that gets in says how many are missing (`lost`).
#[derive(Clone)]
pub struct Telemetry(Option<Arc<Intake>>);

impl Telemetry {
    /// A handle that drops everything, for tests and for libraries used without telemetry.
    #[must_use]
    pub const fn disconnected() -> Self {
        Self(None)
    }

    pub(crate) fn connected(intake: Arc<Intake>) -> Self {
        Self(Some(intake))
    }

    /// Whether events of a category are kept right now: one atomic load.
    ///
    /// For callers that would have to work, or allocate, in order to make the event.
    #[must_use]
    pub fn enabled(&self, category: Category) -> bool {
        self.0.as_ref().is_some_and(|intake| intake.enabled(category))
    }

    /// Whether the configuration leaves commands of this name out.
    pub(crate) fn excludes(&self, method: &str) -> bool {
        self.0.as_ref().is_some_and(|intake| {
            let excluded = intake.excluded.read().unwrap_or_else(PoisonError::into_inner);
            excluded.contains(method)
        })
    }

    /// Publishes what happened now.
    pub fn publish(&self, sandbox: Option<&str>, event: impl Body) {
        if let Some(intake) = &self.0
            && intake.enabled(event.category())
        {
            intake.take(Item::new(SystemTime::now(), sandbox, event.into()));
        }
    }

    /// Publishes what happened at `ts`.
    pub fn publish_at(&self, ts: SystemTime, sandbox: Option<&str>, event: impl Body) {
        self.offer_at(ts, sandbox, event);
    }

    /// The same; false if the event was wanted and is lost.
    pub(crate) fn offer_at(&self, ts: SystemTime, sandbox: Option<&str>, event: impl Body) -> bool {
        match &self.0 {
            Some(intake) if intake.enabled(event.category()) => {
                intake.take(Item::new(ts, sandbox, event.into()))
            }
            Some(_) | None => true,
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Telemetry" } else { "Telemetry(disconnected)" })
    }
}

/// An event on its way to the writer.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) ts: SystemTime,
    pub(crate) sandbox: Option<Id>,
    pub(crate) event: Event,
    /// The trace that it is part of.
    pub(crate) trace: Option<TraceId>,
    /// Events lost since the one before.
    pub(crate) lost: u64,
    pub(crate) weight: usize,
    /// Who waits for the log's answer.
    pub(crate) reply: Option<oneshot::Sender<Accepted>>,
}

/// The log took an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) envelope: bytes::Bytes,
}

impl Item {
    pub(crate) fn new(ts: SystemTime, sandbox: Option<&str>, event: Event) -> Self {
        let sandbox = sandbox.map(Id::from);
        let weight = size_of::<Self>() - size_of::<Event>() + event.weight();
        let trace = trace::current().map(|trace| trace.trace_id());
        Self { ts, sandbox, event, trace, lost: 0, weight, reply: None }
    }
}

/// Counts what is lost before it gets an offset.
pub(crate) trait LossCounter: Send + Sync {
    fn lost(&self, category: Category, cause: LossCause, events: u64);
}

/// The publishers' end of the queue.
pub(crate) struct Intake {
    /// One bit for each category that is on.
    categories: AtomicU32,
    sender: mpsc::Sender<Item>,
    /// Bytes in the queue. It may briefly read high, never low, so the bound holds.
    bytes: Arc<AtomicUsize>,
    /// Events lost that no accepted event has told of yet.
    lost: AtomicU64,
    /// Events that have a place in the queue: never fewer than are inside or were.
    taken: AtomicU64,
    /// Commands that make no event.
    excluded: RwLock<BTreeSet<String>>,
    losses: Arc<dyn LossCounter>,
}

/// The writer's end of the queue.
pub(crate) struct Outlet {
    receiver: mpsc::Receiver<Item>,
    bytes: Arc<AtomicUsize>,
}

pub(crate) fn queue(categories: u32, losses: Arc<dyn LossCounter>) -> (Arc<Intake>, Outlet) {
    let (sender, receiver) = mpsc::channel(QUEUE_EVENTS);
    let bytes = Arc::new(AtomicUsize::new(0));
    let intake = Intake {
        categories: AtomicU32::new(categories),
        sender,
        bytes: Arc::clone(&bytes),
        lost: AtomicU64::new(0),
        taken: AtomicU64::new(0),
        excluded: RwLock::default(),
        losses,
    };
    (Arc::new(intake), Outlet { receiver, bytes })
}

pub(crate) const fn bit(category: Category) -> u32 {
    1 << category as u32
}

impl Intake {
    /// Relaxed: a change of configuration has to be seen soon, not in step with anything else.
    pub(crate) fn enabled(&self, category: Category) -> bool {
        self.categories.load(Ordering::Relaxed) & bit(category) != 0
    }

    pub(crate) fn set_categories(&self, bits: u32) {
        self.categories.store(bits, Ordering::Relaxed);
    }

    pub(crate) fn set_excluded(&self, methods: BTreeSet<String>) {
        *self.excluded.write().unwrap_or_else(PoisonError::into_inner) = methods;
    }

    /// Puts an event into the queue, or counts it as lost and says so.
    pub(crate) fn take(&self, mut item: Item) -> bool {
        let weight = item.weight;
        let category = item.event.category();
        if self.bytes.fetch_add(weight, Ordering::Relaxed) + weight > QUEUE_BYTES {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            return self.lose(category, LossCause::QueueFull);
        }
        // The place comes first: after it nothing fails. So the losses are told by this event, and
        // `taken` never lags behind an event that its publisher knows to be inside.
        let place = match self.sender.try_reserve() {
            Ok(place) => place,
            Err(error) => {
                self.bytes.fetch_sub(weight, Ordering::Relaxed);
                let cause = match error {
                    TrySendError::Full(()) => LossCause::QueueFull,
                    TrySendError::Closed(()) => LossCause::Shutdown,
                };
                return self.lose(category, cause);
            }
        };
        item.lost = self.lost.swap(0, Ordering::Relaxed);
        self.taken.fetch_add(1, Ordering::Relaxed);
        place.send(item);
        true
    }

    fn lose(&self, category: Category, cause: LossCause) -> bool {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.losses.lost(category, cause, 1);
        false
    }

    /// Events that got a place in the queue since the start.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Events in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Bytes in the queue.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Outlet {
    /// Waits for events and appends up to `most` of them; 0 = closed and empty.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken until it returns.
    pub(crate) async fn receive(&mut self, items: &mut Vec<Item>, most: usize) -> usize {
        let before = items.len();
        let received = self.receiver.recv_many(items, most).await;
        let bytes = items[before..].iter().map(|item| item.weight).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        received
    }

    /// Refuses further events; those inside can still be received.
    pub(crate) fn close(&mut self) {
        self.receiver.close();
    }
}
