//! Pure: times as people write them, `90s` or `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time that reads and prints as text with units: `500ms`, `90s`, `15m`, `24h`, `7d`.
///
/// Units may be combined from large to small (`1h30m`); `0` needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeSpan(Duration);

/// The units, largest first, in milliseconds; `min` is read as `m`.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A hundred years: beyond it a deadline no longer fits the arithmetic of clocks.
const LONGEST_MS: u64 = 36_500 * 86_400_000;

impl TimeSpan {
    /// The longest that can be written.
    pub const LONGEST: Duration = Duration::from_millis(LONGEST_MS);

    /// Wraps a duration; what is below a millisecond does not survive printing.
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The length.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<Duration> for TimeSpan {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeSpanError {
    /// Nothing was written.
    #[error("is empty, write a time such as `90s` or `15m`")]
    Empty,
    /// A number without a unit.
    #[error("`{0}` has no unit, write for example `{0}s`")]
    NoUnit(String),
    /// Neither number nor known unit.
    #[error("`{0}` is not a time, write a whole number and one of ms, s, m, h, d, such as `15m`")]
    Malformed(String),
    /// A unit twice, or a small one before a large one.
    #[error("`{0}` repeats or reorders its units, write the largest first, such as `1h30m`")]
    Order(String),
    /// More than a hundred years.
    #[error("`{0}` is longer than a hundred years")]
    TooLong(String),
}

impl FromStr for TimeSpan {
    type Err = TimeSpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole = text.trim();
        if whole.is_empty() {
            return Err(TimeSpanError::Empty);
        }
        let shown = || whole.chars().take(40).collect::<String>();
        let mut rest = whole;
        let mut total = 0_u64;
        let mut next_unit = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            if number.is_empty() {
                return Err(TimeSpanError::Malformed(shown()));
            }
            let number: u64 = number.parse().map_err(|_| TimeSpanError::TooLong(shown()))?;
            if unit.is_empty() {
                return match (tail.is_empty(), number, rest.len() == whole.len()) {
                    (true, 0, true) => Ok(Self(Duration::ZERO)),
                    (true, ..) => Err(TimeSpanError::NoUnit(shown())),
                    (false, ..) => Err(TimeSpanError::Malformed(shown())),
                };
            }
            let Some(index) =
                UNITS.iter().position(|(name, _)| *name == unit || (unit, *name) == ("min", "m"))
            else {
                return Err(TimeSpanError::Malformed(shown()));
            };
            if index < next_unit {
                return Err(TimeSpanError::Order(shown()));
            }
            next_unit = index + 1;
            total = number
                .checked_mul(UNITS[index].1)
                .and_then(|part| total.checked_add(part))
                .filter(|sum| *sum <= LONGEST_MS)
                .ok_or_else(|| TimeSpanError::TooLong(shown()))?;
            rest = tail;
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        for (name, size) in UNITS {
            let count = left / size;
            if count > 0 {
                write!(f, "{count}{name}")?;
                left %= size;
            }
        }
        Ok(())
    }
}

impl JsonSchema for TimeSpan {
    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time with units, the largest first; `0` needs none.",
            "pattern": "^(0|([0-9]+d)?([0-9]+h)?([0-9]+(m|min))?([0-9]+s)?([0-9]+ms)?)$",
            "examples": ["90s", "15m", "1h30m"],
        })
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
