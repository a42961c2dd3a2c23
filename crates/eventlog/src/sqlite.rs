//! Logs in one SQLite database: they survive the process, and power loss where a log asks for it.
//!
//! One thread owns the only connection that writes. What waits while it is busy is committed
//! together. Reads go to a few threads with a connection each. No task of the runtime ever waits for
//! SQLite.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::{
    AppendError, Appended, Batch, BoxFuture, Epoch, Head, Log, LogName, LogOptions, OpenError,
    Page, ReadError, ReadLimit, Status, Store, StoreError,
};
use queue::{Append, Queued, Request};
use reader::{ReadJob, Readers};
use shared::Shared;

mod fault;
mod group;
mod house;
mod page;
mod queue;
mod reader;
mod recover;
mod salvage;
mod schema;
mod shared;
mod table;
mod writer;

/// Largest batch, in bytes.
pub const MAX_BATCH: usize = 8 * 1024 * 1024;
/// Most requests that wait for the writer; further ones wait outside.
pub const QUEUE_REQUESTS: usize = 1_024;
/// Most bytes of batches that wait for the writer; further ones wait outside.
pub const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// How far numbering jumps when a loss of power may have taken acknowledged records.
pub const CRASH_JUMP: u64 = 1 << 20;
/// The database, inside the directory of the store.
pub const FILE_NAME: &str = "eventlog.db";

/// How a store is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SqliteOptions {
    /// Most bytes of the database file; an append beyond is refused with [`AppendError::Full`].
    /// None leaves it to the disk. A few MiB of write-ahead log come on top.
    pub max_file_bytes: Option<u64>,
}

/// Logs in an SQLite database.
///
/// Dropping it and every log of it without [`Store::close`] ends its threads on their own, behind
/// the last append that was handed in.
#[derive(Debug)]
pub struct SqliteStore {
    core: Arc<Core>,
}

/// What the store and its logs have in common.
#[derive(Debug)]
struct Core {
    /// Has room for whoever holds a permit of `requests`, so sending never blocks.
    queue: mpsc::SyncSender<Queued>,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    readers: Readers,
    closed: AtomicBool,
}

impl SqliteStore {
    /// Opens the store in a directory, and creates both if need be. The directory belongs to the
    /// store: a second process is refused.
    ///
    /// A database that cannot be read is set aside, and logs report [`crate::Recovery::Replaced`].
    /// After a loss of power, logs whose level does not cover that jump ahead and report
    /// [`crate::Recovery::Jumped`].
    ///
    /// # Errors
    /// [`OpenError`].
    ///
    /// # Cancel safety
    /// Cancel safe: what was opened is closed again.
    pub async fn open(dir: impl Into<PathBuf>, options: SqliteOptions) -> Result<Self, OpenError> {
        let (queue, requests) = mpsc::sync_channel(QUEUE_REQUESTS);
        let (opened, outcome) = oneshot::channel();
        writer::start(dir.into(), options, requests, opened)
            .map_err(|error| OpenError::Unavailable { cause: error.to_string() })?;
        let readers = outcome.await.map_err(|_| OpenError::Unavailable {
            cause: "the writer ended while it opened the database".into(),
        })??;
        let core = Core {
            queue,
            requests: Arc::new(Semaphore::new(QUEUE_REQUESTS)),
            bytes: Arc::new(Semaphore::new(QUEUE_BYTES)),
            readers,
            closed: AtomicBool::new(false),
        };
        Ok(Self { core: Arc::new(core) })
    }
}

/// The store is closed: the writer is gone, or does not answer any more.
struct Gone;

macro_rules! gone_is_closed {
    ($($error:ident),+) => {$(
        impl From<Gone> for $error {
            fn from(Gone: Gone) -> Self {
                Self::Closed
            }
        }
    )+};
}
gone_is_closed!(OpenError, AppendError, ReadError, StoreError);

impl Core {
    /// Hands a request to the writer and waits for its answer.
    async fn ask<T>(
        &self,
        bytes: usize,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Gone> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Gone);
        }
        let room = self.room(bytes).await?;
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Queued { request: request(reply), _room: room }).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    async fn room(&self, bytes: usize) -> Result<[OwnedSemaphorePermit; 2], Gone> {
        let bytes = u32::try_from(bytes).map_err(|_| Gone)?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await;
        let request = Arc::clone(&self.requests).acquire_owned().await;
        Ok([bytes.map_err(|_| Gone)?, request.map_err(|_| Gone)?])
    }
}

impl Store for SqliteStore {
    fn backend(&self) -> &'static str {
        "sqlite"
    }

    fn open<'a>(
        &'a self,
        name: &'a LogName,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<Arc<dyn Log>, OpenError>> {
        Box::pin(async move {
            let name = name.clone();
            let shared = self.core.ask(0, |reply| Request::Open { name, options, reply }).await??;
            Ok(Arc::new(SqliteLog { core: Arc::clone(&self.core), shared }) as Arc<dyn Log>)
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LogName>, StoreError>> {
        Box::pin(async { self.core.ask(0, |reply| Request::List { reply }).await? })
    }

    fn delete<'a>(&'a self, name: &'a LogName) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let name = name.clone();
            self.core.ask(0, |reply| Request::Delete { name, reply }).await?
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let outcome = self.core.ask(0, |reply| Request::Close { reply }).await;
            self.core.closed.store(true, Ordering::Release);
            // Nobody answers: it was closed before.
            outcome.unwrap_or(Ok(()))
        })
    }
}

/// A log in an SQLite database.
#[derive(Debug)]
struct SqliteLog {
    core: Arc<Core>,
    shared: Arc<Shared>,
}

impl Log for SqliteLog {
    fn name(&self) -> &LogName {
        &self.shared.name
    }

    fn epoch(&self) -> &Epoch {
        &self.shared.epoch
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let bytes = batch.bytes();
            if bytes > MAX_BATCH {
                return Err(AppendError::TooLarge { bytes, limit: MAX_BATCH });
            }
            let log = Arc::clone(&self.shared);
            self.core.ask(bytes, |reply| Request::Append(Append { log, batch, reply })).await?
        })
    }

    fn read_from(&self, offset: u64, limit: ReadLimit) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(async move {
            if self.core.closed.load(Ordering::Acquire) || self.shared.is_removed() {
                return Err(ReadError::Closed);
            }
            // Followers ask here most of the time; the answer needs no storage.
            let head = self.shared.head.borrow().next;
            if offset.max(1) == head {
                return Ok(Page { gap: None, records: Vec::new(), next: head, head });
            }
            if let Some(page) = self.shared.recent(offset.max(1), limit) {
                return Ok(page);
            }
            let (reply, answer) = oneshot::channel();
            let log = Arc::clone(&self.shared);
            let job = ReadJob::Page { log, offset, limit, reply };
            self.core.readers.send(job).await.map_err(|_| ReadError::Closed)?;
            answer.await.map_err(|_| ReadError::Closed)?
        })
    }

    fn head(&self) -> watch::Receiver<Head> {
        self.shared.head.subscribe()
    }

    fn trim(&self, before: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let log = Arc::clone(&self.shared);
            self.core.ask(0, |reply| Request::Trim { log, before, reply }).await?
        })
    }

    fn status(&self) -> Status {
        self.shared.status()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let log = Arc::clone(&self.shared);
            let closed = self.core.ask(0, |reply| Request::CloseLog { log, reply }).await;
            // With the store it was closed too.
            closed.unwrap_or(());
            Ok(())
        })
    }
}
