//! Pure: finds the first quiet moment of a session. Armed only once a quiet stop is asked for.

use crate::report::QuietEnd;
use crate::tally::Part;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How much of a message is looked at.
const PREFIX: usize = 64;
/// Most ids that are remembered. A client with more commands outstanding than this is not in a
/// quiet moment for other reasons; those beyond count as traffic only.
const MAX_OUTSTANDING: usize = 4096;

/// The beginnings of the messages of one direction.
#[derive(Debug, Default)]
struct Prefix {
    bytes: Vec<u8>,
    /// The message was seen from its first byte.
    whole: bool,
}

impl Prefix {
    fn piece(&mut self, part: Part, piece: &[u8]) {
        if part.offset == 0 {
            self.bytes.clear();
            self.whole = part.text;
        }
        if self.whole && self.bytes.len() < PREFIX {
            let n = piece.len().min(PREFIX - self.bytes.len());
            part.copy_to(&piece[..n], &mut self.bytes);
        }
    }

    fn end(&mut self) -> Option<i64> {
        std::mem::take(&mut self.whole).then(|| command_id(&self.bytes)).flatten()
    }
}

/// What is outstanding since the quiet stop was asked for.
#[derive(Debug)]
pub(crate) struct Quiet {
    deadline: Instant,
    /// The last data frame, or when the stop was asked for.
    last: Instant,
    outstanding: HashSet<i64>,
    client: Prefix,
    browser: Prefix,
}

impl Quiet {
    pub(crate) fn new(deadline: Instant, now: Instant) -> Self {
        Self {
            deadline,
            last: now,
            outstanding: HashSet::new(),
            client: Prefix::default(),
            browser: Prefix::default(),
        }
    }

    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    pub(crate) fn client_piece(&mut self, part: Part, piece: &[u8]) {
        self.client.piece(part, piece);
    }

    pub(crate) fn client_end(&mut self) {
        if let Some(id) = self.client.end()
            && self.outstanding.len() < MAX_OUTSTANDING
        {
            self.outstanding.insert(id);
        }
    }

    pub(crate) fn browser_piece(&mut self, part: Part, piece: &[u8]) {
        self.browser.piece(part, piece);
    }

    pub(crate) fn browser_end(&mut self) {
        if let Some(id) = self.browser.end() {
            self.outstanding.remove(&id);
        }
    }

    /// A data frame passed.
    pub(crate) fn traffic(&mut self, now: Instant) {
        self.last = now;
    }

    /// When to look at the time again. `busy`: data is on its way that is not written yet.
    pub(crate) fn due(&self, quiet_for: Duration, busy: bool) -> Instant {
        if self.waits(busy) { self.deadline } else { self.deadline.min(self.quiet_at(quiet_for)) }
    }

    /// How the quiet stop ended, if it has.
    pub(crate) fn ended(&self, quiet_for: Duration, busy: bool, now: Instant) -> Option<QuietEnd> {
        if !self.waits(busy) && self.quiet_at(quiet_for) <= now {
            Some(QuietEnd::Quiet)
        } else {
            (self.deadline <= now).then_some(QuietEnd::Deadline)
        }
    }

    fn quiet_at(&self, quiet_for: Duration) -> Instant {
        self.last.checked_add(quiet_for).unwrap_or(self.deadline)
    }

    fn waits(&self, busy: bool) -> bool {
        busy || !self.outstanding.is_empty()
    }
}

/// The value of `"id"` in the outermost object, if the prefix shows all of it. Skips over other
/// members, as far as the prefix shows them.
fn command_id(prefix: &[u8]) -> Option<i64> {
    let mut json = Json { rest: prefix };
    json.eat(b'{')?;
    loop {
        let key = json.string()?;
        json.eat(b':')?;
        if key == b"id" {
            return json.integer();
        }
        json.skip_value()?;
        json.eat(b',')?;
    }
}

/// A reader of JSON that ends with the prefix. Lenient: what is no JSON yields no id or a wrong
/// one, and an id that nobody answers only delays the stop to its deadline.
struct Json<'a> {
    rest: &'a [u8],
}

impl<'a> Json<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn eat(&mut self, wanted: u8) -> Option<()> {
        self.rest = self.rest.trim_ascii_start();
        (self.next()? == wanted).then_some(())
    }

    /// A string without its quotes, escapes as they are.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.eat(b'"')?;
        let all = self.rest;
        let mut len = 0;
        loop {
            match self.next()? {
                b'"' => return Some(&all[..len]),
                b'\\' => {
                    self.next()?;
                    len += 2;
                }
                _ => len += 1,
            }
        }
    }

    /// A whole number that something follows, so that no digit is missing.
    fn integer(&mut self) -> Option<i64> {
        let text = self.rest.trim_ascii_start();
        let len = text.iter().position(|byte| !matches!(byte, b'-' | b'0'..=b'9'))?;
        matches!(text[len], b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n').then_some(())?;
        std::str::from_utf8(&text[..len]).ok()?.parse().ok()
    }

    fn skip_value(&mut self) -> Option<()> {
        self.rest = self.rest.trim_ascii_start();
        let mut depth = 0_usize;
        loop {
            match *self.rest.first()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.next()?;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.next()?;
                }
                b',' | b'}' | b']' if depth == 0 => return Some(()),
                _ => {
                    self.next()?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
