//! The decoder: lines out of chunks, fields into events, all under the limits.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use memchr::memchr2;

use super::fields::{Field, field, retry};
use super::text::{owned_text, slice_text};
use super::{Budget, Cap, Event, Item, Limits};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The shared budget is taken in steps of this many bytes, so that a stream that comes byte by byte
/// does not touch it for each.
const GRAIN: usize = 4096;

/// The largest buffer for cut lines that is kept for the next one.
const KEPT_LINE: usize = 4096;

/// The `data` of the event being read.
#[derive(Debug, Default)]
enum Data {
    /// No `data` field yet: a blank line dispatches nothing.
    #[default]
    None,
    /// One line, still where it is in the current chunk.
    Here(Range<usize>),
    /// Lines that had to be copied, joined.
    Held(Vec<u8>),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Here(place) => place.len(),
            Self::Held(lines) => lines.len(),
        }
    }
}

/// An event that broke a limit and is being skipped to its blank line.
#[derive(Debug)]
struct Skip {
    cap: Cap,
    limit: usize,
    seen: u64,
}

/// Decodes one stream. Dropping it gives back what it holds of the budget.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    budget: Budget,
    /// Bytes now taken from the budget.
    taken: usize,
    chunk: Bytes,
    at: usize,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// Bytes of the current comment line so far, when inside one.
    comment: Option<u64>,
    /// The last byte was a CR: one LF that follows belongs to it.
    after_cr: bool,
    /// Nothing but a prefix of the byte order mark has been read.
    at_start: bool,
    data: Data,
    kind: Option<ByteString>,
    /// The id as of the last `id` field; committed at the next blank line.
    id: Option<ByteString>,
    committed: Option<ByteString>,
    skip: Option<Skip>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new(limits: Limits, budget: Budget) -> Self {
        Self {
            limits,
            budget,
            taken: 0,
            chunk: Bytes::new(),
            at: 0,
            line: Vec::new(),
            comment: None,
            after_cr: false,
            at_start: true,
            data: Data::None,
            kind: None,
            id: None,
            committed: None,
            skip: None,
        }
    }

    /// Starts with the id that an earlier connection committed.
    #[must_use]
    pub fn with_last_event_id(mut self, id: Option<ByteString>) -> Self {
        self.id.clone_from(&id);
        self.committed = id;
        self
    }

    /// Takes the next chunk. Call [`next_item`](Self::next_item) until it yields nothing first.
    ///
    /// # Panics
    /// In debug builds, if the last chunk has not been read to its end.
    pub fn feed(&mut self, chunk: Bytes) {
        debug_assert!(self.at == self.chunk.len(), "the last chunk has not been read to its end");
        self.chunk = chunk;
        self.at = 0;
    }

    /// The next item of what was fed, or nothing when more bytes are needed.
    pub fn next_item(&mut self) -> Option<Item> {
        while self.at < self.chunk.len() {
            if std::mem::take(&mut self.after_cr) && self.chunk[self.at] == b'\n' {
                self.at += 1;
                continue;
            }
            if self.at_start && !self.pass_bom() {
                continue;
            }
            let from = self.at;
            let Some(length) = memchr2(b'\n', b'\r', &self.chunk[from..]) else {
                self.at = self.chunk.len();
                self.hold(from);
                break;
            };
            let to = from + length;
            self.after_cr = self.chunk[to] == b'\r';
            self.at = to + 1;
            if let Some(item) = self.line_ended(from, to) {
                return Some(item);
            }
        }
        self.let_go();
        None
    }

    /// The stream has ended: how many bytes of an unfinished event are dropped, those of an oversize
    /// one included that were not held.
    pub fn finish(&mut self) -> u64 {
        let dropped = self.skip.as_ref().map_or(self.buffered() as u64, |skip| skip.seen);
        self.line = Vec::new();
        self.forget_event();
        self.id.clone_from(&self.committed);
        self.settle();
        dropped
    }

    /// The id that the last blank line committed: what a reconnect sends as `Last-Event-ID`.
    pub fn last_event_id(&self) -> Option<&ByteString> {
        self.committed.as_ref()
    }

    /// Bytes of an unfinished event now held; 0 between events.
    pub fn buffered(&self) -> usize {
        self.line.len() + self.data.len() + self.kind.as_ref().map_or(0, |kind| kind.len())
    }

    /// Bytes of the oversize event now being skipped, 0 when there is none.
    pub fn skipped(&self) -> u64 {
        self.skip.as_ref().map_or(0, |skip| skip.seen)
    }

    /// The chunk has been read: what is needed of it is copied, so that it does not stay alive.
    fn let_go(&mut self) {
        if let Data::Here(place) = &self.data {
            self.data = Data::Held(self.chunk[place.clone()].to_vec());
        }
        self.chunk.clear();
        self.at = 0;
        self.settle();
    }

    /// Looks for the byte order mark, which may be cut; true once it has been decided.
    fn pass_bom(&mut self) -> bool {
        let seen = self.line.len();
        if seen < BOM.len() && self.chunk[self.at] == BOM[seen] {
            self.line.push(BOM[seen]);
            self.at += 1;
            if self.line == BOM {
                self.line.clear();
                self.at_start = false;
            }
            return false;
        }
        self.at_start = false;
        true
    }

    /// Keeps the rest of the chunk as the beginning of a line.
    fn hold(&mut self, from: usize) {
        let part = &self.chunk[from..];
        if let Some(len) = &mut self.comment {
            *len += part.len() as u64;
            return;
        }
        if self.line.is_empty() && part.first() == Some(&b':') {
            self.comment = Some(part.len() as u64 - 1);
            return;
        }
        if let Some(skip) = &mut self.skip {
            skip.seen += part.len() as u64;
            // Of a skipped event only the id matters: hold what may become one.
            let may_be_id = self.line.starts_with(b"id") || (self.line.len() < 2);
            if !may_be_id || self.line.len() + part.len() > self.limits.max_line {
                // One byte stands for "not empty", so that this line's end is no blank line.
                self.line.clear();
                self.line.push(b'x');
                return;
            }
        } else if self.line.len() + part.len() > self.limits.max_line {
            let more = part.len();
            self.start_skip(Cap::Line, self.limits.max_line, more);
            self.line.clear();
            self.line.push(b'x');
            return;
        }
        self.line.extend_from_slice(part);
    }

    fn line_ended(&mut self, from: usize, to: usize) -> Option<Item> {
        if let Some(len) = self.comment.take() {
            return Some(Item::Comment { len: len + (to - from) as u64 });
        }
        let length = self.line.len() + (to - from);
        if length == 0 {
            return self.blank_line();
        }
        let first = self.line.first().copied().unwrap_or_else(|| self.chunk[from]);
        if first == b':' {
            return Some(Item::Comment { len: length as u64 - 1 });
        }
        if length > self.limits.max_line && self.skip.is_none() {
            self.start_skip(Cap::Line, self.limits.max_line, 0);
        }
        if self.line.is_empty() {
            let field = field(&self.chunk[from..to]);
            if let Field::Data(at) = field
                && matches!(self.data, Data::None)
                && self.skip.is_none()
            {
                self.data = Data::Here(from + at..to);
                return self.check_size();
            }
            // A slice of its own, as the line may change everything about the decoder.
            let line = self.chunk.slice(from..to);
            return self.line(&line, to - from, field);
        }
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(&self.chunk[from..to]);
        let field = field(&line);
        if let Field::Data(at) = field
            && matches!(self.data, Data::None)
            && self.skip.is_none()
        {
            line.drain(..at);
            self.data = Data::Held(line);
            return self.check_size();
        }
        let item = self.line(&line, to - from, field);
        // The next cut line finds room already made, unless this one was unusual.
        if line.capacity() <= KEPT_LINE {
            line.clear();
            self.line = line;
        }
        item
    }

    /// A line that is neither empty nor a comment, whose last `fresh` bytes were not held before.
    fn line(&mut self, line: &[u8], fresh: usize, field: Field) -> Option<Item> {
        if let Some(skip) = &mut self.skip {
            skip.seen += fresh as u64;
            // An id that is too long is not held when it comes in parts, so it is not taken whole.
            if let Field::Id(at) = field
                && line.len() <= self.limits.max_line
            {
                self.set_id(&line[at..]);
            }
            return None;
        }
        match field {
            Field::Data(at) => self.push_data(&line[at..]),
            Field::Event(at) => {
                self.kind = (at < line.len()).then(|| owned_text(&line[at..]));
            }
            Field::Id(at) => self.set_id(&line[at..]),
            Field::Retry(at) => {
                return retry(&line[at..]).map(|ms| Item::Retry(Duration::from_millis(ms)));
            }
            Field::Unknown => return None,
        }
        self.check_size()
    }

    fn check_size(&mut self) -> Option<Item> {
        let size = self.data.len()
            + self.kind.as_ref().map_or(0, |kind| kind.len())
            + self.id.as_ref().map_or(0, |id| id.len());
        if size > self.limits.max_event {
            self.start_skip(Cap::Event, self.limits.max_event, 0);
        }
        None
    }

    fn push_data(&mut self, value: &[u8]) {
        self.data = match std::mem::take(&mut self.data) {
            Data::None => Data::Held(value.to_vec()),
            Data::Here(place) => {
                let first = &self.chunk[place];
                let mut lines = Vec::with_capacity((first.len() + value.len() + 1) * 2);
                lines.extend_from_slice(first);
                lines.push(b'\n');
                lines.extend_from_slice(value);
                Data::Held(lines)
            }
            Data::Held(mut lines) => {
                lines.push(b'\n');
                lines.extend_from_slice(value);
                Data::Held(lines)
            }
        };
    }

    /// An id with a NUL is ignored, an empty one resets.
    fn set_id(&mut self, value: &[u8]) {
        if !value.contains(&0) {
            // A copy, so that an id which persists does not keep its chunk alive.
            self.id = (!value.is_empty()).then(|| owned_text(value));
        }
    }

    fn blank_line(&mut self) -> Option<Item> {
        self.committed.clone_from(&self.id);
        if let Some(skip) = self.skip.take() {
            self.forget_event();
            return Some(Item::Oversize { cap: skip.cap, limit: skip.limit, seen: skip.seen });
        }
        let kind = self.kind.take();
        let data = match std::mem::take(&mut self.data) {
            Data::None => return None,
            Data::Here(place) => slice_text(&self.chunk, place),
            Data::Held(lines) => {
                let lines = Bytes::from(lines);
                slice_text(&lines, 0..lines.len())
            }
        };
        Some(Item::Event(Event { kind, data, id: self.committed.clone() }))
    }

    /// Frees the event; from here to its blank line nothing is held but an id.
    fn start_skip(&mut self, cap: Cap, limit: usize, more: usize) {
        let seen = (self.buffered() + more) as u64;
        self.forget_event();
        self.skip = Some(Skip { cap, limit, seen });
        self.settle();
    }

    fn forget_event(&mut self) {
        self.data = Data::None;
        self.kind = None;
        self.comment = None;
        self.skip = None;
    }

    /// Squares what is held with the shared budget, once a chunk and in steps of [`GRAIN`].
    fn settle(&mut self) {
        let needed = self.buffered().next_multiple_of(GRAIN);
        if needed > self.taken {
            if self.budget.take(needed - self.taken) {
                self.taken = needed;
            } else if self.skip.is_none() {
                let in_line = !self.line.is_empty();
                self.start_skip(Cap::Budget, self.budget.limit(), 0);
                self.line = if in_line { vec![b'x'] } else { Vec::new() };
            }
        } else if needed < self.taken {
            self.budget.give_back(self.taken - needed);
            self.taken = needed;
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}
