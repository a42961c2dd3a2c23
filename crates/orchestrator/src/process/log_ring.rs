//! Pure: the end of a browser's log, bounded.

use std::collections::VecDeque;

/// How much of a log is kept for one sandbox.
const CAPACITY: usize = 256 * 1024;

/// Longer lines are cut.
const LINE: usize = 8 * 1024;

/// How much of the log goes into an error.
const TAIL: usize = 4 * 1024;

/// The last lines of a log. When it is full the oldest lines go.
#[derive(Debug, Default)]
pub(crate) struct LogRing {
    lines: VecDeque<String>,
    bytes: usize,
}

impl LogRing {
    /// Adds a line, without its end.
    pub(crate) fn push(&mut self, line: &str) {
        let line = &line[..line.floor_char_boundary(LINE)];
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_owned());
        while self.bytes > CAPACITY {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len() + 1;
        }
    }

    /// The last 4 KiB, starting with a whole line where one fits.
    pub(crate) fn tail(&self) -> String {
        let mut from = self.lines.len();
        let mut length = 0;
        while from > 0 && length + self.lines[from - 1].len() < TAIL {
            from -= 1;
            length += self.lines[from].len() + 1;
        }
        if from == self.lines.len()
            && let Some(last) = self.lines.back()
        {
            return last[last.ceil_char_boundary(last.len().saturating_sub(TAIL))..].to_owned();
        }
        self.lines.range(from..).map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests;
