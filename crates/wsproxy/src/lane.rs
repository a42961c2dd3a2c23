//! Pure: one direction. Bytes that were read go in, bytes to be written come out, at most one
//! buffer in between.
//!
//! The buffer is borrowed by the caller's read and given back as soon as nothing of it is left; a
//! header or a short frame that is not complete is then kept in an allocation of its own size.

use crate::found::{Counts, Found, Scan};
use crate::frame::Sender;
use crate::join::Joined;
use crate::limits::Limits;
use crate::pool::{Budget, Lease};
use crate::scan::Scanner;
use crate::tally::{Observe, Tally, Totals};
use bytes::{Buf as _, Bytes};
use std::ops::Range;

#[derive(Debug)]
struct Chunk {
    lease: Lease,
    /// To be written.
    run: Range<usize>,
    /// Behind it: kept for the next scan.
    rest: Range<usize>,
}

#[derive(Debug)]
pub(crate) struct Lane {
    scanner: Scanner,
    tally: Tally,
    chunk: Option<Chunk>,
    /// Written after the run of the chunk, before its rest is scanned.
    joined: Option<Joined>,
    /// The rest of the chunk was not looked at yet.
    unscanned: bool,
    /// The rest while no buffer is borrowed.
    carry: Vec<u8>,
    /// Bytes that came with the handshake and were not looked at yet.
    prefix: Bytes,
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
            joined: None,
            unscanned: false,
            carry: Vec::new(),
            prefix: Bytes::new(),
            peak: 0,
            sealed: false,
        }
    }

    /// Bytes that came with the handshake.
    pub(crate) fn set_prefix(&mut self, prefix: Bytes) {
        self.prefix = prefix;
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

    // Reading.

    /// Whether everything that was read is written, so that more may be read.
    #[inline]
    pub(crate) fn wants_input(&self) -> bool {
        self.joined.is_none() && self.chunk.as_ref().is_none_or(|chunk| chunk.run.is_empty())
    }

    /// Takes input that is here already: it waited behind a joined message, or came with the
    /// handshake. `None` if there is none. Only if [`Self::wants_input`].
    #[inline]
    pub(crate) fn take_held(&mut self, take: impl FnOnce(usize) -> Lease) -> Option<Found> {
        if self.unscanned {
            return Some(self.scan());
        }
        if self.prefix.is_empty() {
            return None;
        }
        let mut prefix = std::mem::take(&mut self.prefix);
        let room = self.room(take);
        let n = room.len().min(prefix.len());
        prefix.copy_to_slice(&mut room[..n]);
        self.prefix = prefix;
        Some(self.filled(n))
    }

    /// Room for the next read, in a buffer that `take` borrows if none is held. `take` is told how
    /// many bytes the buffer has to hold at least. Only if [`Self::wants_input`].
    #[inline]
    pub(crate) fn room(&mut self, take: impl FnOnce(usize) -> Lease) -> &mut [u8] {
        let carry = &mut self.carry;
        let chunk = self.chunk.get_or_insert_with(|| {
            let kept = carry.len();
            let mut lease = take(kept + 1);
            lease.bytes_mut()[..kept].copy_from_slice(carry);
            *carry = Vec::new();
            Chunk { lease, run: 0..0, rest: 0..kept }
        });
        if chunk.rest.start > 0 {
            let kept = chunk.rest.len();
            chunk.lease.bytes_mut().copy_within(chunk.rest.clone(), 0);
            chunk.run = 0..0;
            chunk.rest = 0..kept;
        }
        &mut chunk.lease.bytes_mut()[chunk.rest.end..]
    }

    /// Room behind bytes that are not written yet, for a last look at a peer that failed. `None` if
    /// there is none.
    pub(crate) fn room_behind(&mut self, take: impl FnOnce(usize) -> Lease) -> Option<&mut [u8]> {
        if self.unscanned || !self.prefix.is_empty() {
            return None;
        }
        if self.wants_input() {
            return Some(self.room(take));
        }
        let chunk = self.chunk.as_mut()?;
        let bytes = chunk.lease.bytes_mut();
        bytes.copy_within(chunk.run.clone(), 0);
        chunk.run = 0..chunk.run.len();
        bytes.copy_within(chunk.rest.clone(), chunk.run.end);
        chunk.rest = chunk.run.end..chunk.run.end + chunk.rest.len();
        let room = &mut bytes[chunk.rest.end..];
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
        self.joined = rare.as_mut().and_then(|rare| rare.joined.take());
        self.unscanned = self.joined.is_some() && !chunk.rest.is_empty();
        let held = chunk.run.len() + chunk.rest.len();
        let joined = self.joined.as_ref().map_or(0, |joined| joined.rest().len());
        self.peak = self.peak.max(held + joined + self.scanner.held());
        Found { data, rare }
    }

    /// Nothing more can be read now: gives the buffer back.
    #[inline]
    pub(crate) fn park(&mut self) {
        if let Some(chunk) = &self.chunk
            && self.joined.is_none()
            && !self.unscanned
            && chunk.run.is_empty()
        {
            self.carry = chunk.lease.bytes()[chunk.rest.clone()].to_vec();
            self.chunk = None;
        }
    }

    /// Counts the buffer against the budget while it waits for the other side.
    #[inline]
    pub(crate) fn charge(&mut self, budget: Option<&Budget>) {
        if let (Some(chunk), Some(budget)) = (&mut self.chunk, budget) {
            chunk.lease.charge(budget);
        }
    }

    /// Whether the sender is inside a frame.
    pub(crate) fn reads_mid_frame(&self) -> bool {
        let rest = self.chunk.as_ref().map_or(self.carry.len(), |chunk| chunk.rest.len());
        self.scanner.mid_frame() || rest > 0
    }

    // Writing.

    /// What is to be written next.
    #[inline]
    pub(crate) fn front(&self) -> &[u8] {
        match (&self.chunk, &self.joined) {
            (Some(chunk), _) if !chunk.run.is_empty() => &chunk.lease.bytes()[chunk.run.clone()],
            (_, Some(joined)) => joined.rest(),
            (_, None) => &[],
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
        match (&mut self.chunk, &mut self.joined) {
            (Some(chunk), _) if !chunk.run.is_empty() => {
                let start = chunk.run.start;
                self.tally.advance(&chunk.lease.bytes()[start..start + n], observer);
                chunk.run.start += n;
            }
            (_, Some(joined)) => {
                self.tally.advance(&joined.rest()[..n], observer);
                joined.advance(n);
                if joined.rest().is_empty() {
                    self.joined = None;
                }
            }
            (_, None) => {}
        }
    }

    /// Whether the other side is between two frames, so that one of ours may be written.
    #[inline]
    pub(crate) fn at_boundary(&self) -> bool {
        self.tally.at_boundary()
    }

    // Ending.

    /// The sender has said its last word: what it left unfinished is not passed on.
    pub(crate) fn source_gone(&mut self) {
        self.sealed = true;
        self.scanner.drop_rest();
        self.prefix = Bytes::new();
        // A joined message is whole, so the frames before it are too.
        if self.joined.is_none()
            && let Some(chunk) = &mut self.chunk
        {
            let run = &chunk.lease.bytes()[chunk.run.clone()];
            chunk.run.end = chunk.run.start + self.tally.last_boundary(run).unwrap_or(0);
        }
    }

    /// Passes on what was read, and the frame it ends in.
    pub(crate) fn finish_frame(&mut self) {
        self.scanner.finish_frame();
    }

    /// Passes on what was received, and the message it ends in.
    pub(crate) fn finish_message(&mut self) {
        let rest = self.chunk.as_ref().map_or(self.carry.len(), |chunk| chunk.rest.len());
        self.scanner.finish_message(rest + self.prefix.len());
    }

    /// Passes on no more than the frame that is being written.
    pub(crate) fn cut_short(&mut self) {
        let Some(cut) = self.tally.next_boundary(self.front()) else {
            self.scanner.finish_frame();
            return;
        };
        self.scanner.drop_rest();
        match &mut self.chunk {
            Some(chunk) if !chunk.run.is_empty() => {
                chunk.run.end = chunk.run.start + cut;
                self.joined = None;
            }
            Some(_) | None => {
                if cut == 0 {
                    self.joined = None;
                }
            }
        }
    }

    /// Passes on nothing more.
    pub(crate) fn abandon(&mut self) {
        self.sealed = true;
        self.scanner.drop_rest();
        self.joined = None;
        if let Some(chunk) = &mut self.chunk {
            chunk.run.start = chunk.run.end;
        }
    }

    /// Everything that is to be passed on has been, to the end of a frame.
    pub(crate) fn is_settled(&self) -> bool {
        self.wants_input()
            && self.at_boundary()
            && (self.sealed
                || (self.scanner.is_done() && !self.unscanned && self.prefix.is_empty()))
    }

    /// The frame that is being written can never be finished.
    pub(crate) fn is_dead_end(&self) -> bool {
        self.sealed && self.wants_input() && !self.at_boundary()
    }
}

#[cfg(test)]
mod tests;
