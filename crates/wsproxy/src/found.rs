//! Pure: what is found in the bytes of a sender.

use crate::close::CloseFrame;
use crate::join::Joined;
use crate::rule::Rule;

/// Something in the bytes that ends the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Close(CloseFrame),
    Broken(Rule),
    TooLarge { limit: u64 },
}

/// How a buffer was sorted.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The first so many bytes are to be written.
    pub(crate) run: usize,
    /// What starts here is kept: a header or frame that is not complete, or, if there is a joined
    /// message or another ping, bytes that were not looked at yet.
    pub(crate) rest: usize,
    /// There were bytes of a data frame.
    pub(crate) data: bool,
    pub(crate) rare: Option<Box<Rare>>,
}

impl Scan {
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

/// What most buffers have nothing of, kept apart so that they cost nothing for it.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// To be written after the run. The rest is scanned after that.
    pub(crate) joined: Option<Joined>,
    /// Payload of a ping.
    pub(crate) ping: Option<Box<[u8]>>,
    /// Another ping is next: it is scanned after the first had its chance of an answer.
    pub(crate) more: bool,
    /// Nothing behind it was looked at.
    pub(crate) event: Option<Event>,
}

/// What a scan asks of the session.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// There were bytes of a data frame.
    pub(crate) data: bool,
    pub(crate) rare: Option<Box<Rare>>,
}

impl Found {
    /// What ends the session, if anything.
    pub(crate) fn into_event(self) -> Option<Event> {
        self.rare?.event
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) pongs_dropped: u64,
    pub(crate) joined: u64,
    pub(crate) spilled: u64,
    /// Data messages that were dropped.
    pub(crate) discarded: u64,
}
