//! What a listener and a session say to each other.
//!
//! The listener reads a runner's stream and hands it over; the session logs it. The listener goes on
//! reading only after the log has accepted what it handed over, so a log that is slow slows the
//! runner and nothing piles up in between.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytestring::ByteString;

use crate::listener::{Reason, Status};
use crate::sse::Item;

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The longest project or session name in bytes: what a DNS label holds, so that names can become
/// host names and file names.
pub const NAME_MAX: usize = 63;

/// Which session. Always both parts, never joined into one text. Clones are cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    project: Arc<str>,
    session: Arc<str>,
}

impl SessionKey {
    /// A key of two names, each `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`.
    ///
    /// # Errors
    /// A name of another form.
    pub fn new(project: &str, session: &str) -> Result<Self, KeyError> {
        if !is_name(project) {
            return Err(KeyError::Project);
        }
        if !is_name(session) {
            return Err(KeyError::Session);
        }
        Ok(Self { project: project.into(), session: session.into() })
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The session's name, which means something only within its project.
    pub fn session(&self) -> &str {
        &self.session
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionKey").field(&self.project).field(&self.session).finish()
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_MAX
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Why two texts make no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The project's name has another form.
    #[error(
        "the project's name must begin with a letter or digit and go on with at most 62 letters, digits, '.', '_' or '-'"
    )]
    Project,
    /// The session's name has another form.
    #[error(
        "the session's name must begin with a letter or digit and go on with at most 62 letters, digits, '.', '_' or '-'"
    )]
    Session,
}

impl KeyError {
    /// A short name for metrics.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Project => "project_name",
            Self::Session => "session_name",
        }
    }
}

/// Which connection of which listener something came in on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// The listener; no other of this process has the same.
    pub generation: u64,
    /// The listener's answered connections, counted from 1.
    pub number: u64,
}

/// What one read brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where it came in.
    pub connection: Connection,
    /// In the order of the stream: events, comments, oversize events. Never empty; never a
    /// [`Item::Retry`], which the listener keeps to itself.
    pub items: Vec<Item>,
    /// The stream's last event id behind these items, absent when there is none or it was reset.
    /// Once the log holds the items, this is what a reconnect may ask to go on from.
    pub last_event_id: Option<ByteString>,
}

/// The session's side of a listener.
pub trait Feed: Send + Sync + 'static {
    /// Takes what was read, and returns once the log has accepted it. Until then the listener reads
    /// nothing more, and the idle timeout does not run.
    ///
    /// # Errors
    /// The log cannot take it for now, or never again.
    ///
    /// # Cancel safety
    /// A cancelled listener drops the future. What it was given is then in the log whole or not at
    /// all, event by event.
    fn accept<'a>(&'a self, batch: Batch) -> BoxFuture<'a, Result<(), FeedError>>;

    /// The id to go on from: the last one whose events are all in the log, also over a restart.
    /// Asked before each connection.
    fn resume_id(&self) -> Option<ByteString>;

    /// A connection that had been answered has ended.
    fn cut(&self, connection: Connection, why: &Reason);

    /// The listener's state has changed. Called in the order of the changes, with no lock held, and
    /// must not block: it is for a status board and telemetry.
    fn status(&self, status: &Status);
}

/// Why a feed does not take what was read. The connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The log has accepted nothing for too long; the listener tries again later.
    #[error("the session's log accepts nothing")]
    Stalled,
    /// The session is closed; the listener gives up.
    #[error("the session is closed")]
    Closed,
}

#[cfg(test)]
mod tests;
