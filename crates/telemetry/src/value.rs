//! Pure: the types that a field of an event may have, and what the generated pages say of them.
//!
//! A field is one of these types and nothing else, so three rules hold for every event without a
//! check at run time: absent fields are left out, text is short, durations have one unit.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::ser::{Serialize, Serializer};

#[cfg(test)]
mod tests;

/// Longest id or free text in an event, in bytes; longer ones are cut at a character boundary.
pub const TEXT_MAX: usize = 128;

/// What a field looks like in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Bool,
    /// A whole number of at least 0.
    Unsigned,
    /// A whole number.
    Signed,
    /// A finite number.
    Number,
    /// Milliseconds, with microseconds behind the point.
    Millis,
    /// Text of at most [`TEXT_MAX`] bytes.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// `{kind, code?, signal?}`, with these kinds.
    Exit(&'static [&'static str]),
}

/// A type that a field of an event may have.
pub trait Value: Serialize {
    /// What it looks like.
    const SHAPE: Shape;
    /// Whether an event may lack it.
    const OPTIONAL: bool = false;

    /// Whether this one is left out.
    fn absent(&self) -> bool {
        false
    }

    /// Bytes it holds outside the event's own memory, roughly.
    fn heap(&self) -> usize {
        0
    }
}

macro_rules! plain_values {
    ($($ty:ty => $shape:ident),+) => {
        $(impl Value for $ty {
            const SHAPE: Shape = Shape::$shape;
        })+
    };
}

plain_values!(bool => Bool, u16 => Unsigned, u32 => Unsigned, u64 => Unsigned, i32 => Signed,
    i64 => Signed);

impl<T: Value> Value for Option<T> {
    const SHAPE: Shape = T::SHAPE;
    const OPTIONAL: bool = true;

    fn absent(&self) -> bool {
        self.is_none()
    }

    fn heap(&self) -> usize {
        self.as_ref().map_or(0, Value::heap)
    }
}

impl Value for Vec<Text> {
    const SHAPE: Shape = Shape::Texts;

    fn heap(&self) -> usize {
        self.iter().map(|text| size_of::<Text>() + text.heap()).sum()
    }
}

/// A duration that is written as milliseconds with microsecond precision: `1.5`, `0.001`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub Duration);

impl Millis {
    /// The number that is written.
    ///
    /// Exact to the microsecond for durations of up to 285 years.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
    pub fn as_f64(self) -> f64 {
        self.0.as_micros() as f64 / 1000.0
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl Value for Millis {
    const SHAPE: Shape = Shape::Millis;
}

/// An id, at most [`TEXT_MAX`] bytes long. Cloning it copies no bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Arc<str>);

impl Id {
    /// The id, as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Id {
    fn from(id: &str) -> Self {
        Self(Arc::from(clip(id)))
    }
}

impl From<String> for Id {
    fn from(id: String) -> Self {
        Self::from(id.as_str())
    }
}

impl From<&String> for Id {
    fn from(id: &String) -> Self {
        Self::from(id.as_str())
    }
}

impl From<Arc<str>> for Id {
    fn from(id: Arc<str>) -> Self {
        if id.len() <= TEXT_MAX { Self(id) } else { Self::from(&*id) }
    }
}

impl From<&Arc<str>> for Id {
    fn from(id: &Arc<str>) -> Self {
        Self::from(Arc::clone(id))
    }
}

impl Value for Id {
    const SHAPE: Shape = Shape::Text;

    fn heap(&self) -> usize {
        self.0.len()
    }
}

/// Free text, at most [`TEXT_MAX`] bytes long. A text known at compile time costs no memory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Cow<'static, str>);

impl Text {
    /// A copy of a text.
    #[must_use]
    pub fn copy(text: &str) -> Self {
        Self(Cow::Owned(clip(text).to_owned()))
    }

    /// The text, as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(clip(text)))
    }
}

impl From<String> for Text {
    fn from(mut text: String) -> Self {
        text.truncate(clip(&text).len());
        Self(Cow::Owned(text))
    }
}

impl Value for Text {
    const SHAPE: Shape = Shape::Text;

    fn heap(&self) -> usize {
        match &self.0 {
            Cow::Borrowed(_) => 0,
            Cow::Owned(text) => text.capacity(),
        }
    }
}

macro_rules! text_traits {
    ($($ty:ident),+) => {
        $(
            impl fmt::Display for $ty {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(self.as_str())
                }
            }

            impl fmt::Debug for $ty {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Debug::fmt(self.as_str(), f)
                }
            }

            impl AsRef<str> for $ty {
                fn as_ref(&self) -> &str {
                    self.as_str()
                }
            }

            impl Serialize for $ty {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }
        )+
    };
}

text_traits!(Id, Text);

/// The start of a text that fits [`TEXT_MAX`], cut at a character boundary.
pub(crate) fn clip(text: &str) -> &str {
    clip_to(text, TEXT_MAX)
}

/// The start of a text that fits `limit` bytes, cut at a character boundary.
pub(crate) fn clip_to(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
