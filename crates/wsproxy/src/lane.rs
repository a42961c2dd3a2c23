//! Pure: one direction. Bytes that were read go in, bytes to be written come out, at most one
//! buffer in between.
//!
//! The buffer is borrowed by the caller's read and given back as soon as nothing of it is left; a
//! header or a short frame that is not complete is then kept in an allocation of its own size.

use crate::found::{Counts, Found, Scan};
use crate::frame::Sender;
use crate::join::Joined;
use crate::limits::Limits;
use crate::pipe::{self, Pipe};
use crate::pool::{Budget, Lease};
use crate::scan::Scanner;
use crate::tally::{Observe, Tally, Totals};
use bytes::{Buf as _, Bytes};
use std::ops::Range;

mod ending;
mod unseen;

/// Bytes that are read at once where a long frame may begin.
const SHORT: usize = 16 * 1024;

#[derive(Debug)]
struct Chunk {
    lease: Lease,
    /// To be written.
    run: Range<usize>,
    /// Behind it: kept for the next scan.
    rest: Range<usize>,
}

impl Chunk {
    /// Moves what is held to the start of the buffer, the rest right behind the run.
    #[inline(never)]
    fn compact(&mut self) {
        let bytes = self.lease.bytes_mut();
        bytes.copy_within(self.run.clone(), 0);
        self.run = 0..self.run.len();
        bytes.copy_within(self.rest.clone(), self.run.end);
        self.rest = self.run.end..self.run.end + self.rest.len();
    }
}

/// What a direction rarely has, kept apart so that idle sessions are small.
#[derive(Debug, Default)]
struct Aside {
    /// Written after the run of the chunk, before its rest is scanned.
    joined: Option<Joined>,
    /// The rest of the chunk was not looked at yet.
    unscanned: bool,
    /// The rest while no buffer is borrowed.
    carry: Vec<u8>,
    /// Bytes that came with the handshake and were not looked at yet.
    prefix: Bytes,
}

impl Aside {
    fn is_empty(&self) -> bool {
        self.joined.is_none() && !self.unscanned && self.carry.is_empty() && self.prefix.is_empty()
    }
}

#[derive(Debug)]
pub(crate) struct Lane {
    scanner: Scanner,
    tally: Tally,
    chunk: Option<Chunk>,
    aside: Option<Box<Aside>>,
    /// Behind the run of the chunk: bytes of the open frame that stay in the kernel.
    pipe: Option<Box<Pipe>>,
    /// The system does not do it for this stream.
    no_pipe: bool,
    /// The last frame was long, so the next one may be: less is read at once, to leave its payload
    /// to the pipe.
    short_read: bool,
    spliced: u64,
    peak: usize,
    /// Nothing but what is about to be written is passed on any more.
    sealed: bool,
}

impl Lane {
    pub(crate) fn new(sender: Sender, limits: &Limits) -> Self {
        Self {
            scanner: Scanner::new(sender, limits),
            tally: Tally::new(sender),
            chunk: None,
            aside: None,
            pipe: None,
            no_pipe: false,
            short_read: false,
            spliced: 0,
            peak: 0,
            sealed: false,
        }
    }

    /// Bytes that came with the handshake.
    pub(crate) fn set_prefix(&mut self, prefix: Bytes) {
        if !prefix.is_empty() {
            self.aside.get_or_insert_default().prefix = prefix;
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.scanner.counts()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.tally.totals()
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak as u64
    }

    fn joined(&self) -> Option<&Joined> {
        self.aside.as_ref()?.joined.as_ref()
    }

    /// Drops the box once nothing is in it.
    fn tidy(&mut self) {
        if self.aside.as_ref().is_some_and(|aside| aside.is_empty()) {
            self.aside = None;
        }
    }

    // Reading.

    /// Whether everything that was read is written, so that more may be read.
    #[inline]
    pub(crate) fn wants_input(&self) -> bool {
        self.chunk.as_ref().is_none_or(|chunk| chunk.run.is_empty())
            && self.joined().is_none()
            && self.piped() == 0
    }

    /// Takes input that is here already: it waited behind a joined message, or came with the
    /// handshake. `None` if there is none. Only if [`Self::wants_input`].
    #[inline]
    pub(crate) fn take_held(&mut self, take: impl FnOnce(usize) -> Lease) -> Option<Found> {
        let aside = self.aside.as_mut()?;
        if aside.unscanned {
            return Some(self.scan());
        }
        if aside.prefix.is_empty() {
            return None;
        }
        let mut prefix = std::mem::take(&mut aside.prefix);
        let room = self.room(take);
        let n = room.len().min(prefix.len());
        prefix.copy_to_slice(&mut room[..n]);
        self.set_prefix(prefix);
        let found = self.filled(n);
        self.tidy();
        Some(found)
    }

    /// Room for the next read, in a buffer that `take` borrows if none is held. `take` is told how
    /// many bytes the buffer has to hold at least. Only if [`Self::wants_input`].
    #[inline]
    pub(crate) fn room(&mut self, take: impl FnOnce(usize) -> Lease) -> &mut [u8] {
        let aside = &mut self.aside;
        let chunk = self.chunk.get_or_insert_with(|| {
            let carry = aside.as_ref().map_or(0, |aside| aside.carry.len());
            let mut lease = take(carry + 1);
            if let Some(aside) = aside {
                lease.bytes_mut()[..carry].copy_from_slice(&aside.carry);
                aside.carry = Vec::new();
            }
            Chunk { lease, run: 0..0, rest: 0..carry }
        });
        if chunk.rest.start > 0 {
            chunk.compact();
        }
        let room = &mut chunk.lease.bytes_mut()[chunk.rest.end..];
        let most = if self.short_read { room.len().min(SHORT) } else { room.len() };
        &mut room[..most]
    }

    /// Room behind bytes that are not written yet, for a last look at a peer that failed. `None` if
    /// there is none.
    pub(crate) fn room_behind(&mut self, take: impl FnOnce(usize) -> Lease) -> Option<&mut [u8]> {
        if let Some(aside) = &self.aside
            && (aside.unscanned || aside.joined.is_some() || !aside.prefix.is_empty())
        {
            return None;
        }
        if self.wants_input() {
            return Some(self.room(take));
        }
        let chunk = self.chunk.as_mut()?;
        chunk.compact();
        let room = &mut chunk.lease.bytes_mut()[chunk.rest.end..];
        (!room.is_empty()).then_some(room)
    }

    /// `n` bytes were read into the room.
    #[inline]
    pub(crate) fn filled(&mut self, n: usize) -> Found {
        let Some(chunk) = self.chunk.as_mut() else { return Found::default() };
        chunk.rest.end += n;
        self.scan()
    }

    fn scan(&mut self) -> Found {
        let Some(chunk) = self.chunk.as_mut() else { return Found::default() };
        let Range { start, end } = chunk.rest;
        let Scan { run, rest, data, mut rare } =
            self.scanner.scan(&mut chunk.lease.bytes_mut()[start..end]);
        if chunk.run.is_empty() {
            chunk.run = start..start;
        }
        // The scanned bytes follow the run without a gap: see `room` and `room_behind`.
        chunk.run.end = start + run;
        chunk.rest.start = start + rest;
        let mut held = chunk.run.len() + chunk.rest.len() + self.scanner.held();
        if rare.is_some() || self.aside.is_some() {
            let more = rare.as_ref().is_some_and(|rare| rare.more);
            let joined = rare.as_mut().and_then(|rare| rare.joined.take());
            held += joined.as_ref().map_or(0, |joined| joined.rest().len());
            let unscanned = !chunk.rest.is_empty() && (joined.is_some() || more);
            self.set_aside(joined, unscanned);
        }
        self.peak = self.peak.max(held);
        self.short_read &= self.scanner.payload_left() >= pipe::LEAST;
        Found { data, rare }
    }

    #[cold]
    fn set_aside(&mut self, joined: Option<Joined>, unscanned: bool) {
        let aside = self.aside.get_or_insert_default();
        aside.unscanned = unscanned;
        aside.joined = joined;
        self.tidy();
    }

    /// Nothing more can be read now: gives the buffer back.
    #[inline]
    pub(crate) fn park(&mut self) {
        let Some(chunk) = &self.chunk else { return };
        if !chunk.run.is_empty()
            || self.aside.as_ref().is_some_and(|aside| aside.joined.is_some() || aside.unscanned)
        {
            return;
        }
        if !chunk.rest.is_empty() {
            let rest = &chunk.lease.bytes()[chunk.rest.clone()];
            self.aside.get_or_insert_default().carry = rest.to_vec();
        }
        self.chunk = None;
    }

    /// Counts the buffer against the budget while it waits for the other side.
    #[inline]
    pub(crate) fn charge(&mut self, budget: Option<&Budget>) {
        if let (Some(chunk), Some(budget)) = (&mut self.chunk, budget) {
            chunk.lease.charge(budget);
        }
    }

    /// Bytes that were read and wait for a scan, or for more.
    fn waiting(&self) -> usize {
        let rest = self.chunk.as_ref().map_or(0, |chunk| chunk.rest.len());
        rest + self.aside.as_ref().map_or(0, |aside| aside.carry.len() + aside.prefix.len())
    }

    /// Whether the sender is inside a frame.
    pub(crate) fn reads_mid_frame(&self) -> bool {
        self.scanner.mid_frame() || self.waiting() > 0
    }

    // Writing.

    /// What is to be written next.
    #[inline]
    pub(crate) fn front(&self) -> &[u8] {
        match &self.chunk {
            Some(chunk) if !chunk.run.is_empty() => &chunk.lease.bytes()[chunk.run.clone()],
            Some(_) | None => self.joined().map_or(&[], Joined::rest),
        }
    }

    /// The same, but at most to the end of the frame that is being written.
    pub(crate) fn front_to_boundary(&self) -> &[u8] {
        let front = self.front();
        &front[..self.tally.next_boundary(front).unwrap_or(front.len())]
    }

    /// The first `n` bytes of the front were written.
    #[inline]
    pub(crate) fn wrote(&mut self, n: usize, observer: &mut impl Observe) {
        if let Some(chunk) = &mut self.chunk
            && !chunk.run.is_empty()
        {
            let start = chunk.run.start;
            self.tally.advance(&chunk.lease.bytes()[start..start + n], observer);
            chunk.run.start += n;
        } else if let Some(aside) = &mut self.aside
            && let Some(joined) = &mut aside.joined
        {
            self.tally.advance(&joined.rest()[..n], observer);
            joined.advance(n);
            if joined.rest().is_empty() {
                aside.joined = None;
                self.tidy();
            }
        }
    }

    /// Whether the other side is between two frames, so that one of ours may be written.
    #[inline]
    pub(crate) fn at_boundary(&self) -> bool {
        self.tally.at_boundary()
    }
}

#[cfg(test)]
mod tests;
