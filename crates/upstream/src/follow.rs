//! Pure: follows one log through rotation and truncation. Bytes and what was read back go in,
//! lines come out; no file is touched here.

use crate::lines::LineCutter;

/// Bytes of a line that are looked at; the rest is skipped.
pub const MAX_LINE: usize = 64 * 1024;
/// How much of the start of a file, and of what was read last, is compared to notice that the
/// file was cut and has grown again.
pub(crate) const LOOK_BACK: usize = 256;
/// How many starts of a line that was torn by a rotation are kept.
const MAX_TORN: usize = 8;

/// Identity of a file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device number.
    pub device: u64,
    /// Inode number on that device.
    pub inode: u64,
}

/// A line as the follower hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its bytes, without the newline, at most [`MAX_LINE`].
    pub bytes: &'a [u8],
    /// Whether this is the line for certain.
    pub torn: Torn,
}

/// How a line came together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Torn {
    /// In one text.
    Whole,
    /// From what was held before a rotation, and the rest after it. It is one reading: the writer
    /// may as well have begun a new line there.
    Joined,
    /// The rest alone: the other reading. It comes last.
    Rest,
}

/// What of a file is compared before new bytes of it are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// The first bytes of the file, as many as [`Follower::head_len`] says.
    pub head: Vec<u8>,
    /// The bytes just before the position, as many as [`Follower::before_len`] says.
    pub before: Vec<u8>,
}

/// Where a reader is in a log, and what it holds of an unfinished line.
///
/// A clone is a checkpoint: a reader that starts again from it goes on at that position, without
/// a replay.
#[derive(Clone, Debug)]
pub struct Follower {
    offset: u64,
    head: Vec<u8>,
    before: Vec<u8>,
    cutter: LineCutter,
    /// Possible starts of the line that is being read, from before a rotation or truncation.
    torn: Vec<Vec<u8>>,
}

impl Default for Follower {
    fn default() -> Self {
        Self::new()
    }
}

impl Follower {
    /// A follower at the start of a file.
    pub const fn new() -> Self {
        Self {
            offset: 0,
            head: Vec::new(),
            before: Vec::new(),
            cutter: LineCutter::new(MAX_LINE),
            torn: Vec::new(),
        }
    }

    /// Position of the next byte to read.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes of the start of the file are known.
    pub const fn head_len(&self) -> usize {
        self.head.len()
    }

    /// How many bytes before the position are known.
    pub const fn before_len(&self) -> usize {
        self.before.len()
    }

    /// Lines so far that were longer than [`MAX_LINE`].
    pub const fn long_lines(&self) -> u64 {
        self.cutter.long_lines()
    }

    /// Whether the open file, of which `back` was read after any new bytes, is still the one that
    /// the position belongs to. A file that was cut, even if it has grown past the position
    /// since, is not.
    pub fn is_same(&self, size: u64, back: &ReadBack) -> bool {
        size >= self.offset && back.head == self.head && back.before == self.before
    }

    /// Takes the bytes at the position and calls `each` with every line that they complete.
    pub fn handle_bytes(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        let room = LOOK_BACK - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        keep_last(&mut self.before, bytes);
        self.offset += bytes.len() as u64;
        let torn = &mut self.torn;
        self.cutter.push(bytes, |line| {
            let rest = if torn.is_empty() { Torn::Whole } else { Torn::Rest };
            for start in torn.drain(..) {
                let mut joined = start;
                joined.extend_from_slice(line);
                joined.truncate(MAX_LINE);
                each(Line { bytes: &joined, torn: Torn::Joined });
            }
            each(Line { bytes: line, torn: rest });
        });
    }

    /// The log goes on in another file, or in this one after it was cut: from position 0.
    pub fn handle_restart(&mut self) {
        let partial = self.cutter.take_partial();
        if !partial.is_empty() {
            for start in &mut self.torn {
                start.extend_from_slice(&partial);
                start.truncate(MAX_LINE);
            }
            if self.torn.len() == MAX_TORN {
                // The first is the whole line if no byte was lost, so it stays.
                self.torn.remove(1);
            }
            self.torn.push(partial);
        }
        self.offset = 0;
        self.head.clear();
        self.before.clear();
    }
}

fn keep_last(kept: &mut Vec<u8>, bytes: &[u8]) {
    let from_new = bytes.len().min(LOOK_BACK);
    let from_old = kept.len().min(LOOK_BACK - from_new);
    kept.drain(..kept.len() - from_old);
    kept.extend_from_slice(&bytes[bytes.len() - from_new..]);
}

#[cfg(test)]
mod tests;
