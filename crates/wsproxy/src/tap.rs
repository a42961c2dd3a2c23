//! Copies of the client's text messages, for whoever wants to look at them.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Makes a tap: `capacity` messages wait at most, of each at most `max_bytes` are copied.
///
/// The relay never waits for the consumer: what does not fit is missed and counted in the report.
/// The consumer runs in its own task, so it may block or panic as it likes.
///
/// # Panics
///
/// If `capacity` is 0.
#[must_use]
pub fn tap(capacity: usize, max_bytes: usize) -> (Tap, TapReceiver) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Tap { sender, max_bytes, missed: 0 }, TapReceiver { receiver })
}

/// The relay's end of a tap; goes into one [`Relay`](crate::Relay).
#[derive(Debug)]
pub struct Tap {
    sender: mpsc::Sender<TapMessage>,
    max_bytes: usize,
    missed: u64,
}

impl Tap {
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// Whether anyone still listens; if not, nothing needs to be copied.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(crate) fn offer(&mut self, message: TapMessage) {
        match self.sender.try_send(message) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => self.missed += 1,
        }
    }
}

/// The consumer's end of a tap. Dropping it ends the copying.
#[derive(Debug)]
pub struct TapReceiver {
    receiver: mpsc::Receiver<TapMessage>,
}

impl TapReceiver {
    /// The next message; `None` once the session is over and all were taken.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<TapMessage> {
        self.receiver.recv().await
    }

    /// The next message if one waits.
    pub fn try_recv(&mut self) -> Option<TapMessage> {
        self.receiver.try_recv().ok()
    }
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
