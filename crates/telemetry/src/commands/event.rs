//! Pure: the event of a command.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Number;

use crate::events::{Body, EventType, FieldType};
use crate::value::{Id, Shape, Value as _};
use crate::words::{Category, SourceKind};

/// A client's command was forwarded to its browser. What is kept of its arguments depends on the
/// command; see the list of commands.
#[derive(Clone, Debug, PartialEq)]
pub struct CdpCommand {
    pub(crate) method: &'static str,
    pub(crate) connection_id: Id,
    pub(crate) generation: u64,
    pub(crate) session_id: Option<Id>,
    pub(crate) command_id: Option<Number>,
    pub(crate) message_bytes: u64,
    pub(crate) kept: Vec<(&'static str, Kept)>,
}

/// What is kept of an argument.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kept {
    Number(Number),
    Flag(bool),
    Count(u64),
    Word(&'static str),
    Words(Vec<&'static str>),
    Id(Id),
    Points(Vec<(Option<Number>, Option<Number>)>),
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => number.serialize(serializer),
            Self::Flag(flag) => flag.serialize(serializer),
            Self::Count(count) => count.serialize(serializer),
            Self::Word(word) => word.serialize(serializer),
            Self::Words(words) => words.serialize(serializer),
            Self::Id(id) => id.serialize(serializer),
            Self::Points(points) => serializer.collect_seq(points.iter().map(Point)),
        }
    }
}

struct Point<'a>(&'a (Option<Number>, Option<Number>));

impl Serialize for Point<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, coordinate) in [("x", &self.0.0), ("y", &self.0.1)] {
            if let Some(coordinate) = coordinate {
                map.serialize_entry(name, coordinate)?;
            }
        }
        map.end()
    }
}

impl Serialize for CdpCommand {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("method", self.method)?;
        map.serialize_entry("connection_id", &self.connection_id)?;
        map.serialize_entry("generation", &self.generation)?;
        if let Some(id) = &self.session_id {
            map.serialize_entry("session_id", id)?;
        }
        if let Some(id) = &self.command_id {
            map.serialize_entry("command_id", id)?;
        }
        map.serialize_entry("message_bytes", &self.message_bytes)?;
        for (name, kept) in &self.kept {
            map.serialize_entry(name, kept)?;
        }
        map.end()
    }
}

impl CdpCommand {
    /// The entry of this type in the catalogue: the members that every command has.
    pub const TYPE: EventType = EventType {
        name: "cdp_command",
        category: Category::Control,
        source: SourceKind::DevtoolsProxy,
        doc: &[
            " A client's command was forwarded to its browser. `ts` is when.",
            " What is kept of its arguments depends on the command.",
        ],
        fields: &[
            member("method", Shape::Text, false, &[" The command."]),
            member("connection_id", Shape::Text, false, &[" The session."]),
            member("generation", Shape::Unsigned, false, &[" The browser instance."]),
            member("session_id", Shape::Text, true, &[" The target's session in it, if sent."]),
            member("command_id", Shape::Number, true, &[" The command's own id, if sent."]),
            member("message_bytes", Shape::Unsigned, false, &[" Length of the whole message."]),
        ],
    };

    pub(crate) fn heap(&self) -> usize {
        let kept = self.kept.capacity() * size_of::<(&str, Kept)>();
        kept + self.session_id.heap() + self.connection_id.heap()
    }
}

const fn member(
    name: &'static str,
    shape: Shape,
    optional: bool,
    doc: &'static [&'static str],
) -> FieldType {
    FieldType { name, shape, optional, doc }
}

impl Body for CdpCommand {
    fn category(&self) -> Category {
        Category::Control
    }
}
