//! What a log's writer and its readers share, and how a record is found.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::index::Index;
use super::message::{self, Mark};
use super::remote::{Message, Remote, Unavailable};
use crate::tail::Tail;
use crate::{
    Epoch, Gap, GapCause, Head, Health, LogName, Page, ReadError, ReadLimit, Record, Status,
};

/// How many messages a reader asks for at once, if it wants that much.
const AHEAD: usize = 16;
/// Readers that want less than this ask for one message after the other.
const AHEAD_FROM: usize = 64 * 1024;
/// How often a reader begins anew because what it looked for was dropped meanwhile.
const ATTEMPTS: usize = 5;

pub(super) struct Shared {
    pub(super) name: LogName,
    pub(super) epoch: Epoch,
    pub(super) remote: Remote,
    pub(super) head: watch::Sender<Head>,
    state: Mutex<State>,
}

/// What is known of the stream. The log has one writer, so nobody else changes it.
pub(super) struct State {
    /// The last state: next offset, what is kept.
    pub(super) mark: Mark,
    /// The sequences of the first and the last message.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) index: Index,
    pub(super) trimmed: u64,
    pub(super) corrupt: u64,
    pub(super) health: Health,
    /// What was appended last, while somebody follows.
    pub(super) tail: Tail,
    pub(super) fenced: bool,
    /// It was deleted, or its store closed.
    pub(super) gone: bool,
}

impl Shared {
    pub(super) fn new(name: LogName, remote: Remote, mark: Mark, first: u64, last: u64) -> Self {
        let next = mark.next();
        let state = State {
            mark,
            first,
            last,
            index: Index::default(),
            trimmed: 0,
            corrupt: 0,
            health: Health::Good,
            tail: Tail::default(),
            fenced: false,
            gone: false,
        };
        let epoch = state.mark.epoch.clone();
        let head = watch::Sender::new(Head { next, closed: false });
        Self { name, epoch, remote, head, state: Mutex::new(state) }
    }

    /// A panic inside the lock cannot leave the state half changed, so it stays usable.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was stored, for whoever looks. Followers that wait are woken by [`Shared::wake`], so that
    /// an append is answered before a crowd of them is.
    pub(super) fn show(&self, next: u64) {
        self.head.send_if_modified(|head| {
            head.next = next;
            false
        });
    }

    /// Wakes followers to look at what was shown.
    pub(super) fn wake(&self) {
        self.head.send_modify(|_shown| {});
    }

    /// Nothing is appended any more.
    pub(super) fn shut(&self) {
        self.head.send_if_modified(|head| !std::mem::replace(&mut head.closed, true));
    }

    pub(super) fn status(&self) -> Status {
        let state = self.state();
        Status {
            first: state.mark.kept,
            next: state.mark.next(),
            bytes: state.mark.bytes(),
            trimmed: state.trimmed,
            corrupt: state.corrupt,
            health: state.health.clone(),
            recovery: None,
        }
    }

    fn note(&self, message: &Message) {
        if let Ok(mark) = &message.mark
            && mark.count > 0
        {
            self.state().index.note(mark.next(), message.sequence);
        }
    }

    /// The sequence of the first message that ends behind an offset.
    pub(super) async fn find(&self, offset: u64) -> Result<u64, Unavailable> {
        let (mut low, mut high) = {
            let state = self.state();
            state.index.range(offset, state.first, state.last)
        };
        while low < high {
            let middle = low + (high - low) / 2;
            let found = self.remote.fetch(middle).await?;
            match found.and_then(|message| {
                self.note(&message);
                message.mark.ok()
            }) {
                Some(mark) if mark.next() > offset => high = middle,
                // Dropped meanwhile, damaged, or too early.
                Some(_) | None => low = middle + 1,
            }
        }
        Ok(low)
    }

    pub(super) async fn read(&self, offset: u64, limit: ReadLimit) -> Result<Page, ReadError> {
        for _ in 0..ATTEMPTS {
            if let Some(page) = self.try_read(offset.max(1), limit).await? {
                return Ok(page);
            }
        }
        let cause = "what was to be read is dropped again and again".to_owned();
        Err(ReadError::Unavailable { cause })
    }

    /// `None` if what was looked for was dropped meanwhile.
    async fn try_read(&self, offset: u64, limit: ReadLimit) -> Result<Option<Page>, ReadError> {
        let unavailable = |Unavailable(cause)| ReadError::Unavailable { cause };
        let (kept, head, last) = {
            let state = self.state();
            if state.gone {
                return Err(ReadError::Closed);
            }
            let (kept, head) = (state.mark.kept, state.mark.next());
            if let Some(page) = state.tail.page(offset, kept, head, limit) {
                return Ok(Some(page));
            }
            (kept, head, state.last)
        };
        if offset > head {
            return Err(ReadError::Ahead { next: head });
        }
        let gap =
            (offset < kept).then(|| Gap { from: offset, to: kept - 1, cause: GapCause::Retention });
        let start = offset.max(kept);
        let mut pages = Pages { gap, records: Vec::new(), next: start, room: limit.bytes };
        if start == head {
            return Ok(Some(pages.page(head)));
        }
        let at = self.find(start).await.map_err(unavailable)?;
        let ahead = if limit.bytes < AHEAD_FROM { 1 } else { AHEAD };
        let mut messages = stream::iter(at..=last).map(|at| self.remote.fetch(at)).buffered(ahead);
        let mut damaged = false;
        while let Some(message) = messages.next().await {
            let Some(message) = message.map_err(unavailable)? else {
                if self.state().mark.kept > pages.next {
                    return Ok((!pages.records.is_empty()).then(|| pages.page(head)));
                }
                damaged = true;
                continue;
            };
            self.note(&message);
            let Ok(mark) = message.mark else {
                damaged = true;
                continue;
            };
            if mark.next() <= pages.next {
                continue;
            }
            let Some(records) = message::decode(&mark, message.payload) else {
                damaged = true;
                continue;
            };
            let more = pages.hole_before(mark.first, damaged) && pages.take(records, limit.records);
            damaged = false;
            if !more || pages.next == head {
                break;
            }
        }
        drop(messages);
        if pages.gap.is_none() && pages.records.is_empty() {
            // Nothing up to the end can be read.
            pages.hole_before(head, damaged);
        }
        if pages.gap.is_some_and(|gap| gap.cause == GapCause::Corrupt) {
            self.state().corrupt += 1;
        }
        Ok(Some(pages.page(head)))
    }
}

/// A page as it grows.
struct Pages {
    gap: Option<Gap>,
    records: Vec<Record>,
    next: u64,
    room: usize,
}

impl Pages {
    /// Passes what is missing before an offset, if that still fits on the page; says if reading
    /// goes on.
    fn hole_before(&mut self, offset: u64, damaged: bool) -> bool {
        if offset <= self.next {
            return true;
        }
        if self.gap.is_some() || !self.records.is_empty() {
            return false;
        }
        let cause = if damaged { GapCause::Corrupt } else { GapCause::Crash };
        self.gap = Some(Gap { from: self.next, to: offset - 1, cause });
        self.next = offset;
        true
    }

    /// Takes records while there is room; says if there may be more.
    fn take(&mut self, records: Vec<Record>, most: usize) -> bool {
        let from = self.next;
        for record in records.into_iter().skip_while(|record| record.offset < from) {
            let full = self.records.len() >= most.max(1) || record.payload.len() > self.room;
            if full && !self.records.is_empty() {
                return false;
            }
            self.room = self.room.saturating_sub(record.payload.len());
            self.next = record.offset + 1;
            self.records.push(record);
        }
        self.records.len() < most.max(1)
    }

    fn page(self, head: u64) -> Page {
        Page { gap: self.gap, records: self.records, next: self.next, head }
    }
}
