//! Pure: who looks at what was written: the tap, and the watch for a quiet moment. Both are absent
//! as a rule, and then nothing is copied.

use crate::quiet::Quiet;
use crate::tally::{Observe, Part};
use crate::tap::{Tap, TapMessage};

/// A tap and the message that is being copied for it.
#[derive(Debug)]
pub(crate) struct Copying {
    tap: Tap,
    head: Vec<u8>,
}

impl Copying {
    pub(crate) fn new(tap: Tap) -> Self {
        Self { tap, head: Vec::new() }
    }

    pub(crate) fn missed(&self) -> u64 {
        self.tap.missed()
    }

    fn piece(&mut self, part: Part, piece: &[u8]) {
        if part.offset == 0 {
            self.head.clear();
        }
        let room = self.tap.max_bytes().saturating_sub(self.head.len());
        if part.text && room > 0 && self.tap.is_open() {
            part.copy_to(&piece[..piece.len().min(room)], &mut self.head);
        }
    }

    fn end(&mut self, text: bool, len: u64) {
        if text && self.tap.is_open() {
            let head = if len == 0 { Vec::new() } else { std::mem::take(&mut self.head) };
            self.tap.offer(TapMessage { head: head.into(), len });
        }
    }
}

/// Observers of a session.
#[derive(Debug, Default)]
pub(crate) struct Observers {
    pub(crate) tap: Option<Box<Copying>>,
    pub(crate) quiet: Option<Box<Quiet>>,
}

/// Of what the client sent.
pub(crate) struct FromClient<'a>(pub(crate) &'a mut Observers);

impl Observe for FromClient<'_> {
    fn piece(&mut self, part: Part, piece: &[u8]) {
        if let Some(tap) = &mut self.0.tap {
            tap.piece(part, piece);
        }
        if let Some(quiet) = &mut self.0.quiet {
            quiet.client_piece(part, piece);
        }
    }

    fn end(&mut self, text: bool, len: u64) {
        if let Some(tap) = &mut self.0.tap {
            tap.end(text, len);
        }
        if let Some(quiet) = &mut self.0.quiet {
            quiet.client_end();
        }
    }
}

/// Of what the browser sent.
pub(crate) struct FromBrowser<'a>(pub(crate) &'a mut Observers);

impl Observe for FromBrowser<'_> {
    fn piece(&mut self, part: Part, piece: &[u8]) {
        if let Some(quiet) = &mut self.0.quiet {
            quiet.browser_piece(part, piece);
        }
    }

    fn end(&mut self, _: bool, _: u64) {
        if let Some(quiet) = &mut self.0.quiet {
            quiet.browser_end();
        }
    }
}
