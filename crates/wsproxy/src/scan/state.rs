//! Pure: where a scanner is.

use crate::found::Event;
use crate::join::{Join, Joined};

/// What happens to the data frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    /// Pass the frame that is open, drop the rest.
    FinishFrame,
    /// Pass what `owed` bytes from here hold and the message they end in, drop the rest.
    FinishMessage {
        owed: usize,
    },
    Drop,
}

/// Where in the byte stream the scanner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Before a header.
    None,
    /// In a frame that is passed on.
    Pass { left: u64, fin: bool },
    /// In a fragment that is collected.
    Collect { left: u64, fin: bool, key: [u8; 4], offset: u64 },
    /// In a frame that is dropped.
    Skip { left: u64, fin: bool },
}

/// The message that was begun and is not finished.
#[derive(Debug)]
pub(super) enum Message {
    None,
    Passing,
    Collecting(Box<Join>),
}

/// What to do at the header of a data frame.
pub(super) enum Begin {
    Enter(Body),
    /// It is written whole, so wait for the rest of it.
    Hold,
    /// Write what was collected, then come back to this header.
    Spill(Joined),
    End(Event),
}
