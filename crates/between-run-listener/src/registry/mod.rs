//! One listener a session, never two: who starts them, who ends them, who is told.

mod entry;
mod keep;
#[cfg(all(test, lockkeeper_loom))]
mod model;
mod pin;
mod table;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use draingate::Gate;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::feed::SessionKey;
use crate::http::Client;
use crate::listener::{Board, Setup, Status, Task};
use crate::sse::Budget;

use entry::Entry;
use table::{Live, Next, Table};

pub use pin::Pin;

/// How a registry keeps its listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A listener without a pin ends when its session was not used for this long. Default 1 h.
    pub stale_after: Duration,
    /// How often that is looked at. Default 10 min.
    pub sweep_every: Duration,
    /// After a listener gave up for a reason that may pass, and while it is pinned, it starts again
    /// after this long. Default 5 min.
    pub rearm_after: Duration,
    /// A session whose listener gave up is started again by triggers at most this often. Default
    /// 10 s.
    pub rearm_every: Duration,
    /// [`Registry::start_all`] spreads the starts over this long. Default 10 s.
    pub spread: Duration,
    /// How many bytes of unfinished events all listeners may hold together. Default 512 MiB.
    pub decode_budget: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stale_after: Duration::from_secs(3600),
            sweep_every: Duration::from_secs(600),
            rearm_after: Duration::from_secs(300),
            rearm_every: Duration::from_secs(10),
            spread: Duration::from_secs(10),
            decode_budget: 512 << 20,
        }
    }
}

/// What became of a wish for a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// It has been started, with this generation.
    Started(u64),
    /// There is one, with this generation. If it was waiting, it connects now.
    Already(u64),
    /// There is none.
    Refused(Refusal),
}

/// Why no listener was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The process is ending.
    #[error("no listener is started while the process drains")]
    Draining,
    /// The last one gave up, and not long ago.
    #[error("the listener gave up and is started again in {} s at the earliest", wait.as_secs() + 1)]
    TooSoon {
        /// How long until a trigger counts again.
        wait: Duration,
    },
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Listeners that have ended.
    pub joined: usize,
    /// Listeners that had not ended at the deadline: 0, or a defect of ours.
    pub late: usize,
}

/// One line of [`Registry::snapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose listener.
    pub key: SessionKey,
    /// Where it stands, or how the last one gave up.
    pub status: Status,
    /// How many pins hold it.
    pub pins: usize,
    /// When the session was last used: an event, or a pin that came or went.
    pub last_seen: Instant,
}

/// Keeps at most one listener for each session. Dropping it cancels them all and does not wait.
///
/// Not `Clone`: it has one owner, who shuts it down and waits.
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    settings: Settings,
    gate: Gate,
    budget: Budget,
    tasks: TaskTracker,
    table: Mutex<Table>,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Registry {
    /// An empty registry. Once `gate` drains, nothing is started any more.
    pub fn new(client: Client, settings: Settings, gate: Gate) -> Self {
        let inner = Inner {
            client,
            settings,
            gate,
            budget: Budget::new(settings.decode_budget),
            tasks: TaskTracker::new(),
            table: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Sees to it that the session has a listener. Of any number of calls at once one starts it and
    /// the others see its generation; what they brought is dropped. One that waits for its next
    /// attempt makes it now.
    ///
    /// While the last listener is still ending it waits for that, a few milliseconds.
    ///
    /// # Cancel safety
    /// Either it has started the listener or it has done nothing.
    pub async fn ensure(&self, key: &SessionKey, setup: Setup) -> Ensured {
        self.inner.ensure(key, &Arc::new(setup), None).await
    }

    /// Starts a listener of this setup; one that there is, is cancelled and joined first. When it
    /// returns `Started`, that listener has this setup.
    ///
    /// # Cancel safety
    /// The old listener may have ended and the new one not begun; a later [`ensure`](Self::ensure)
    /// starts it.
    pub async fn replace(&self, key: &SessionKey, setup: Setup) -> Ensured {
        let setup = Arc::new(setup);
        loop {
            let gone = {
                let mut table = self.inner.table();
                table.forget_end(key);
                match self.inner.try_start(&mut table, key, &setup, &mut None) {
                    Ok(Ensured::Already(generation)) => match table.cancel(key, Some(generation)) {
                        Some(gone) => gone,
                        // It has ended by itself.
                        None => continue,
                    },
                    Ok(done) => return done,
                    Err(gone) => gone,
                }
            };
            gone.cancelled().await;
        }
    }

    /// Ends the session's listener: on return its socket is closed and its last line has run. False
    /// if there was none. That it once gave up is forgotten.
    ///
    /// # Cancel safety
    /// The listener ends all the same.
    pub async fn cancel(&self, key: &SessionKey) -> bool {
        let gone = {
            let mut table = self.inner.table();
            table.forget_end(key);
            table.cancel(key, None)
        };
        joined(gone).await
    }

    /// The same, if the listener is still the one of this generation.
    ///
    /// # Cancel safety
    /// The listener ends all the same.
    pub async fn cancel_if(&self, key: &SessionKey, generation: u64) -> bool {
        let gone = self.inner.table().cancel(key, Some(generation));
        joined(gone).await
    }

    /// Marks the session as used while the pin lives: an open subscriber, an open run. A pinned
    /// session is never stale, whether or not it has a listener now.
    pub fn pin(&self, key: &SessionKey) -> Pin {
        self.inner.table().pin(key, now());
        Pin::new(&self.inner, key.clone())
    }

    /// Where the session's listener stands, or how the last one gave up.
    pub fn status(&self, key: &SessionKey) -> Option<Status> {
        self.inner.table().status(key)
    }

    /// Everything there is, in no order. Does not block a listener.
    pub fn snapshot(&self) -> Vec<Row> {
        self.inner.table().rows()
    }

    /// How many listeners there are.
    pub fn len(&self) -> usize {
        self.inner.table().live()
    }

    /// Whether there is no listener.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What all listeners may hold of unfinished events together. For other decoders of the process.
    pub fn budget(&self) -> Budget {
        self.inner.budget.clone()
    }

    /// How many tasks there are: as many as listeners, and for an instant one more where one ends.
    pub fn tasks(&self) -> usize {
        self.inner.tasks.len()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("listeners", &self.len()).finish_non_exhaustive()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.inner.table().close();
    }
}

async fn joined(gone: Option<CancellationToken>) -> bool {
    match gone {
        Some(gone) => {
            gone.cancelled().await;
            true
        }
        None => false,
    }
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ensure(
        self: &Arc<Self>,
        key: &SessionKey,
        setup: &Arc<Setup>,
        mut place: Option<OwnedSemaphorePermit>,
    ) -> Ensured {
        loop {
            let tried = self.try_start(&mut self.table(), key, setup, &mut place);
            match tried {
                Ok(done) => return done,
                Err(gone) => gone.cancelled().await,
            }
        }
    }

    /// Starts a listener if there is none; or what to wait for while one is ending.
    fn try_start(
        self: &Arc<Self>,
        table: &mut Table,
        key: &SessionKey,
        setup: &Arc<Setup>,
        place: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<Ensured, CancellationToken> {
        // Held until the listener is in the table: a drain that has begun finds nothing half-started.
        let Ok(_pass) = self.gate.enter() else {
            return Ok(Ensured::Refused(Refusal::Draining));
        };
        let now = now();
        match table.look(key, now, self.settings.rearm_every) {
            Next::Closed => Ok(Ensured::Refused(Refusal::Draining)),
            Next::TooSoon(wait) => Ok(Ensured::Refused(Refusal::TooSoon { wait })),
            Next::Already(generation) => Ok(Ensured::Already(generation)),
            Next::Ending(gone) => Err(gone),
            Next::Free => {
                let generation = table.generation();
                let live = Live {
                    generation,
                    cancel: CancellationToken::new(),
                    gone: CancellationToken::new(),
                    board: Arc::new(Board::new(generation, now)),
                    setup: Arc::clone(setup),
                    armed_at: now,
                };
                let task = Task {
                    client: self.client.clone(),
                    setup: Arc::clone(setup),
                    generation,
                    board: Arc::clone(&live.board),
                    cancel: live.cancel.clone(),
                    budget: self.budget.clone(),
                    place: place.take(),
                };
                let entry = Entry::new(self, key.clone(), &live);
                table.put(key, live, now);
                self.tasks.spawn(entry.run(task));
                Ok(Ensured::Started(generation))
            }
        }
    }
}

#[cfg(test)]
mod tests;
