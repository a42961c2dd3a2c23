//! Pure: a batch, and what is known of its log, as one message of a stream.
//!
//! The last message of a stream says all that a writer has to know to go on: the epoch, the next
//! offset, what is kept. A message without records says only that: whoever opens a log writes one,
//! and so does a trim.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Appended, Batch, DedupeId, Epoch, RECORD_OVERHEAD, Record};

#[cfg(test)]
mod tests;

/// The format of messages that this program writes; it reads no newer one.
pub(super) const FORMAT: u32 = 1;
/// Length and time of a record in a payload.
const RECORD_HEAD: usize = 12;

/// What the headers of a message say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The incarnation of the log.
    pub(super) epoch: Epoch,
    /// Who wrote it: each opening of a log is a writer of its own.
    pub(super) writer: u64,
    /// The offset of its first record, or of the next one to come.
    pub(super) first: u64,
    /// How many records it has.
    pub(super) count: u64,
    /// Bytes of all records ever, these included; each counts [`RECORD_OVERHEAD`] more.
    pub(super) total: u64,
    /// The first offset that is kept, or would be the next.
    pub(super) kept: u64,
    /// Bytes of all records before `kept`.
    pub(super) dropped: u64,
    /// The newest time of any record ever.
    pub(super) newest: i64,
    /// Its named batches.
    pub(super) named: Vec<(DedupeId, Appended)>,
}

/// Headers that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMark {
    #[error("the message has no `{0}` that can be read")]
    Header(&'static str),
    #[error("the message has format {0}")]
    Newer(u32),
}

mod names {
    pub(super) const FORMAT: &str = "Lockkeeper-Format";
    pub(super) const EPOCH: &str = "Lockkeeper-Epoch";
    pub(super) const WRITER: &str = "Lockkeeper-Writer";
    pub(super) const FIRST: &str = "Lockkeeper-First";
    pub(super) const COUNT: &str = "Lockkeeper-Count";
    pub(super) const TOTAL: &str = "Lockkeeper-Total";
    pub(super) const KEPT: &str = "Lockkeeper-Kept";
    pub(super) const DROPPED: &str = "Lockkeeper-Dropped";
    pub(super) const NEWEST: &str = "Lockkeeper-Newest";
    pub(super) const NAMED: &str = "Lockkeeper-Named";
}

impl Mark {
    /// The first message of a log.
    pub(super) fn new(epoch: Epoch, writer: u64) -> Self {
        let (first, kept) = (1, 1);
        let named = Vec::new();
        Self { epoch, writer, first, count: 0, total: 0, kept, dropped: 0, newest: i64::MIN, named }
    }

    /// The same state, in a message without records.
    pub(super) fn without_records(&self) -> Self {
        Self { first: self.next(), count: 0, named: Vec::new(), ..self.clone() }
    }

    /// The offset behind it.
    pub(super) fn next(&self) -> u64 {
        self.first + self.count
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> u64 {
        self.total.saturating_sub(self.dropped)
    }

    /// The state with a batch added to its records; gives the offsets of the batch.
    pub(super) fn add(&mut self, batch: &Batch) -> Appended {
        let first = self.next();
        self.count += batch.records().len() as u64;
        self.total += batch.bytes() as u64;
        let newest = batch.records().iter().map(|record| record.ts).max();
        self.newest = self.newest.max(newest.unwrap_or(i64::MIN));
        let appended = Appended { first, last: self.next() - 1 };
        self.named.extend(batch.dedupe_id().map(|id| (id, appended)));
        appended
    }

    /// As names and values of headers.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (names::FORMAT, FORMAT.to_string()),
            (names::EPOCH, self.epoch.to_string()),
            (names::WRITER, format!("{:016x}", self.writer)),
            (names::FIRST, self.first.to_string()),
            (names::COUNT, self.count.to_string()),
            (names::TOTAL, self.total.to_string()),
            (names::KEPT, self.kept.to_string()),
            (names::DROPPED, self.dropped.to_string()),
            (names::NEWEST, self.newest.to_string()),
        ];
        let named: Vec<String> = self
            .named
            .iter()
            .map(|(id, at)| format!("{:032x}:{}:{}", id.0, at.first, at.last))
            .collect();
        if !named.is_empty() {
            headers.push((names::NAMED, named.join(" ")));
        }
        headers
    }

    /// Reads headers.
    ///
    /// # Errors
    /// [`BadMark`].
    pub(super) fn read<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Result<Self, BadMark> {
        fn number<T: std::str::FromStr>(
            text: Option<&str>,
            name: &'static str,
        ) -> Result<T, BadMark> {
            text.and_then(|text| text.parse().ok()).ok_or(BadMark::Header(name))
        }
        let format: u32 = number(header(names::FORMAT), names::FORMAT)?;
        if format > FORMAT {
            return Err(BadMark::Newer(format));
        }
        let writer = header(names::WRITER).and_then(|text| u64::from_str_radix(text, 16).ok());
        let named = header(names::NAMED).unwrap_or_default().split_whitespace().map(read_name);
        Ok(Self {
            epoch: number(header(names::EPOCH), names::EPOCH)?,
            writer: writer.ok_or(BadMark::Header(names::WRITER))?,
            first: number(header(names::FIRST), names::FIRST)?,
            count: number(header(names::COUNT), names::COUNT)?,
            total: number(header(names::TOTAL), names::TOTAL)?,
            kept: number(header(names::KEPT), names::KEPT)?,
            dropped: number(header(names::DROPPED), names::DROPPED)?,
            newest: number(header(names::NEWEST), names::NEWEST)?,
            named: named.collect::<Option<_>>().ok_or(BadMark::Header(names::NAMED))?,
        })
    }
}

fn read_name(text: &str) -> Option<(DedupeId, Appended)> {
    let mut parts = text.split(':');
    let id = DedupeId(u128::from_str_radix(parts.next()?, 16).ok()?);
    let mut offset = || parts.next()?.parse().ok();
    Some((id, Appended { first: offset()?, last: offset()? }))
}

/// Batches as the payload of a message.
pub(super) fn encode<'a>(batches: impl Iterator<Item = &'a Batch>) -> Bytes {
    let mut payload = BytesMut::new();
    for record in batches.flat_map(Batch::records) {
        payload.reserve(RECORD_HEAD + record.payload.len());
        payload.put_i64_le(record.ts);
        // A payload is at most a million bytes.
        payload.put_u32_le(record.payload.len() as u32);
        payload.put_slice(&record.payload);
    }
    payload.freeze()
}

/// The records of a message, without copies; `None` if the payload is not what its mark says.
pub(super) fn decode(mark: &Mark, mut payload: Bytes) -> Option<Vec<Record>> {
    let mut records = Vec::with_capacity(usize::try_from(mark.count).ok()?.min(1 << 16));
    while payload.len() >= RECORD_HEAD {
        let ts = payload.get_i64_le();
        let length = usize::try_from(payload.get_u32_le()).ok()?;
        if payload.len() < length {
            return None;
        }
        let offset = mark.first + records.len() as u64;
        records.push(Record { offset, ts, payload: payload.split_to(length) });
    }
    (payload.is_empty() && records.len() as u64 == mark.count).then_some(records)
}

/// What a stored record counts for in limits on bytes.
pub(super) fn bytes(record: &Record) -> u64 {
    (record.payload.len() + RECORD_OVERHEAD) as u64
}
