//! Copies of the client's text messages, for whoever wants to look at them.

use bytes::Bytes;
use std::fmt;

/// Takes copies of the client's text messages; goes into one [`Relay`](crate::Relay).
///
/// The relay calls it from its own task and never waits for it. Whatever consumes the messages
/// belongs behind a bounded queue in a task of its own, where it may block or panic as it likes.
pub trait Tap: Send + fmt::Debug {
    /// Whether messages are wanted right now. It may change at any time; a message is copied if it
    /// was wanted when its first byte was written. Asked at each write, so it has to be as cheap as
    /// an atomic load.
    fn is_armed(&self) -> bool;

    /// Makes room for the next `bytes` of the present message, and returns how many of them to
    /// copy. If that is less, nothing more of this message is copied, and it is offered cut. The
    /// room of a message that is never offered, because the session ends inside it, is given back
    /// when the tap is dropped.
    fn reserve(&mut self, bytes: usize) -> usize;

    /// A message was written to its end. Must not wait.
    fn offer(&mut self, message: TapMessage);
}

/// A text message of the client whose last byte was written to the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapMessage {
    /// The beginning of its payload, unmasked. Not checked to be UTF-8.
    pub head: Bytes,
    /// Length of the whole payload in bytes.
    pub len: u64,
}

impl TapMessage {
    /// Whether `head` is not all of it.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.head.len() as u64 != self.len
    }
}
