//! Body of the call that restarts a browser.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Fields, Mistakes};

/// Body of `POST /v1/sandboxes/{id}/restart-browser`; an empty one restarts the browser as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct RestartRequest {
    /// Command-line switches in place of those of its create; the template's stay, and those of a
    /// viewport, user agent, proxy or extensions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// Restart only this incarnation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle_id: Option<String>,
    /// Names this attempt: a repeat with the same word within ten minutes gets the first outcome,
    /// unless that was a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl RestartRequest {
    /// The fields that a body may have.
    pub const FIELDS: &[&str] = &["flags", "lifecycle_id", "request_id"];

    /// Reads a body.
    ///
    /// # Errors
    /// Every field that is unknown or of the wrong type.
    pub fn from_json(body: &[u8]) -> Result<Self, Mistakes> {
        let mut fields = Fields::parse(body, Self::FIELDS)?;
        let request = Self {
            flags: fields.texts("flags"),
            lifecycle_id: fields.text("lifecycle_id"),
            request_id: fields.request_id(),
        };
        fields.finish(request)
    }
}
