//! Pure: the catalogue, one plain struct per type of event.
//!
//! A struct's fields are the event's `data`, in the order in which they are written. Its comments
//! are the catalogue in `docs/events.md`, and its types are the JSON Schema: both are generated
//! from here. Adding a field or a type is fine at any time, renaming or re-typing one never is.

use serde::ser::{Serialize, Serializer};

use crate::value::Shape;
use crate::words::{Category, SourceKind};

mod agent;
mod browser;
mod cdp;
mod drain;
mod node;
mod posted;
mod sandbox;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use crate::commands::CdpCommand;
pub use agent::{
    ListenerConnected, ListenerDisconnected, ListenerRetry, ListenerStarted, ListenerStopped,
    RunEnded, RunEventLost, RunEventRejected, RunStarted, SessionDeleted, SessionFolded,
    SessionStopped,
};
pub use browser::{BrowserExited, BrowserRestarted, BrowserStarted};
pub use cdp::{CdpConnect, CdpDisconnect, CdpRefused};
pub use drain::{DrainFinished, DrainForced, DrainProgress, DrainStarted};
pub use node::{
    ApiCall, ConfigChanged, LogDegraded, LogRecovered, NodeStarted, NodeStatusChanged, NodeStopped,
    OomKill, SinkDegraded, SinkRecovered,
};
pub use posted::{METADATA_PAIRS, METADATA_TEXT, NoCategory, Posted, PostedSource};
pub use sandbox::{
    SandboxCheckpointFailed, SandboxCheckpointed, SandboxCreateRefused, SandboxCreated,
    SandboxPaused, SandboxReady, SandboxResumed, SandboxRunnerExited, SandboxRunnerReady,
    SandboxStateChanged, SandboxStopped, SandboxStopping, SandboxUpdated,
};

/// One type of event, as the catalogue has it.
#[derive(Debug, PartialEq, Eq)]
pub struct EventType {
    /// The word in `type`.
    pub name: &'static str,
    /// The category that it belongs to.
    pub category: Category,
    /// The part that reports it.
    pub source: SourceKind,
    /// What happened, line by line.
    pub doc: &'static [&'static str],
    /// The members of `data`, in their order.
    pub fields: &'static [FieldType],
}

/// One member of `data`.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldType {
    /// Its name.
    pub name: &'static str,
    /// What it looks like.
    pub shape: Shape,
    /// Whether an event may lack it.
    pub optional: bool,
    /// What it means, line by line.
    pub doc: &'static [&'static str],
}

/// Something that can be published: a struct of the catalogue, or any [`Event`].
pub trait Body: Into<Event> {
    /// Its category, known before anything else is done with it.
    fn category(&self) -> Category;
}

/// Defines events: a category, the word in `type`, and a struct with the members of `data`.
macro_rules! events {
    ($(
        $(#[doc = $doc:literal])+
        $source:ident $category:ident $wire:literal
        pub struct $name:ident {
            $($(#[doc = $field_doc:literal])+ pub $field:ident: $ty:ty,)*
        }
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        pub struct $name {
            $(
                $(#[doc = $field_doc])+
                #[serde(skip_serializing_if = "crate::value::Value::absent")]
                pub $field: $ty,
            )*
        }

        impl $name {
            /// The entry of this type in the catalogue.
            pub const TYPE: $crate::events::EventType = $crate::events::EventType {
                name: $wire,
                category: $crate::words::Category::$category,
                source: $crate::words::SourceKind::$source,
                doc: &[$($doc),+],
                fields: &[$($crate::events::FieldType {
                    name: stringify!($field),
                    shape: <$ty as $crate::value::Value>::SHAPE,
                    optional: <$ty as $crate::value::Value>::OPTIONAL,
                    doc: &[$($field_doc),+],
                }),*],
            };

            pub(super) fn heap(&self) -> usize {
                0 $(+ $crate::value::Value::heap(&self.$field))*
            }
        }

        impl $crate::events::Body for $name {
            fn category(&self) -> $crate::words::Category {
                $crate::words::Category::$category
            }
        }
    )+};
}

use events;

/// Gathers the structs into one enum.
macro_rules! catalogue {
    ($($name:ident),+ $(,)?) => {
        /// Any event.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event {
            $(
                #[doc = concat!("See [`", stringify!($name), "`].")]
                $name($name),
            )+
            /// An event that a client of the API sent.
            Posted(Box<Posted>),
        }

        /// Every type that the system itself reports, in its documented order.
        pub const CATALOGUE: &[EventType] = &[$($name::TYPE),+];

        impl Event {
            /// The word in `type`.
            #[must_use]
            pub fn type_name(&self) -> &str {
                match self {
                    $(Self::$name(_) => $name::TYPE.name,)+
                    Self::Posted(event) => event.type_name(),
                }
            }

            /// The category that it belongs to.
            #[must_use]
            pub fn category(&self) -> Category {
                match self {
                    $(Self::$name(_) => $name::TYPE.category,)+
                    Self::Posted(event) => event.category(),
                }
            }

            /// The part that reports it.
            #[must_use]
            pub fn source(&self) -> SourceKind {
                match self {
                    $(Self::$name(_) => $name::TYPE.source,)+
                    Self::Posted(event) => event.source_kind(),
                }
            }

            /// Bytes it takes in memory, roughly.
            pub(crate) fn weight(&self) -> usize {
                size_of::<Self>() + match self {
                    $(Self::$name(event) => event.heap(),)+
                    Self::Posted(event) => event.heap(),
                }
            }
        }

        /// Writes the members of `data`.
        impl Serialize for Event {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$name(event) => event.serialize(serializer),)+
                    Self::Posted(event) => event.data().serialize(serializer),
                }
            }
        }

        $(
            impl From<$name> for Event {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )+
    };
}

catalogue! {
    CdpConnect, CdpDisconnect, CdpRefused, CdpCommand,
    BrowserStarted, BrowserExited, BrowserRestarted,
    SandboxCreated, SandboxReady, SandboxCreateRefused, SandboxUpdated, SandboxStateChanged,
    SandboxPaused, SandboxResumed, SandboxCheckpointed, SandboxCheckpointFailed, SandboxStopping,
    SandboxStopped, SandboxRunnerReady, SandboxRunnerExited,
    DrainStarted, DrainProgress, DrainForced, DrainFinished,
    NodeStarted, NodeStatusChanged, NodeStopped,
    ListenerStarted, ListenerConnected, ListenerDisconnected, ListenerRetry, ListenerStopped,
    RunStarted, RunEnded, RunEventRejected, RunEventLost, SessionFolded, SessionStopped,
    SessionDeleted,
    LogDegraded, LogRecovered, SinkDegraded, SinkRecovered, OomKill, ConfigChanged, ApiCall,
}

impl From<Posted> for Event {
    fn from(event: Posted) -> Self {
        Self::Posted(Box::new(event))
    }
}

impl Body for Event {
    fn category(&self) -> Category {
        Self::category(self)
    }
}

/// The catalogue's entry for a word in `type`.
#[must_use]
pub fn find(name: &str) -> Option<&'static EventType> {
    CATALOGUE.iter().find(|known| known.name == name)
}
