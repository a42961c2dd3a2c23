//! Pure: records, batches of them, pages of them, and the gaps between them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

#[cfg(test)]
mod tests;

/// Longest payload of a record, in bytes.
pub const PAYLOAD_MAX: usize = 1_000_000;
/// Most records in a batch.
pub const BATCH_MAX: usize = 1_024;
/// How many batches back a repeated [`DedupeId`] is recognised.
pub const DEDUPE_BATCHES: usize = 1_024;
/// What a record counts for in limits on bytes, beside its payload.
pub const RECORD_OVERHEAD: usize = 32;

/// A time as records carry it: microseconds since 1970 UTC, negative before.
#[must_use]
pub fn micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => span(since),
        Err(before) => -span(before.duration()),
    }
}

/// A duration in microseconds; one beyond 292,000 years is cut to that.
pub(crate) fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A record that has not been stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Microseconds since 1970 UTC. Retention by age goes by it; order does not.
    pub ts: i64,
    /// Its content, opaque to the log.
    pub payload: Bytes,
}

/// A stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place: from 1, one more for each record, never used twice.
    pub offset: u64,
    /// Microseconds since 1970 UTC.
    pub ts: i64,
    /// Its content.
    pub payload: Bytes,
}

/// Names a batch, so that appending it again stores it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DedupeId(pub u128);

impl DedupeId {
    /// A new one that nobody has used.
    ///
    /// # Panics
    /// If the operating system gives no randomness, which it always does once it has booted.
    #[must_use]
    pub fn random() -> Self {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).expect("a booted system gives randomness");
        Self(u128::from_le_bytes(bits))
    }
}

/// Records that are stored together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    records: Vec<NewRecord>,
    bytes: usize,
    dedupe_id: Option<DedupeId>,
}

impl Batch {
    /// A batch of 1 to [`BATCH_MAX`] records of at most [`PAYLOAD_MAX`] bytes each.
    ///
    /// # Errors
    /// [`BadBatch`] says what does not fit.
    pub fn new(records: Vec<NewRecord>) -> Result<Self, BadBatch> {
        if records.is_empty() {
            return Err(BadBatch::Empty);
        }
        if records.len() > BATCH_MAX {
            return Err(BadBatch::TooMany { records: records.len() });
        }
        if let Some(index) = records.iter().position(|record| record.payload.len() > PAYLOAD_MAX) {
            return Err(BadBatch::RecordTooLarge { index, bytes: records[index].payload.len() });
        }
        let bytes = records.iter().map(|record| record.payload.len() + RECORD_OVERHEAD).sum();
        Ok(Self { records, bytes, dedupe_id: None })
    }

    /// A batch of one record.
    ///
    /// # Errors
    /// [`BadBatch::RecordTooLarge`].
    pub fn one(ts: i64, payload: impl Into<Bytes>) -> Result<Self, BadBatch> {
        Self::new(vec![NewRecord { ts, payload: payload.into() }])
    }

    /// The same batch under a name: appending it again, after an append whose outcome is not known,
    /// gives the offsets of the first time and stores nothing.
    ///
    /// The log remembers the last [`DEDUPE_BATCHES`] batches that had a name.
    #[must_use]
    pub fn named(mut self, id: DedupeId) -> Self {
        self.dedupe_id = Some(id);
        self
    }

    /// The records.
    #[must_use]
    pub fn records(&self) -> &[NewRecord] {
        &self.records
    }

    /// The records, by value.
    #[must_use]
    pub fn into_records(self) -> Vec<NewRecord> {
        self.records
    }

    /// Its name.
    #[must_use]
    pub fn dedupe_id(&self) -> Option<DedupeId> {
        self.dedupe_id
    }

    /// Payload bytes and [`RECORD_OVERHEAD`] for each record.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Records that make no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    /// There is none.
    #[error("a batch needs at least one record")]
    Empty,
    /// There are too many.
    #[error("a batch of {records} records: at most {BATCH_MAX}, split it")]
    TooMany {
        /// How many.
        records: usize,
    },
    /// One is too long.
    #[error("record {index} of the batch has {bytes} bytes: at most {PAYLOAD_MAX}")]
    RecordTooLarge {
        /// Which, from 0.
        index: usize,
        /// Its length.
        bytes: usize,
    },
}

/// The offsets that a batch was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Of its first record.
    pub first: u64,
    /// Of its last record.
    pub last: u64,
}

/// Offsets for which there is no record, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first missing offset.
    pub from: u64,
    /// The last missing offset.
    pub to: u64,
    /// Why they are missing.
    pub cause: GapCause,
}

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapCause {
    /// They were dropped for age or room, or trimmed.
    Retention,
    /// They are damaged.
    Corrupt,
    /// A crash lost them, or they were never given out so that no number is used twice.
    Crash,
}

impl GapCause {
    /// A stable word for wires, logs and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Corrupt => "corrupt",
            Self::Crash => "crash",
        }
    }
}

/// How much to read at once. A page has at least one record if there is one, however long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Most records.
    pub records: usize,
    /// Most payload bytes.
    pub bytes: usize,
}

impl Default for ReadLimit {
    fn default() -> Self {
        Self { records: 1_024, bytes: 256 * 1024 }
    }
}

/// Records in order, without a hole between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Offsets that are missing right before `records`. A page ends before the next gap.
    pub gap: Option<Gap>,
    /// The records; empty at the end of the log.
    pub records: Vec<Record>,
    /// Where to read on.
    pub next: u64,
    /// The offset that the next record will get.
    pub head: u64,
}
