//! Pure: payload that is passed on without being looked at.

use super::Scanner;
use super::state::{Body, Fate};

impl Scanner {
    /// How many of the next bytes belong to the payload that is being passed on, while nothing else
    /// was asked for.
    #[inline]
    pub(crate) fn payload_left(&self) -> u64 {
        match self.body {
            Body::Pass { left, .. } if self.fate == Fate::Pass => left,
            Body::Pass { .. } | Body::None | Body::Collect { .. } | Body::Skip { .. } => 0,
        }
    }

    /// `n` bytes of that payload were passed on unseen.
    pub(crate) fn passed(&mut self, n: u64) {
        if let Body::Pass { left, fin } = self.body {
            self.body = Body::Pass { left: left.saturating_sub(n), fin };
            if left <= n {
                self.end_frame(fin);
            }
        }
    }
}
