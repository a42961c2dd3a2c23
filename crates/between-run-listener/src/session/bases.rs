//! Where the base of a session is kept: in a log of its own, beside that of the session.
//!
//! A base is written, read back and checked; then one record more, its seal, makes it count. What no
//! seal follows was never finished and is left out. So whenever a process dies, the next one finds
//! the old base or the new one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use eventlog::{
    AppendError, BATCH_MAX, Batch, DedupeId, Durability, Epoch, Log, LogName, LogOptions,
    NewRecord, OpenError, ReadError, ReadLimit, Retention, Store, StoreError, micros,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::fold::{Base, BaseError, Header};
use crate::log::{Assembler, Envelope, Kind, Origin, Stored, encode};

/// What is read at once.
const PAGE: ReadLimit = ReadLimit { records: 64, bytes: 1 << 20 };

/// The reason of a base's first record, and of its last.
const HEADER: &str = "base";
const SEAL: &str = "base_seal";

/// Where a base is, and what it covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The offset of its first record in the log of bases.
    first: u64,
    /// That of its last.
    last: u64,
    /// The first offset of the session's log of which something is in it.
    pub from: u64,
    /// The last offset of the session's log that it covers.
    pub covers: u64,
    /// Bytes of its records.
    pub bytes: u64,
    /// The incarnation of the session's log.
    epoch: String,
    /// SHA-256 over its records.
    sum: String,
}

/// Why a base was not written or not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BasesError {
    /// Its log was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It was not written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// It was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An older one was not dropped.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was read is not what was written.
    #[error("the base was not read back as it was written")]
    Damaged,
    /// What was written is no base.
    #[error(transparent)]
    Base(#[from] BaseError),
}

/// The bases of a session, of which one counts.
pub(super) struct Bases {
    store: Arc<dyn Store>,
    name: LogName,
    /// The incarnation of the session's log; a base of another one does not count.
    epoch: String,
    /// Opened when it is needed first: most sessions are never folded.
    log: OnceCell<Arc<dyn Log>>,
    seal: Mutex<Option<Arc<Seal>>>,
}

impl Bases {
    pub(super) fn new(store: Arc<dyn Store>, name: LogName, epoch: &Epoch) -> Self {
        let epoch = epoch.as_str().to_owned();
        Self { store, name, epoch, log: OnceCell::new(), seal: Mutex::default() }
    }

    /// The one that counts.
    pub(super) fn seal(&self) -> Option<Arc<Seal>> {
        self.seal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, seal: Arc<Seal>) {
        *self.seal.lock().unwrap_or_else(PoisonError::into_inner) = Some(seal);
    }

    async fn log(&self) -> Result<&Arc<dyn Log>, OpenError> {
        let open = || async { self.store.open(&self.name, unlimited()).await };
        self.log.get_or_try_init(open).await
    }

    /// Finds the last one that was finished.
    pub(super) async fn find(&self) -> Result<(), BasesError> {
        let log = self.log().await?;
        let mut last = None;
        self.each(log.status().first, u64::MAX, |stored| {
            if stored.envelope.reason.as_deref() == Some(SEAL) {
                last = serde_json::from_slice::<Seal>(&stored.data).ok();
            }
        })
        .await?;
        if let Some(seal) = last.filter(|seal: &Seal| seal.epoch == self.epoch) {
            self.set(Arc::new(seal));
        }
        Ok(())
    }

    /// The records from one offset to another, as far as they can be read.
    async fn each(
        &self,
        from: u64,
        to: u64,
        mut take: impl FnMut(Stored),
    ) -> Result<(), BasesError> {
        let log = self.log().await?;
        let (mut next, mut assembler) = (from, Assembler::default());
        while next <= to {
            let page = log.read_from(next, PAGE).await?;
            next = page.next;
            if page.records.is_empty() && next >= page.head {
                return Ok(());
            }
            for record in page.records.into_iter().filter(|record| record.offset <= to) {
                if let Ok(Some(stored)) = assembler.take(record.offset, record.payload) {
                    take(stored);
                }
            }
        }
        Ok(())
    }

    /// Reads a base whole.
    pub(super) async fn read(&self, seal: &Seal) -> Result<Base, BasesError> {
        let (mut header, mut events) = (None, Vec::new());
        let mut sum = Sha256::new();
        self.each(seal.first, seal.last, |stored| {
            add(&mut sum, &stored.envelope, &stored.data);
            if stored.envelope.reason.as_deref() == Some(HEADER) {
                header = serde_json::from_slice::<Header>(&stored.data).ok();
            } else {
                events.push(Stored { offset: seal.covers, ..stored });
            }
        })
        .await?;
        match header {
            Some(header) if hex(sum) == seal.sum => Ok(Base { header, events }),
            _ => Err(BasesError::Damaged),
        }
    }

    /// Writes a base, which does not count yet.
    pub(super) async fn write(&self, base: &Base) -> Result<Seal, BasesError> {
        let header = Envelope {
            reason: Some(HEADER.to_owned()),
            ..Envelope::new(Kind::Note, Origin::Gateway)
        };
        let data = Bytes::from(serde_json::to_vec(&base.header).unwrap_or_default());
        let mut sum = Sha256::new();
        let mut payloads = Vec::new();
        let events = base.events.iter().map(|stored| (&stored.envelope, &stored.data));
        for (envelope, data) in std::iter::once((&header, &data)).chain(events) {
            add(&mut sum, envelope, data);
            payloads.extend(encode(envelope, data));
        }
        let bytes = payloads.iter().map(|payload| payload.len() as u64).sum();
        let (mut first, mut last) = (None, 0);
        let log = self.log().await?;
        let mut payloads = payloads.into_iter().peekable();
        while payloads.peek().is_some() {
            let (mut group, mut size) = (Vec::new(), 0);
            while let Some(payload) = payloads.next_if(|payload| {
                group.is_empty()
                    || (group.len() < BATCH_MAX && size + payload.len() < log.max_batch() / 2)
            }) {
                size += payload.len();
                group.push(payload);
            }
            let appended = append(log, group).await?;
            first.get_or_insert(appended.first);
            last = appended.last;
        }
        let (from, covers) = (base.header.from, base.header.covers);
        let first = first.unwrap_or(last);
        let epoch = self.epoch.clone();
        Ok(Seal { first, last, from, covers, bytes, epoch, sum: hex(sum) })
    }

    /// Makes a base count that was written.
    pub(super) async fn seal_with(&self, seal: Seal) -> Result<Arc<Seal>, BasesError> {
        let log = self.log().await?;
        let envelope = Envelope {
            reason: Some(SEAL.to_owned()),
            ..Envelope::new(Kind::Note, Origin::Gateway)
        };
        let data = serde_json::to_vec(&seal).unwrap_or_default();
        append(log, encode(&envelope, &data)).await?;
        let seal = Arc::new(seal);
        self.set(Arc::clone(&seal));
        Ok(seal)
    }

    /// Drops the bases before one.
    pub(super) async fn drop_before(&self, seal: &Seal) -> Result<(), BasesError> {
        self.log().await?.trim(seal.first).await?;
        Ok(())
    }
}

async fn append(
    log: &Arc<dyn Log>,
    payloads: Vec<Bytes>,
) -> Result<eventlog::Appended, AppendError> {
    let ts = micros(SystemTime::now());
    let records = payloads.into_iter().map(|payload| NewRecord { ts, payload }).collect();
    let batch = Batch::new(records).map_err(|_| AppendError::TooLarge { bytes: 0, limit: 0 })?;
    log.append(batch.named(DedupeId::random())).await
}

fn add(sum: &mut Sha256, envelope: &Envelope, data: &[u8]) {
    // In parts or whole, it is the same record.
    let envelope = Envelope { parts: 0, ..envelope.clone() };
    sum.update(serde_json::to_vec(&envelope).unwrap_or_default());
    sum.update((data.len() as u64).to_be_bytes());
    sum.update(data);
}

fn hex(sum: Sha256) -> String {
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sessions say themselves what is kept of them.
pub(super) fn unlimited() -> LogOptions {
    let century = std::time::Duration::from_secs(100 * 365 * 24 * 3600);
    let retention = Retention { max_bytes: u64::MAX / 4, max_age: century };
    LogOptions { retention, durability: Durability::Power }
}
