//! Pure: names of logs, names of their incarnations, and positions in them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Longest name of a log, in bytes.
pub const NAME_MAX: usize = 128;
/// Shortest and longest name of an incarnation, in bytes.
pub const EPOCH_LEN: std::ops::RangeInclusive<usize> = 8..=16;
/// Length of the names that [`Epoch::random`] makes: 62 bits of randomness.
const RANDOM_EPOCH_LEN: usize = 12;

/// The name of a log: 1 to 128 of `[A-Za-z0-9_-]`, in parts that single dots separate.
///
/// So it is a file name, a table key and a message subject, whatever the backend needs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(Arc<str>);

impl LogName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`BadName`] if it is empty, too long, or has a character or a dot where it may not.
    pub fn new(name: &str) -> Result<Self, BadName> {
        let part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        if name.len() <= NAME_MAX && name.split('.').all(part) {
            Ok(Self(Arc::from(name)))
        } else {
            Err(BadName { name: name.chars().take(64).collect() })
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that no log can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log name `{name}`: use 1 to 128 of A-Z, a-z, 0-9, `_`, `-`, and single dots between them")]
pub struct BadName {
    /// Its first 64 characters.
    pub name: String,
}

/// One incarnation of a log: offsets of two epochs have nothing to do with each other.
///
/// 8 to 16 of `[a-z0-9]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// A new one that nobody has seen.
    ///
    /// # Panics
    /// If the operating system gives no randomness, which it always does once it has booted.
    #[must_use]
    pub fn random() -> Self {
        let mut bits = [0; 8];
        getrandom::fill(&mut bits).expect("a booted system gives randomness");
        let mut number = u64::from_le_bytes(bits);
        let mut digit = || {
            let digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize];
            number /= 36;
            char::from(digit)
        };
        Self((0..RANDOM_EPOCH_LEN).map(|_| digit()).collect::<String>().into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Epoch {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let fits = EPOCH_LEN.contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if fits { Ok(Self(Arc::from(text))) } else { Err(BadCursor) }
    }
}

/// A position in one incarnation of a log, written `<epoch>-<offset>`.
///
/// It names the last record that was read; offset 0 stands before the first one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The incarnation.
    pub epoch: Epoch,
    /// The last record that was read.
    pub offset: u64,
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (epoch, offset) = text.split_once('-').ok_or(BadCursor)?;
        Ok(Self { epoch: epoch.parse()?, offset: parse_offset(offset)? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads an offset: decimal digits and nothing else.
///
/// # Errors
/// [`BadCursor`] for anything else, and for numbers beyond 64 bits.
pub fn parse_offset(text: &str) -> Result<u64, BadCursor> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| BadCursor)
    } else {
        Err(BadCursor)
    }
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: `<epoch>-<offset>` has 8 to 16 of a-z and 0-9, a dash, and a number")]
pub struct BadCursor;

macro_rules! text_traits {
    ($($ty:ident),+) => {$(
        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

text_traits!(LogName, Epoch);
