//! Pure: follows the bytes of one direction that the other side has accepted, and counts.

use crate::frame::{self, Header, MAX_HEADER, Opcode, Sender};

/// Looks at what was written. `()` looks at nothing and costs nothing.
pub(crate) trait Observe {
    /// A piece of a data message's payload.
    fn piece(&mut self, part: Part, piece: &[u8]);
    /// The message is written to its end.
    fn end(&mut self, text: bool, len: u64);
}

/// Where a piece lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) text: bool,
    /// Payload bytes of the message before the piece.
    pub(crate) offset: u64,
    pub(crate) mask: Option<[u8; 4]>,
    /// Payload bytes of the frame before the piece.
    pub(crate) frame_offset: u64,
}

impl Part {
    /// Appends the piece to `out`, unmasked.
    pub(crate) fn copy_to(&self, piece: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(piece);
        if let Some(key) = self.mask {
            frame::apply_mask(&mut out[at..], key, self.frame_offset);
        }
    }
}

impl Observe for () {
    fn piece(&mut self, _: Part, _: &[u8]) {}
    fn end(&mut self, _: bool, _: u64) {}
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
    pub(crate) largest: u64,
}

/// Walks over the same frames as the scanner, but by what was written, not by what was read.
#[derive(Debug)]
pub(crate) struct Tally {
    sender: Sender,
    /// The beginning of a header whose rest is not written yet.
    head: [u8; MAX_HEADER],
    head_len: u8,
    /// Payload bytes of the frame that are not written yet.
    left: u64,
    fin: bool,
    text: bool,
    mask: Option<[u8; 4]>,
    frame_offset: u64,
    /// Payload bytes of the message that are written.
    message: u64,
    totals: Totals,
}

impl Tally {
    pub(crate) fn new(sender: Sender) -> Self {
        Self {
            sender,
            head: [0; MAX_HEADER],
            head_len: 0,
            left: 0,
            fin: true,
            text: false,
            mask: None,
            frame_offset: 0,
            message: 0,
            totals: Totals::default(),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether a frame of ours may be written now.
    #[inline]
    pub(crate) fn at_boundary(&self) -> bool {
        self.left == 0 && self.head_len == 0
    }

    /// `n` bytes of a payload were written unseen.
    pub(crate) fn pass(&mut self, n: u64, observer: &mut impl Observe) {
        self.left = self.left.saturating_sub(n);
        self.frame_offset += n;
        self.message += n;
        self.totals.bytes += n;
        if self.left == 0 {
            self.end_frame(observer);
        }
    }

    /// Follows bytes that were written.
    pub(crate) fn advance(&mut self, mut bytes: &[u8], observer: &mut impl Observe) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let n = self.left.min(bytes.len() as u64) as usize;
                let (piece, rest) = bytes.split_at(n);
                observer.piece(self.part(), piece);
                self.pass(n as u64, observer);
                bytes = rest;
            } else if let Some((header, taken)) = self.header(bytes) {
                bytes = &bytes[taken..];
                self.begin_frame(&header, observer);
            } else {
                let at = usize::from(self.head_len);
                let n = bytes.len().min(MAX_HEADER - at);
                self.head[at..at + n].copy_from_slice(&bytes[..n]);
                self.head_len += n as u8;
                return;
            }
        }
    }

    /// The header that `next` begins or completes, and how much of `next` belongs to it.
    #[inline]
    fn header(&self, next: &[u8]) -> Option<(Header, usize)> {
        if self.head_len == 0 {
            // The scanner refused what is no header before it could be written.
            let header = frame::parse(next, self.sender).ok().flatten()?;
            return Some((header, header.size));
        }
        let at = usize::from(self.head_len);
        let mut head = self.head;
        let n = next.len().min(MAX_HEADER - at);
        head[at..at + n].copy_from_slice(&next[..n]);
        let header = frame::parse(&head[..at + n], self.sender).ok().flatten()?;
        Some((header, header.size - at))
    }

    fn begin_frame(&mut self, header: &Header, observer: &mut impl Observe) {
        self.head_len = 0;
        self.left = header.len;
        self.fin = header.fin;
        self.mask = header.mask;
        self.frame_offset = 0;
        if header.opcode != Opcode::Continuation {
            self.text = header.opcode == Opcode::Text;
            self.message = 0;
        }
        if header.len == 0 {
            self.end_frame(observer);
        }
    }

    fn end_frame(&mut self, observer: &mut impl Observe) {
        self.totals.frames += 1;
        if self.fin {
            self.totals.messages += 1;
            self.totals.largest = self.totals.largest.max(self.message);
            observer.end(self.text, self.message);
        }
    }

    fn part(&self) -> Part {
        Part {
            text: self.text,
            offset: self.message,
            mask: self.mask,
            frame_offset: self.frame_offset,
        }
    }

    /// How many of the bytes to come are needed to finish the frame that is being written; `None`
    /// if they do not finish it.
    pub(crate) fn next_boundary(&self, next: &[u8]) -> Option<usize> {
        if self.at_boundary() {
            return Some(0);
        }
        let total = if self.left > 0 {
            self.left
        } else {
            let (header, taken) = self.header(next)?;
            taken as u64 + header.len
        };
        (total <= next.len() as u64).then_some(total as usize)
    }

    /// How many of the bytes to come end with their last whole frame; `None` if they do not even
    /// finish the frame that is being written.
    pub(crate) fn last_boundary(&self, next: &[u8]) -> Option<usize> {
        let mut at = self.next_boundary(next)?;
        while let Ok(Some(header)) = frame::parse(&next[at..], self.sender) {
            let left = (next.len() - at) as u64;
            if header.total() > left {
                break;
            }
            at += header.total() as usize;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests;
