//! Pure: names of snapshots. They sort by the time at which they were made.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ids::random_word;

/// Names a snapshot: `s`, the time it was made at in ten digits of base 32, and 130 random bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotId(Arc<str>);

/// The text cannot be the name of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no id of a snapshot, which has 37 lower-case letters and digits and begins with `s`")]
pub struct SnapshotIdError;

/// The digits of a time, in the order of their characters: ids sort as times do.
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Digits of the time: 50 bits of milliseconds reach beyond the year 30000.
const TIME: usize = 10;

/// Characters of a whole id.
const LENGTH: usize = 1 + TIME + 26;

impl SnapshotId {
    /// A name that nobody can guess.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    pub fn random(now: SystemTime) -> Self {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let time = (0..TIME).rev().map(|digit| ms >> (5 * digit) & 31);
        let time: String = time.map(|digit| char::from(DIGITS[digit as usize])).collect();
        Self(format!("s{time}{}", random_word("")).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was made, to the millisecond.
    pub fn made(&self) -> SystemTime {
        let digits = self.0.bytes().skip(1).take(TIME);
        let value = |byte: u8| DIGITS.iter().position(|digit| *digit == byte).unwrap_or(0) as u64;
        let ms = digits.fold(0_u64, |ms, byte| ms << 5 | value(byte));
        UNIX_EPOCH + Duration::from_millis(ms)
    }
}

impl FromStr for SnapshotId {
    type Err = SnapshotIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let time = text.bytes().skip(1).take(TIME).all(|byte| DIGITS.contains(&byte));
        match text.len() == LENGTH && text.starts_with('s') && text.bytes().all(plain) && time {
            true => Ok(Self(text.into())),
            false => Err(SnapshotIdError),
        }
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
