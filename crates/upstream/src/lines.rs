//! Pure: cuts a stream of bytes into lines, with a bound on what is held.

/// Capacity that an emptied buffer may keep. Above it the memory is given back.
const KEEP: usize = 4096;

/// Cuts bytes, in whatever pieces they come, into lines.
///
/// A line is held until its newline and given out as bytes: nothing is decoded. One carriage
/// return before the newline is removed, and so are NUL bytes at the start of a line, because a
/// file that was cut while its writer kept its position reads as NUL up to that position. What
/// is longer than the limit is skipped up to the newline; lines after it are read normally.
#[derive(Clone, Debug)]
pub struct LineCutter {
    limit: usize,
    held: Vec<u8>,
    /// The line that is being read has reached the limit.
    over: bool,
    long_lines: u64,
}

impl LineCutter {
    /// A cutter that gives out at most `limit` bytes of each line.
    pub const fn new(limit: usize) -> Self {
        Self { limit, held: Vec::new(), over: false, long_lines: 0 }
    }

    /// Takes the next bytes and calls `each` with every line that they complete.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (piece, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.held.is_empty() && !self.over && piece.len() <= self.limit {
                each(trim(piece));
            } else {
                self.hold(piece);
                each(trim(&self.held));
                self.clear();
            }
        }
        self.hold(bytes);
    }

    /// The stream is over: gives out the bytes that no newline has ended, if there are any.
    pub fn finish(&mut self, each: impl FnOnce(&[u8])) {
        if !self.held.is_empty() {
            each(trim(&self.held));
        }
        self.clear();
    }

    /// Takes out what is held of an unfinished line and starts afresh.
    pub fn take_partial(&mut self) -> Vec<u8> {
        self.over = false;
        std::mem::take(&mut self.held)
    }

    /// Lines so far that were longer than the limit.
    pub const fn long_lines(&self) -> u64 {
        self.long_lines
    }

    fn hold(&mut self, piece: &[u8]) {
        let piece = if self.held.is_empty() && !self.over { without_nul(piece) } else { piece };
        let room = self.limit - self.held.len();
        self.held.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room && !self.over {
            self.over = true;
            self.long_lines += 1;
        }
    }

    fn clear(&mut self) {
        self.over = false;
        self.held.clear();
        if self.held.capacity() > KEEP {
            self.held = Vec::new();
        }
    }
}

fn trim(line: &[u8]) -> &[u8] {
    let line = without_nul(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn without_nul(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|&b| b != 0).unwrap_or(line.len());
    &line[start..]
}

#[cfg(test)]
mod tests;
