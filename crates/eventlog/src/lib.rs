#![doc = include_str!("../README.md")]

mod error;
mod follow;
#[cfg(feature = "jetstream")]
pub mod jetstream;
mod log;
pub mod memory;
mod name;
mod record;
mod ring;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "jetstream", feature = "sqlite"))]
mod tail;

pub use error::{AppendError, OpenError, ReadError, Retry, StoreError};
pub use follow::{Follower, Step};
pub use log::{
    BoxFuture, Durability, Head, Health, Log, LogOptions, Recovery, Retention, Status, Store,
};
pub use name::{BadCursor, BadName, Cursor, EPOCH_LEN, Epoch, LogName, NAME_MAX, parse_offset};
use record::span;
pub use record::{
    Appended, BATCH_MAX, BadBatch, Batch, DEDUPE_BATCHES, DedupeId, Gap, GapCause, NewRecord,
    PAYLOAD_MAX, Page, RECORD_OVERHEAD, ReadLimit, Record, micros,
};
pub use ring::Ring;
