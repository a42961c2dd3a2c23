//! Pure: an event that a client of the API sent.

use serde_json::{Map, Value};

use crate::events::find;
use crate::value::{Id, Text};
use crate::words::{Category, SourceKind};

/// Most pairs in `source.metadata`.
pub const METADATA_PAIRS: usize = 16;
/// Longest key or value in `source.metadata`, in bytes.
pub const METADATA_TEXT: usize = 256;

/// An event that a client of the API sent. Its type may be one of the catalogue or its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    kind: Id,
    category: Category,
    source: PostedSource,
    data: Map<String, Value>,
}

/// Where a client says that its event comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct PostedSource {
    /// Any kind but `telemetry`.
    pub kind: SourceKind,
    /// A name that the client gives its trigger.
    pub event: Option<Text>,
    /// Pairs of texts; at most [`METADATA_PAIRS`] of [`METADATA_TEXT`] bytes are kept.
    pub metadata: Vec<(String, String)>,
}

impl Posted {
    /// An event of a type, in the category of that type.
    ///
    /// `category` is for types that the catalogue does not have; for the others the catalogue's
    /// wins. Members of `data` that are `null` are left out, at every depth.
    ///
    /// # Errors
    /// [`NoCategory`] for an unknown type without a category.
    pub fn new(
        kind: &str,
        category: Option<Category>,
        mut source: PostedSource,
        data: Map<String, Value>,
    ) -> Result<Self, NoCategory> {
        let category = find(kind).map(|known| known.category).or(category).ok_or(NoCategory)?;
        source.metadata.truncate(METADATA_PAIRS);
        for (key, value) in &mut source.metadata {
            key.truncate(key.floor_char_boundary(METADATA_TEXT));
            value.truncate(value.floor_char_boundary(METADATA_TEXT));
        }
        let mut data = Value::Object(data);
        drop_nulls(&mut data);
        let Value::Object(data) = data else { unreachable!("it was made as an object") };
        Ok(Self { kind: kind.into(), category, source, data })
    }

    /// The word in `type`.
    #[must_use]
    pub fn type_name(&self) -> &str {
        self.kind.as_str()
    }

    /// The category that it belongs to.
    #[must_use]
    pub fn category(&self) -> Category {
        self.category
    }

    /// The members of `data`.
    #[must_use]
    pub fn data(&self) -> &Map<String, Value> {
        &self.data
    }

    /// Where it says that it comes from.
    #[must_use]
    pub fn source(&self) -> &PostedSource {
        &self.source
    }

    pub(super) fn source_kind(&self) -> SourceKind {
        self.source.kind
    }

    pub(super) fn heap(&self) -> usize {
        let pairs: usize = self.source.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
        size_of::<Self>() + self.kind.as_str().len() + pairs + map_weight(&self.data)
    }
}

/// A posted event has a type that nobody knows, and no category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`type` is none of the catalogue: say its `category`")]
pub struct NoCategory;

impl super::Body for Posted {
    fn category(&self) -> Category {
        self.category
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(members) => map_weight(members),
        }
}

fn map_weight(members: &Map<String, Value>) -> usize {
    members.iter().map(|(name, member)| name.len() + weight(member)).sum()
}
