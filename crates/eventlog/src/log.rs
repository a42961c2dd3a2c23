//! What every backend does: a store of named logs, and a log.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::{
    AppendError, Appended, Batch, Epoch, LogName, OpenError, Page, ReadError, ReadLimit, StoreError,
};

/// A future that owns nothing but what it borrows from the log.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long records are kept. What goes first is dropped oldest first; the newest record is kept
/// whatever the limits say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Most bytes: payloads and [`crate::RECORD_OVERHEAD`] each.
    pub max_bytes: u64,
    /// Greatest age of a record. Age counts from its `ts` to now, or to the newest `ts` in the log
    /// if the clock was set back.
    pub max_age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_bytes: 1024 * 1024 * 1024, max_age: Duration::from_secs(7 * 24 * 60 * 60) }
    }
}

/// What an acknowledged append survives. A backend that cannot reach a level gives what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// The death of the process.
    #[default]
    Process,
    /// Also a loss of power.
    Power,
}

/// How a log is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// How long records are kept.
    pub retention: Retention,
    /// What an acknowledged append survives.
    pub durability: Durability,
}

/// A place that holds named logs.
pub trait Store: Send + Sync + 'static {
    /// The name of the backend, for metric labels.
    fn backend(&self) -> &'static str;

    /// Opens a log, and creates it if there is none of that name.
    ///
    /// A log that is open already is shared: the options of the first open stay until it is closed.
    ///
    /// # Errors
    /// [`OpenError`].
    ///
    /// # Cancel safety
    /// Cancel safe: at most the log has been created.
    fn open<'a>(
        &'a self,
        name: &'a LogName,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<Arc<dyn Log>, OpenError>>;

    /// The names of all logs, sorted.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(&self) -> BoxFuture<'_, Result<Vec<LogName>, StoreError>>;

    /// Removes a log with all its records; whoever has it open finds it closed. Says if there was
    /// one. A later open of the name makes a log of a new epoch.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete<'a>(&'a self, name: &'a LogName) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Closes every log, and the storage. Nothing can be read afterwards.
    ///
    /// # Errors
    /// [`StoreError`], if what was appended could not be made durable.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// A durable, ordered list of records that is only ever added to at its end and dropped from at its
/// beginning.
///
/// Offsets start at 1 and grow by 1; none is used twice. There is one writer's order: whoever reads
/// sees the same records at the same offsets.
pub trait Log: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &LogName;

    /// Its incarnation. It changes only when the numbering cannot go on.
    fn epoch(&self) -> &Epoch;

    /// The largest batch it takes, as [`Batch::bytes`] counts.
    fn max_batch(&self) -> usize;

    /// Stores a batch, whole or not at all, and gives its offsets once it is durable.
    ///
    /// Acknowledgements come in the order of offsets. It may wait while the backend's queue is full.
    ///
    /// # Errors
    /// [`AppendError`]; [`AppendError::retry`] says if the same batch can succeed later.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it open whether the batch was stored. Appending it again under
    /// the same [`crate::DedupeId`] stores it once.
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Reads from an offset, inclusive. 0 reads from the first record ever, like 1.
    ///
    /// Before the first kept record the page has a gap and goes on from there. At the end it is
    /// empty.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Ahead`] beyond the end.
    ///
    /// # Cancel safety
    /// Cancel safe: reading changes nothing.
    fn read_from(&self, offset: u64, limit: ReadLimit) -> BoxFuture<'_, Result<Page, ReadError>>;

    /// The end of the log and every change of it. What it shows can be read.
    fn head(&self) -> watch::Receiver<Head>;

    /// Drops every record before an offset, and gives the first offset that is left (or would be
    /// the next). Beyond the end it drops all; numbering goes on.
    ///
    /// # Errors
    /// [`StoreError`].
    fn trim(&self, before: u64) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// How it is doing. Never waits.
    fn status(&self) -> Status;

    /// Takes no further batch, and answers every append that waits. What is stored can be read until
    /// the store is closed; followers end behind the last record.
    ///
    /// # Errors
    /// [`StoreError`], if what was appended could not be made durable.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The offset that the next record will get.
    pub next: u64,
    /// Whether there will be no next record.
    pub closed: bool,
}

/// How a log is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The first offset that is kept, or would be the next.
    pub first: u64,
    /// The offset that the next record will get.
    pub next: u64,
    /// Bytes kept: payloads and [`crate::RECORD_OVERHEAD`] each.
    pub bytes: u64,
    /// Records dropped for age or room, or trimmed, since it was opened.
    pub trimmed: u64,
    /// Damaged records met since it was opened.
    pub corrupt: u64,
    /// Whether it takes records.
    pub health: Health,
    /// What had to be done to open it.
    pub recovery: Option<Recovery>,
}

/// Whether a log takes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Good,
    /// The last append failed.
    Degraded {
        /// Why.
        error: String,
    },
}

/// What had to be done to open a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Acknowledged records may be gone after a loss of power: these offsets are a gap, so that no
    /// number that a reader may have seen is given out again.
    Jumped {
        /// The first offset left out.
        from: u64,
        /// The last offset left out.
        to: u64,
    },
    /// The storage could not be read: it was set aside, and the epoch is new. What came before the
    /// damage was taken over with its offsets.
    Replaced {
        /// The first offset of the old epoch that is lost; none if none is, or it is not known.
        lost_from: Option<u64>,
        /// The last offset of the old epoch that is lost; none if none is, or it is not known.
        lost_to: Option<u64>,
    },
}
