//! Pure: every word that an event, a metric label or the telemetry API may say.
//!
//! Each enum is one closed list. [`as_str`](Reason::as_str) is the word on the wire and in metric
//! labels, `ALL` is the list in its documented order, [`FromStr`](std::str::FromStr) reads it back.

use crate::value::{Shape, Value};

mod cdp;
mod health;
mod sandbox;

#[cfg(test)]
mod tests;

pub use cdp::{
    Addressing, ContextDetail, Detail, EndedBy, EndpointKind, Exit, ExitKind, FirstClose, QuietEnd,
    Reason, RequestedBy, UpstreamSource,
};
pub use health::{
    Category, DrainOutcome, DrainTrigger, ForceCause, GapWord, ListenerStop, LossCause, NodeStatus,
    OomScope, RunOrigin, RunOutcome, SourceKind,
};
pub use sandbox::{CreateRefused, SandboxState, StopReason};

/// A text is none of the words of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not one of: {}", known.join(", "))]
pub struct UnknownWord {
    /// What was read, cut to 64 bytes.
    pub word: String,
    /// The words that exist.
    pub known: &'static [&'static str],
}

/// Defines a closed list of words.
macro_rules! words {
    ($(
        $(#[doc = $doc:literal])+
        pub enum $name:ident {
            $($(#[doc = $variant_doc:literal])+ $variant:ident = $word:literal,)+
        }
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl $name {
            /// Every variant, in its documented order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Every word, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word on the wire and in metric labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or_else(|| {
                    $crate::words::UnknownWord {
                        word: $crate::value::clip_to(word, 64).to_owned(),
                        known: Self::WORDS,
                    }
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }

        impl prometheus_client::encoding::EncodeLabelValue for $name {
            fn encode(
                &self,
                encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
            ) -> Result<(), std::fmt::Error> {
                std::fmt::Write::write_str(encoder, self.as_str())
            }
        }

        impl $crate::value::Value for $name {
            const SHAPE: $crate::value::Shape = $crate::value::Shape::Word(Self::WORDS);
        }
    )+};
}

use words;

impl Value for Exit {
    const SHAPE: Shape = Shape::Exit(ExitKind::WORDS);
}
