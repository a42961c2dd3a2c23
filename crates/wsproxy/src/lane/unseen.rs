//! Pure but for the pipe it carries: bytes that pass inside the kernel, unseen.

use super::Lane;
use crate::pipe::{self, Pipe};
use crate::tally::Observe;

impl Lane {
    /// How many bytes may be read past the relay, if that is worth it.
    #[inline]
    pub(crate) fn unseen_left(&self) -> Option<u64> {
        if self.aside.is_some() || self.no_pipe {
            return None;
        }
        let left = self.scanner.payload_left();
        // A pipe that is there already is used to the end of its frame.
        (left >= pipe::LEAST || (left > 0 && self.pipe.is_some())).then_some(left)
    }

    /// An empty pipe, which is kept until its frame ends. `None` if there is none to be had.
    pub(crate) fn pipe(&mut self) -> Option<&mut Pipe> {
        if self.pipe.is_none() {
            self.pipe = Some(Box::new(Pipe::make()?));
            self.short_read = true;
        }
        self.pipe.as_deref_mut()
    }

    /// No more pipes: they do not work here.
    #[cold]
    pub(crate) fn refuse_pipe(&mut self) {
        self.no_pipe = true;
        self.pipe = None;
        self.short_read = false;
    }

    /// `n` bytes were read into the pipe.
    pub(crate) fn read_unseen(&mut self, n: usize) {
        self.scanner.passed(n as u64);
        self.peak = self.peak.max(n);
    }

    /// Bytes in the pipe, to be written.
    #[inline]
    pub(crate) fn piped(&self) -> usize {
        self.pipe.as_ref().map_or(0, |pipe| pipe.held())
    }

    /// The pipe, if something is in it.
    pub(crate) fn full_pipe(&mut self) -> Option<&mut Pipe> {
        self.pipe.as_deref_mut().filter(|pipe| pipe.held() > 0)
    }

    /// `n` bytes were written out of the pipe.
    pub(crate) fn wrote_unseen(&mut self, n: usize, observer: &mut impl Observe) {
        self.tally.pass(n as u64, observer);
        self.spliced += n as u64;
        if self.piped() == 0 && !self.scanner.mid_frame() {
            self.pipe = None;
        }
    }

    /// Bytes that were written out of a pipe.
    pub(crate) fn spliced(&self) -> u64 {
        self.spliced
    }
}
