//! Who is who: ids of sandboxes, executions and incarnations.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use crate::driver::LifecycleId;

/// The name of a sandbox: a DNS label of 1 to 35 of `[a-z0-9-]` that neither starts nor ends with a
/// hyphen and has no two in a row, so that it fits a subdomain beside a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SandboxId(Arc<str>);

/// The longest sandbox id.
pub const SANDBOX_ID_MAX: usize = 35;

/// Why a text is no sandbox id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SandboxIdError {
    /// No character at all.
    #[error("is empty, write 1 to 35 of a-z, 0-9 and -, or leave it out")]
    Empty,
    /// More than 35 characters.
    #[error("is longer than 35 characters, the most that fits a host name with a key")]
    TooLong,
    /// A character outside `[a-z0-9-]`.
    #[error("may only have a-z, 0-9 and -, because it becomes part of a host name")]
    Character,
    /// A hyphen first or last.
    #[error("must start and end with a letter or digit")]
    Edge,
    /// Two hyphens in a row.
    #[error("must not have `--`, which separates an id from its key in a host name")]
    DoubleHyphen,
    /// A word that the API uses itself.
    #[error("is a word that the API uses itself, choose another")]
    Reserved,
}

impl SandboxId {
    /// A new id that nobody can guess.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    pub fn random() -> Self {
        Self(random_word("sb").into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as shared text.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// Below `/v1/sandboxes` this is the stream of changes, so no sandbox can be there.
const RESERVED: &str = "events";

impl FromStr for SandboxId {
    type Err = SandboxIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() {
            Err(SandboxIdError::Empty)
        } else if !text.bytes().all(valid) {
            Err(SandboxIdError::Character)
        } else if text.len() > SANDBOX_ID_MAX {
            Err(SandboxIdError::TooLong)
        } else if text.starts_with('-') || text.ends_with('-') {
            Err(SandboxIdError::Edge)
        } else if text.contains("--") {
            Err(SandboxIdError::DoubleHyphen)
        } else if text == RESERVED {
            Err(SandboxIdError::Reserved)
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl Borrow<str> for SandboxId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names what a user asked for once: it stays over pause, resume and checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecutionId(Arc<str>);

impl ExecutionId {
    /// A new id that nobody can guess.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    pub fn random() -> Self {
        Self(random_word("ex").into())
    }

    /// Wraps an id that a record held.
    pub(crate) fn stored(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A lifecycle id that was never used before, also not by an earlier daemon.
///
/// # Panics
/// When the operating system has no random numbers.
pub fn random_lifecycle() -> LifecycleId {
    LifecycleId::new(random_word("lc"))
}

/// Names one life of a daemon, for places in what it tells.
///
/// # Panics
/// When the operating system has no random numbers.
pub(crate) fn random_epoch() -> String {
    random_word("w")
}

/// RFC 4648 section 6 in lower case: letters and digits that a host name may have.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// 26 characters of 5 bits are 130 random bits.
const RANDOM_CHARS: usize = 26;

pub(crate) fn random_word(prefix: &str) -> String {
    let mut bytes = [0_u8; RANDOM_CHARS];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    let random = bytes.iter().map(|byte| char::from(BASE32[usize::from(byte & 31)]));
    prefix.chars().chain(random).collect()
}

#[cfg(test)]
mod tests;
