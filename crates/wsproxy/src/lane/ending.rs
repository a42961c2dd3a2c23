//! Pure: what is still passed on when a session ends.

use super::Lane;
use bytes::Bytes;

impl Lane {
    /// The sender has said its last word: what it left unfinished is not passed on.
    pub(crate) fn source_gone(&mut self) {
        self.sealed = true;
        self.scanner.drop_rest();
        if let Some(aside) = &mut self.aside {
            aside.prefix = Bytes::new();
        }
        // A joined message is whole, so the frames before it are too.
        if self.scanner.mid_frame() {
            self.pipe = None;
        }
        if self.joined().is_none()
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
        self.scanner.finish_message(self.waiting());
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
                self.forget_joined();
            }
            Some(_) | None if cut == 0 => self.forget_joined(),
            Some(_) | None => {}
        }
    }

    /// Passes on nothing more.
    pub(crate) fn abandon(&mut self) {
        self.sealed = true;
        self.scanner.drop_rest();
        self.forget_joined();
        self.pipe = None;
        if let Some(chunk) = &mut self.chunk {
            chunk.run.start = chunk.run.end;
        }
    }

    fn forget_joined(&mut self) {
        if let Some(aside) = &mut self.aside {
            aside.joined = None;
        }
    }

    /// Everything that is to be passed on has been, to the end of a frame.
    pub(crate) fn is_settled(&self) -> bool {
        let input = self.aside.as_ref();
        let input = input.is_some_and(|aside| aside.unscanned || !aside.prefix.is_empty());
        self.wants_input()
            && self.at_boundary()
            && (self.sealed || (self.scanner.is_done() && !input))
    }

    /// The frame that is being written can never be finished.
    pub(crate) fn is_dead_end(&self) -> bool {
        self.sealed && self.wants_input() && !self.at_boundary()
    }
}
