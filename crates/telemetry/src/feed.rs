//! The newest events in memory, and the news that there are more: what readers read.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use eventlog::{Epoch, Gap, GapCause, Log, ReadError, ReadLimit, Record, Ring, micros};
use serde::Deserialize;
use tokio::sync::watch;

use crate::envelope;
use crate::handle::Item;
use crate::words::Category;

#[cfg(test)]
mod tests;

/// Most events in the ring.
pub const RING_EVENTS: usize = 8_192;
/// Most bytes in the ring; the newest event is kept whatever its size.
pub const RING_BYTES: usize = 64 * 1024 * 1024;

/// An event that the log accepted, as readers get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) offset: u64,
    pub(crate) ts: i64,
    pub(crate) kind: Box<str>,
    /// Absent for a category that only a newer program knows.
    pub(crate) category: Option<Category>,
    pub(crate) sandbox: Option<Box<str>>,
    /// `id: <cursor>`, `data: <envelope>` and a blank line: what a stream sends.
    frame: Bytes,
    envelope_at: usize,
}

/// The members of a stored event that readers choose by.
#[derive(Deserialize)]
struct Head<'a> {
    ts: i64,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    category: Cow<'a, str>,
    #[serde(borrow, default)]
    sandbox: Option<Cow<'a, str>>,
}

impl Stored {
    /// Reads what a record holds; `None` if it is no event.
    pub(crate) fn read(epoch: &Epoch, record: &Record) -> Option<Self> {
        let head: Head<'_> = serde_json::from_slice(&record.payload).ok()?;
        let (frame, envelope_at) = framed(epoch, record.offset, &record.payload);
        Some(Self {
            offset: record.offset,
            ts: head.ts,
            kind: head.kind.into(),
            category: head.category.parse().ok(),
            sandbox: head.sandbox.map(Into::into),
            frame,
            envelope_at,
        })
    }

    /// What was just stored, without reading it again.
    pub(crate) fn of(epoch: &Epoch, offset: u64, item: &Item, payload: &[u8]) -> Self {
        let (frame, envelope_at) = framed(epoch, offset, payload);
        Self {
            offset,
            ts: micros(item.ts),
            kind: item.event.type_name().into(),
            category: Some(item.event.category()),
            sandbox: item.sandbox.as_ref().map(|sandbox| sandbox.as_str().into()),
            frame,
            envelope_at,
        }
    }

    /// What a stream sends.
    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The envelope, with `epoch` and `offset`.
    pub(crate) fn envelope(&self) -> Bytes {
        self.frame.slice(self.envelope_at..self.frame.len() - 2)
    }
}

/// A stored event as a stream sends it, and where the envelope starts in there.
fn framed(epoch: &Epoch, offset: u64, payload: &[u8]) -> (Bytes, usize) {
    let mut frame = Vec::with_capacity(payload.len() + 128);
    frame.extend_from_slice(format!("id: {epoch}-{offset}\ndata: ").as_bytes());
    let envelope_at = frame.len();
    envelope::deliver(epoch, offset, payload, &mut frame);
    frame.extend_from_slice(b"\n\n");
    (frame.into(), envelope_at)
}

/// What readers wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// The offset that the next event will get.
    pub(crate) next: u64,
    /// Whether the log takes events.
    pub(crate) log_good: bool,
    /// Whether streams are to end behind what there is.
    pub(crate) ended: bool,
    /// Events that the writer is done with, lost ones too.
    pub(crate) handled: u64,
}

/// The newest events, in front of the log that has all of them.
pub(crate) struct Feed {
    pub(crate) log: Arc<dyn Log>,
    ring: Mutex<Ring<Arc<Stored>>>,
    news: watch::Sender<News>,
}

/// A part of what there is: maybe a gap, then events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) gap: Option<Gap>,
    pub(crate) events: Vec<Arc<Stored>>,
    /// Records looked at.
    pub(crate) scanned: usize,
    /// Where to read on.
    pub(crate) next: u64,
}

impl Feed {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        let next = log.status().next;
        let news = News { next, log_good: true, ended: false, handled: 0 };
        let ring = Mutex::new(Ring::starting_at(next));
        Self { log, ring, news: watch::Sender::new(news) }
    }

    pub(crate) fn epoch(&self) -> &Epoch {
        self.log.epoch()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    pub(crate) fn news(&self) -> News {
        *self.news.borrow()
    }

    /// The first offset that can be read, or the next.
    pub(crate) fn first(&self) -> u64 {
        self.log.status().first
    }

    /// Adds events that the log accepted, and says how many the ring has now.
    pub(crate) fn push(&self, events: Vec<Stored>) -> usize {
        let mut ring = self.ring();
        for event in events {
            if event.offset != ring.next() {
                ring.restart_at(event.offset);
            }
            ring.push(event.frame.len() + size_of::<Stored>(), Arc::new(event));
        }
        ring.shrink(RING_EVENTS, RING_BYTES);
        let (kept, next) = (ring.len(), ring.next());
        drop(ring);
        self.news.send_modify(|news| news.next = next);
        kept
    }

    pub(crate) fn set_log_good(&self, good: bool) {
        self.news.send_if_modified(|news| std::mem::replace(&mut news.log_good, good) != good);
    }

    /// The writer is done with so many events more.
    pub(crate) fn handled(&self, events: u64) {
        self.news.send_modify(|news| news.handled += events);
    }

    pub(crate) fn end(&self) {
        self.news.send_if_modified(|news| !std::mem::replace(&mut news.ended, true));
    }

    /// Reads from an offset: from memory if it is still there, else from the log.
    ///
    /// # Cancel safety
    /// Cancel safe: reading changes nothing.
    pub(crate) async fn read(&self, from: u64, limit: ReadLimit) -> Result<Chunk, ReadError> {
        if let Some(chunk) = self.read_ring(from, limit) {
            return Ok(chunk);
        }
        let page = self.log.read_from(from, limit).await?;
        let scanned = page.records.len();
        let mut chunk = Chunk { gap: page.gap, events: Vec::new(), scanned, next: page.next };
        for record in &page.records {
            match Stored::read(self.epoch(), record) {
                Some(event) => chunk.events.push(Arc::new(event)),
                // A record that is no event is damaged for our readers.
                None if chunk.events.is_empty() && chunk.gap.is_none() => {
                    let (from, to) = (record.offset, record.offset);
                    chunk.gap = Some(Gap { from, to, cause: GapCause::Corrupt });
                }
                None => {
                    chunk.next = record.offset;
                    break;
                }
            }
        }
        Ok(chunk)
    }

    fn read_ring(&self, from: u64, limit: ReadLimit) -> Option<Chunk> {
        let ring = self.ring();
        if from < ring.first() || from > ring.next() {
            return None;
        }
        let mut events: Vec<Arc<Stored>> = Vec::new();
        let mut room = limit.bytes;
        for (_, _, event) in ring.from(from).take(limit.records) {
            if event.frame.len() > room && !events.is_empty() {
                break;
            }
            room = room.saturating_sub(event.frame.len());
            events.push(Arc::clone(event));
        }
        let next = events.last().map_or(from, |event| event.offset + 1);
        Some(Chunk { gap: None, scanned: events.len(), events, next })
    }

    /// A panic inside the lock cannot leave the ring half changed.
    fn ring(&self) -> MutexGuard<'_, Ring<Arc<Stored>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
