//! From the relay to the event: a bounded queue that never makes the relay wait, and its worker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::room::{CommandRoom, Held};
use super::{CdpCommand, Decoded, decode, may_be_listed};
use crate::Telemetry;
use crate::value::Id;
use crate::words::Category;

#[cfg(test)]
mod tests;

/// What is copied of one message.
pub const MESSAGE_MAX: usize = 2 * 1024 * 1024;
/// Messages of one session that wait for its worker.
pub const IN_FLIGHT_MESSAGES: usize = 256;
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
    tally: CommandTally,
    /// Room for the message that is being copied.
    held: Held,
}

/// Reads the counts of a session, also when its worker has failed or hangs.
#[derive(Clone, Debug, Default)]
pub struct CommandTally(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// Messages between the tap and what the worker has done with them.
    waiting: AtomicU64,
    dropped: AtomicU64,
    excluded: AtomicU64,
}

#[derive(Debug)]
struct Message {
    ts: SystemTime,
    bytes: Bytes,
    _held: Held,
}

/// The other end: turns messages into events, in a task of its own.
#[derive(Debug)]
#[must_use = "without its worker every command of the session counts as dropped"]
pub struct CommandWorker {
    telemetry: Telemetry,
    session: Session,
    receiver: mpsc::Receiver<Message>,
    tally: CommandTally,
    decode: fn(&[u8]) -> Decoded,
}

impl CommandWorker {
    /// The two ends for a session. `room` is that of all sessions of the process.
    pub fn new(telemetry: Telemetry, session: Session, room: &CommandRoom) -> (CommandTap, Self) {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT_MESSAGES);
        let tally = CommandTally::default();
        let tap = CommandTap {
            telemetry: telemetry.clone(),
            sender,
            tally: tally.clone(),
            held: room.hold(),
        };
        (tap, Self { telemetry, session, receiver, tally, decode })
    }

    /// Runs until the tap is dropped and everything is told, at most [`FLUSH`] longer, and gives
    /// the final counts.
    ///
    /// # Cancel safety
    /// Dropping it loses what waits; the tally counts that as dropped.
    pub async fn run(mut self) -> CommandCounts {
        let mut until: Option<Instant> = None;
        while let Some(message) = self.receiver.recv().await {
            if self.receiver.is_closed() {
                let until = *until.get_or_insert_with(|| Instant::now() + FLUSH);
                if Instant::now() >= until {
                    break;
                }
            }
            self.tell(message);
            // One long message after the other must not keep a thread from everybody else.
            tokio::task::consume_budget().await;
        }
        self.tally.counts()
    }

    fn tell(&self, Message { ts, bytes, _held }: Message) {
        let decoded = catch_unwind(AssertUnwindSafe(|| (self.decode)(&bytes)));
        let Session { sandbox, connection_id, generation } = &self.session;
        match decoded {
            Ok(Decoded::Unlisted) => {}
            Ok(Decoded::Command { method, .. } | Decoded::Malformed { method })
                if self.telemetry.excludes(method.name) =>
            {
                self.tally.0.excluded.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Decoded::Malformed { .. }) | Err(_) => self.tally.drop_one(),
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
                if !self.telemetry.offer_at(ts, sandbox, event) {
                    self.tally.drop_one();
                }
            }
        }
        self.tally.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl CommandTap {
    /// Whether messages are wanted right now: one atomic load. If not, nothing is to be copied.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.telemetry.enabled(Category::Control)
    }

    /// Makes room for the next bytes of a message, and says how many of them to copy: fewer when it
    /// is longer than [`MESSAGE_MAX`] or too much waits already.
    pub fn reserve(&mut self, bytes: usize) -> usize {
        let fits = bytes.min(MESSAGE_MAX.saturating_sub(self.held.bytes()));
        if self.held.grow(fits) { fits } else { 0 }
    }

    /// Offers a text message that was forwarded whole, now. `head` is what of it was reserved and
    /// copied, `len` the length of all of it. What cannot be taken is counted; what by its text is no
    /// command that makes an event goes no further, and takes no place in the queue.
    pub fn offer(&mut self, head: Bytes, len: u64) {
        let held = self.held.take();
        if !self.is_armed() {
            return;
        }
        if head.len() as u64 != len {
            return self.tally.drop_one();
        }
        if !may_be_listed(&head) {
            return;
        }
        self.tally.0.waiting.fetch_add(1, Ordering::Relaxed);
        let message = Message { ts: SystemTime::now(), bytes: head, _held: held };
        if self.sender.try_send(message).is_err() {
            self.tally.0.waiting.fetch_sub(1, Ordering::Relaxed);
            self.tally.drop_one();
        }
    }

    /// Where the counts of the session can be read.
    #[must_use]
    pub fn tally(&self) -> CommandTally {
        self.tally.clone()
    }
}

impl CommandTally {
    /// The counts if nothing more was told from now on: what waits counts as dropped.
    #[must_use]
    pub fn counts(&self) -> CommandCounts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CommandCounts {
            dropped: load(&self.0.dropped) + load(&self.0.waiting),
            excluded: load(&self.0.excluded),
        }
    }

    fn drop_one(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}
