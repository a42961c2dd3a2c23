//! From the relay to the event: a bounded queue that never makes the relay wait, and its worker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{CdpCommand, Decoded, decode};
use crate::Telemetry;
use crate::value::Id;
use crate::words::Category;

#[cfg(test)]
mod tests;

/// What is copied of one message.
pub const MESSAGE_MAX: usize = 2 * 1024 * 1024;
/// Messages of one session that wait for its worker.
pub const IN_FLIGHT_MESSAGES: usize = 256;
/// Bytes of one session that wait for its worker.
pub const IN_FLIGHT_BYTES: usize = 8 * 1024 * 1024;
/// How long a worker goes on after its session ended.
pub const FLUSH: Duration = Duration::from_secs(1);

/// The session whose commands are told.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its sandbox.
    pub sandbox: Option<Id>,
    /// Its id.
    pub connection_id: Id,
    /// The browser instance it is with.
    pub generation: u64,
}

/// Commands of a session that made no event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandCounts {
    /// Those that should have.
    pub dropped: u64,
    /// Those that the configuration left out.
    pub excluded: u64,
}

/// The relay's end.
#[derive(Debug)]
pub struct CommandTap {
    telemetry: Telemetry,
    sender: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    dropped: AtomicU64,
    excluded: AtomicU64,
}

#[derive(Debug)]
struct Message {
    ts: SystemTime,
    bytes: Bytes,
}

/// The other end: turns messages into events, in a task of its own.
#[derive(Debug)]
#[must_use = "without its worker every command of the session counts as dropped"]
pub struct CommandWorker {
    telemetry: Telemetry,
    session: Session,
    receiver: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
    decode: fn(&[u8]) -> Decoded,
}

impl CommandWorker {
    /// The two ends for a session.
    pub fn new(telemetry: Telemetry, session: Session) -> (CommandTap, Self) {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT_MESSAGES);
        let shared = Arc::new(Shared::default());
        let tap = CommandTap { telemetry: telemetry.clone(), sender, shared: Arc::clone(&shared) };
        (tap, Self { telemetry, session, receiver, shared, decode })
    }

    /// Runs until the tap is dropped and everything is told, at most [`FLUSH`] longer, and gives
    /// the final counts.
    ///
    /// # Cancel safety
    /// Dropping it loses what waits; nobody counts it then.
    pub async fn run(mut self) -> CommandCounts {
        let mut until: Option<Instant> = None;
        while let Some(message) = self.receiver.recv().await {
            if self.receiver.is_closed() {
                let until = *until.get_or_insert_with(|| Instant::now() + FLUSH);
                if Instant::now() >= until {
                    let left = self.receiver.len() as u64 + 1;
                    self.shared.dropped.fetch_add(left, Ordering::Relaxed);
                    break;
                }
            }
            self.tell(message);
            // One long message after the other must not keep a thread from everybody else.
            tokio::task::consume_budget().await;
        }
        self.shared.counts()
    }

    fn tell(&self, Message { ts, bytes }: Message) {
        self.shared.bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
        let decoded = catch_unwind(AssertUnwindSafe(|| (self.decode)(&bytes)));
        let Session { sandbox, connection_id, generation } = &self.session;
        match decoded {
            Ok(Decoded::Unlisted) => {}
            Ok(Decoded::Command { method, .. } | Decoded::Malformed { method })
                if self.telemetry.excludes(method.name) =>
            {
                self.shared.excluded.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Decoded::Malformed { .. }) | Err(_) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Decoded::Command { method, command_id, session_id, kept }) => {
                let event = CdpCommand {
                    method: method.name,
                    connection_id: connection_id.clone(),
                    generation: *generation,
                    session_id,
                    command_id,
                    message_bytes: bytes.len() as u64,
                    kept,
                };
                let sandbox = sandbox.as_ref().map(Id::as_str);
                self.telemetry.publish_at(ts, sandbox, event);
            }
        }
    }
}

impl CommandTap {
    /// Whether messages are wanted right now: one atomic load. If not, nothing is to be copied.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.telemetry.enabled(Category::Control)
    }

    /// Offers a text message that was forwarded whole, now. `head` is its first [`MESSAGE_MAX`]
    /// bytes, `len` the length of all of it. What cannot be taken is counted.
    pub fn offer(&self, head: Bytes, len: u64) {
        if !self.is_armed() {
            return;
        }
        let size = head.len();
        let cut = size as u64 != len;
        if cut || self.shared.bytes.fetch_add(size, Ordering::Relaxed) + size > IN_FLIGHT_BYTES {
            self.drop_one(if cut { 0 } else { size });
        } else if self.sender.try_send(Message { ts: SystemTime::now(), bytes: head }).is_err() {
            self.drop_one(size);
        }
    }

    /// Counts messages that were wanted and could not be copied.
    pub fn missed(&self, messages: u64) {
        self.shared.dropped.fetch_add(messages, Ordering::Relaxed);
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> CommandCounts {
        self.shared.counts()
    }

    fn drop_one(&self, size: usize) {
        self.shared.bytes.fetch_sub(size, Ordering::Relaxed);
        self.missed(1);
    }
}

impl Shared {
    fn counts(&self) -> CommandCounts {
        CommandCounts {
            dropped: self.dropped.load(Ordering::Relaxed),
            excluded: self.excluded.load(Ordering::Relaxed),
        }
    }
}
