//! What starts and clearings fail with.

use std::time::Duration;

use upstream::Cause;

use super::Flavour;

/// Why an instance did not start. Nothing of it exists any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// No binary of that flavour.
    #[error("no browser of flavour {flavour} was found; looked in: {tried}", flavour = flavour.as_str())]
    NoBrowser {
        /// Which flavour.
        flavour: Flavour,
        /// Where the search looked.
        tried: String,
    },
    /// The process could not be made.
    #[error("the browser process could not be started: {0}")]
    Spawn(String),
    /// The process ended before it answered.
    #[error("the browser ended while starting ({cause}); its last words: {log_tail}")]
    Exited {
        /// How it ended.
        cause: Cause,
        /// The end of its log, at most 4 KiB.
        log_tail: String,
    },
    /// It did not answer in time.
    #[error("the browser did not answer within {after:?}; its last words: {log_tail}")]
    Timeout {
        /// The limit.
        after: Duration,
        /// The end of its log, at most 4 KiB.
        log_tail: String,
    },
    /// Its runner is required and was not ready; the text says why, with its last words.
    #[error("{begin}{0}", begin = Self::OF_RUNNER)]
    Runner(String),
    /// A directory or file could not be made.
    #[error("the sandbox directory could not be prepared: {0}")]
    Directory(String),
    /// `cancel` fired.
    #[error("the start was cancelled")]
    Cancelled,
}

impl StartError {
    /// How the text of [`StartError::Runner`] begins.
    const OF_RUNNER: &str = "the runner ";

    /// Whether this text of a failed start is about a runner.
    pub(crate) fn is_of_runner(text: &str) -> bool {
        text.starts_with(Self::OF_RUNNER)
    }
}

/// Why what an earlier daemon left could not be cleared. An unreadable list is an error, never an empty one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what an earlier daemon left could not be read: {0}")]
pub struct ReclaimError(pub String);
