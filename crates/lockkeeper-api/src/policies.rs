//! What follows when time, or the node's own, runs out; and bodies of pause and resume.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Fields, Mistakes};

/// What follows when the time to live or the idle time of a sandbox is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpirePolicy {
    /// The sandbox ends.
    #[default]
    Stop,
    /// It is parked: its profile is kept, and a resume or a client brings it back.
    Pause,
}

impl ExpirePolicy {
    /// The words of a body.
    pub const WORDS: &[(&str, Self)] = &[("stop", Self::Stop), ("pause", Self::Pause)];
}

/// What follows when the node that holds a sandbox shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainPolicy {
    /// The shutdown waits for the end of the sandbox.
    #[default]
    Wait,
    /// The sandbox is parked, and is there again when the node is.
    Pause,
}

impl DrainPolicy {
    /// The words of a body.
    pub const WORDS: &[(&str, Self)] = &[("wait", Self::Wait), ("pause", Self::Pause)];
}

/// Body of `POST /v1/sandboxes/{id}/pause`, `/resume` and `/checkpoint`; it may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct OperationRequest {
    /// Only this incarnation; if the sandbox has a newer one it is left as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle_id: Option<String>,
    /// Names this attempt: a repeat with the same word within ten minutes gets the first outcome,
    /// unless that was a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl OperationRequest {
    /// The fields that a body may have.
    pub const FIELDS: &[&str] = &["lifecycle_id", "request_id"];

    /// Reads a body; an empty one is of whatever incarnation there is.
    ///
    /// # Errors
    /// Every field that is unknown or of the wrong type.
    pub fn from_json(body: &[u8]) -> Result<Self, Mistakes> {
        let mut fields = Fields::parse(body, Self::FIELDS)?;
        let request =
            Self { lifecycle_id: fields.text("lifecycle_id"), request_id: fields.request_id() };
        fields.finish(request)
    }
}
