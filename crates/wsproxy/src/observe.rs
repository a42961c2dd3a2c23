//! Pure: who looks at what was written: the tap, and the watch for a quiet moment. Both are absent
//! as a rule, and then nothing is copied.

use crate::quiet::Quiet;
use crate::tally::{Observe, Part};
use crate::tap::{Tap, TapMessage};

/// A tap and the message that is being copied for it.
#[derive(Debug)]
pub(crate) struct Copying {
    tap: Box<dyn Tap>,
    head: Vec<u8>,
    /// The message that is being written was wanted when it began.
    wanted: bool,
    /// There was no room for more of it.
    full: bool,
}

impl Copying {
    pub(crate) fn new(tap: Box<dyn Tap>) -> Self {
        Self { tap, head: Vec::new(), wanted: false, full: false }
    }

    /// Whether it has to see what is written next.
    fn is_active(&self) -> bool {
        self.wanted || self.tap.is_armed()
    }

    fn piece(&mut self, part: Part, piece: &[u8]) {
        if part.offset == 0 {
            self.wanted = part.text && self.tap.is_armed();
            self.full = false;
        }
        if self.wanted && !self.full {
            let room = self.tap.reserve(piece.len()).min(piece.len());
            self.full = room < piece.len();
            part.copy_to(&piece[..room], &mut self.head);
        }
    }

    fn end(&mut self, text: bool, len: u64) {
        let wanted = match len {
            0 => text && self.tap.is_armed(),
            _ => std::mem::take(&mut self.wanted),
        };
        if wanted {
            let head = std::mem::take(&mut self.head).into();
            self.tap.offer(TapMessage { head, len });
        }
    }
}

/// Observers of a session.
#[derive(Debug, Default)]
pub(crate) struct Observers {
    pub(crate) tap: Option<Box<Copying>>,
    pub(crate) quiet: Option<Box<Quiet>>,
}

impl Observers {
    /// Whether anyone looks at what the client sends.
    #[inline]
    pub(crate) fn watch_the_client(&self) -> bool {
        self.quiet.is_some() || self.tap.as_ref().is_some_and(|tap| tap.is_active())
    }
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
