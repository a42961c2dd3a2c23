//! The end of a session's log in memory: what subscribers that keep up read, and what wakes them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use eventlog::{Epoch, Ring};
use tokio::sync::watch;

use crate::log::{Envelope, Kind, Origin, Stored};

/// Most records in memory. A subscriber that is further behind reads from the log.
const RECORDS: usize = 256;
/// The same while somebody follows: twice what one append may have, so that whoever is not late finds all
/// of it here. From the log each of them would read and decode it for itself.
const FOLLOWED: usize = 1_024;

/// Most bytes of them.
const BYTES: usize = 1 << 20;

/// A record with what is sent of it.
#[derive(Debug)]
pub struct Entry {
    /// The record.
    pub stored: Stored,
    /// It as a server-sent event; empty if it is none that clients see.
    pub frame: Bytes,
    /// Whether it is of a base, whose events have one offset, and only the last of them an id.
    pub folded: bool,
}

impl Entry {
    /// An entry of a record.
    pub fn new(epoch: &Epoch, stored: Stored) -> Self {
        let frame = match stored.envelope.kind {
            Kind::Event => frame(epoch, stored.offset, &stored.data),
            Kind::Rejected | Kind::Loss | Kind::Note | Kind::Part => Bytes::new(),
        };
        Self { stored, frame, folded: false }
    }

    /// An entry of an event of a base.
    pub fn folded(epoch: &Epoch, stored: Stored, last: bool) -> Self {
        let id = last.then_some((epoch, stored.offset));
        let frame = frame_of(id, &stored.data);
        Self { stored, frame, folded: true }
    }

    /// Its place.
    pub const fn offset(&self) -> u64 {
        self.stored.offset
    }
}

/// `id:`, and one `data:` for each line: a line end inside would end the event.
pub fn frame(epoch: &Epoch, offset: u64, data: &[u8]) -> Bytes {
    frame_of(Some((epoch, offset)), data)
}

/// The same, perhaps without an id.
pub fn frame_of(id: Option<(&Epoch, u64)>, data: &[u8]) -> Bytes {
    let lines = memchr::memchr_iter(b'\n', data).count() + 1;
    let mut frame = BytesMut::with_capacity(data.len() + 48 + 6 * lines);
    if let Some((epoch, offset)) = id {
        frame.put_slice(format!("id: {epoch}-{offset}\n").as_bytes());
    }
    for line in data.split(|byte| *byte == b'\n') {
        frame.put_slice(b"data: ");
        frame.put_slice(line);
        frame.put_u8(b'\n');
    }
    frame.put_u8(b'\n');
    frame.freeze()
}

/// How far the log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last record that the log has acknowledged; 0 if there is none.
    pub last: u64,
    /// Whether none will follow.
    pub closed: bool,
}

/// The end of the log.
#[derive(Debug)]
pub struct Tail {
    epoch: Epoch,
    ring: Mutex<Ring<Arc<Entry>>>,
    head: watch::Sender<Head>,
}

impl Tail {
    /// The end of a log whose next record will have this offset.
    pub fn new(epoch: Epoch, next: u64) -> Self {
        let head = watch::Sender::new(Head { last: next - 1, closed: false });
        Self { epoch, ring: Mutex::new(Ring::starting_at(next)), head }
    }

    /// The log's incarnation.
    pub const fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// How far the log reaches, and every change of it.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// How many cursors follow it.
    pub fn subscribers(&self) -> usize {
        self.head.receiver_count()
    }

    /// Shows records that the log has acknowledged. Offsets of parts come with their last one.
    pub fn show(&self, records: impl IntoIterator<Item = Stored>, last: u64) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for stored in records {
            // The parts of a long event have offsets of their own.
            while ring.next() < stored.offset {
                let part = Stored {
                    offset: ring.next(),
                    envelope: Envelope::new(Kind::Part, Origin::Runner),
                    data: Bytes::new(),
                };
                ring.push(0, Arc::new(Entry { stored: part, frame: Bytes::new(), folded: false }));
            }
            let entry = Entry::new(&self.epoch, stored);
            ring.push(entry.stored.data.len() + entry.frame.len(), Arc::new(entry));
        }
        let followed = self.head.receiver_count() > 0;
        ring.shrink(if followed { FOLLOWED } else { RECORDS }, BYTES);
        drop(ring);
        self.head.send_modify(|head| head.last = last);
    }

    /// Says that nothing follows.
    pub fn close(&self) {
        self.head.send_modify(|head| head.closed = true);
    }

    /// The entries from an offset on, if they are all in memory.
    pub fn from(&self, offset: u64) -> Option<Vec<Arc<Entry>>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let there = ring.first() <= offset && offset < ring.next();
        there.then(|| ring.from(offset).map(|(_, _, entry)| Arc::clone(entry)).collect())
    }
}

#[cfg(test)]
mod tests;
