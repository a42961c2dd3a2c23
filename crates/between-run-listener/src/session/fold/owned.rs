//! Pure: whose activities a snapshot of messages is the whole list of.

use serde_json::Value;

use crate::session::event::Event;

/// Whose activities a snapshot is the whole list of.
pub(super) enum Owned {
    All,
    These(Vec<String>),
    /// It does not say, so it is the whole list if it has any.
    Unsaid,
}

/// The client's own convention in the metadata of a snapshot.
pub(super) fn owned_activities(event: &Event) -> Owned {
    let Some(said) = event.field("metadata").and_then(|metadata| metadata.get("@ag-ui/client"))
    else {
        return Owned::Unsaid;
    };
    let Some(said) = said.as_object() else { return Owned::These(Vec::new()) };
    match said.get("authoritativeActivityTypes") {
        None => Owned::Unsaid,
        Some(Value::Null) => Owned::All,
        Some(types) => {
            let types = types.as_array().map(Vec::as_slice).unwrap_or_default();
            let names = types.iter().map(|name| name.as_str().map(str::to_owned));
            Owned::These(names.collect::<Option<_>>().unwrap_or_default())
        }
    }
}
