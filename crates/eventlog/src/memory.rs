//! Logs in memory: bounded, gone with the process, a new epoch each start.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    AppendError, Appended, Batch, BoxFuture, DEDUPE_BATCHES, DedupeId, Epoch, Gap, GapCause, Head,
    Health, Log, LogName, LogOptions, OpenError, Page, RECORD_OVERHEAD, ReadError, ReadLimit,
    Record, Retention, Ring, Status, Store, StoreError, micros, span,
};

/// Largest batch, in bytes.
pub const MAX_BATCH: usize = 8 * 1024 * 1024;
/// Most bytes of one log unless its store was made with another cap. A log's own retention may be
/// tighter, never wider: its default is meant for a disk.
pub const DEFAULT_CAP: u64 = 64 * 1024 * 1024;

/// Logs in memory.
#[derive(Debug)]
pub struct MemoryStore {
    cap: u64,
    /// `None` once it was closed.
    logs: Mutex<Option<BTreeMap<LogName, Arc<MemoryLog>>>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_cap(DEFAULT_CAP)
    }
}

impl MemoryStore {
    /// A store whose logs take at most `cap` bytes each.
    #[must_use]
    pub fn with_cap(cap: u64) -> Self {
        Self { cap, logs: Mutex::new(Some(BTreeMap::new())) }
    }

    fn open_now(&self, name: &LogName, options: LogOptions) -> Result<Arc<MemoryLog>, OpenError> {
        let mut logs = lock(&self.logs);
        let logs = logs.as_mut().ok_or(OpenError::Closed)?;
        let core = match logs.get(name) {
            Some(log) if !log.head.borrow().closed => return Ok(Arc::clone(log)),
            Some(closed) => Arc::clone(&closed.core),
            None => Arc::new(Core { epoch: Epoch::random(), state: Mutex::new(State::new()) }),
        };
        let next = core.state().ring.next();
        let retention =
            Retention { max_bytes: options.retention.max_bytes.min(self.cap), ..options.retention };
        let log = Arc::new(MemoryLog {
            name: name.clone(),
            core,
            retention,
            head: watch::Sender::new(Head { next, closed: false }),
        });
        logs.insert(name.clone(), Arc::clone(&log));
        Ok(log)
    }
}

impl Store for MemoryStore {
    fn backend(&self) -> &'static str {
        "memory"
    }

    fn open<'a>(
        &'a self,
        name: &'a LogName,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<Arc<dyn Log>, OpenError>> {
        Box::pin(async move { Ok(self.open_now(name, options)? as Arc<dyn Log>) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LogName>, StoreError>> {
        Box::pin(async {
            let logs = lock(&self.logs);
            Ok(logs.as_ref().ok_or(StoreError::Closed)?.keys().cloned().collect())
        })
    }

    fn delete<'a>(&'a self, name: &'a LogName) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let removed = lock(&self.logs).as_mut().ok_or(StoreError::Closed)?.remove(name);
            if let Some(log) = &removed {
                log.remove();
            }
            Ok(removed.is_some())
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let logs = lock(&self.logs).take().unwrap_or_default();
            logs.values().for_each(|log| log.remove());
            Ok(())
        })
    }
}

/// A log in memory.
#[derive(Debug)]
struct MemoryLog {
    name: LogName,
    /// Shared with the handle of a later open.
    core: Arc<Core>,
    retention: Retention,
    head: watch::Sender<Head>,
}

#[derive(Debug)]
struct Core {
    epoch: Epoch,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ring: Ring<(i64, Bytes)>,
    newest_ts: i64,
    trimmed: u64,
    dedupe: VecDeque<(DedupeId, Appended)>,
    removed: bool,
}

impl Core {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn new() -> Self {
        Self {
            ring: Ring::starting_at(1),
            newest_ts: i64::MIN,
            trimmed: 0,
            dedupe: VecDeque::new(),
            removed: false,
        }
    }

    fn append(&mut self, batch: Batch) -> Appended {
        let id = batch.dedupe_id();
        if let Some(id) = id
            && let Some((_, appended)) = self.dedupe.iter().find(|(known, _)| *known == id)
        {
            return *appended;
        }
        let first = self.ring.next();
        for record in batch.into_records() {
            self.newest_ts = self.newest_ts.max(record.ts);
            let bytes = record.payload.len() + RECORD_OVERHEAD;
            self.ring.push(bytes, (record.ts, record.payload));
        }
        let appended = Appended { first, last: self.ring.next() - 1 };
        if let Some(id) = id {
            if self.dedupe.len() == DEDUPE_BATCHES {
                self.dedupe.pop_front();
            }
            self.dedupe.push_back((id, appended));
        }
        appended
    }

    fn retain(&mut self, retention: Retention, now: i64) {
        let bytes = usize::try_from(retention.max_bytes).unwrap_or(usize::MAX);
        self.trimmed += self.ring.shrink(usize::MAX, bytes) as u64;
        let oldest_allowed = now.max(self.newest_ts).saturating_sub(span(retention.max_age));
        while self.ring.oldest().is_some_and(|(ts, _)| *ts < oldest_allowed)
            && self.ring.drop_oldest()
        {
            self.trimmed += 1;
        }
    }

    fn read(&self, offset: u64, limit: ReadLimit) -> Result<Page, ReadError> {
        let (first, head) = (self.ring.first(), self.ring.next());
        let offset = offset.max(1);
        if offset > head {
            return Err(ReadError::Ahead { next: head });
        }
        let gap = (offset < first).then(|| Gap {
            from: offset,
            to: first - 1,
            cause: GapCause::Retention,
        });
        let records = records(&self.ring, offset, limit);
        let next = records.last().map_or(offset.max(first), |record| record.offset + 1);
        Ok(Page { gap, records, next, head })
    }
}

/// Records of a page: as many as fit, and at least one if there is one.
pub(crate) fn records(ring: &Ring<(i64, Bytes)>, offset: u64, limit: ReadLimit) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut room = limit.bytes;
    for (offset, _, (ts, payload)) in ring.from(offset).take(limit.records.max(1)) {
        if payload.len() > room && !records.is_empty() {
            break;
        }
        room = room.saturating_sub(payload.len());
        records.push(Record { offset, ts: *ts, payload: payload.clone() });
    }
    records
}

impl MemoryLog {
    /// Readers wake up after the lock was given back; two appends may do so in the other order.
    fn announce(&self, next: u64) {
        self.head.send_if_modified(|head| {
            let newer = next > head.next;
            head.next = head.next.max(next);
            newer
        });
    }

    fn remove(&self) {
        let mut state = self.core.state();
        state.removed = true;
        let next = state.ring.next();
        state.ring.restart_at(next);
        self.shut();
    }

    fn shut(&self) {
        self.head.send_if_modified(|head| !std::mem::replace(&mut head.closed, true));
    }
}

impl Log for MemoryLog {
    fn name(&self) -> &LogName {
        &self.name
    }

    fn epoch(&self) -> &Epoch {
        &self.core.epoch
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            if batch.bytes() > MAX_BATCH {
                return Err(AppendError::TooLarge { bytes: batch.bytes(), limit: MAX_BATCH });
            }
            let mut state = self.core.state();
            // Closing takes the same lock, so nothing is stored behind the end that followers saw.
            if self.head.borrow().closed {
                return Err(AppendError::Closed);
            }
            let appended = state.append(batch);
            state.retain(self.retention, micros(SystemTime::now()));
            drop(state);
            self.announce(appended.last + 1);
            Ok(appended)
        })
    }

    fn read_from(&self, offset: u64, limit: ReadLimit) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(async move {
            let mut state = self.core.state();
            if state.removed {
                return Err(ReadError::Closed);
            }
            state.retain(self.retention, micros(SystemTime::now()));
            state.read(offset, limit)
        })
    }

    fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    fn trim(&self, before: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut state = self.core.state();
            if self.head.borrow().closed {
                return Err(StoreError::Closed);
            }
            let before = before.min(state.ring.next());
            state.trimmed += state.ring.drop_before(before) as u64;
            Ok(state.ring.first())
        })
    }

    fn status(&self) -> Status {
        let state = self.core.state();
        Status {
            first: state.ring.first(),
            next: state.ring.next(),
            bytes: state.ring.bytes() as u64,
            trimmed: state.trimmed,
            corrupt: 0,
            health: Health::Good,
            recovery: None,
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let _no_append_between = self.core.state();
            self.shut();
            Ok(())
        })
    }
}

/// A panic inside a lock cannot leave these tables half changed, so the lock stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
