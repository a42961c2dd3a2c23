//! Events of `GET /v1/sandboxes/events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SandboxView;

/// What somebody who watches the sandboxes is told. The first events are the picture: one `present`
/// for each sandbox that has not ended, then `synced`; after that every change in order.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SandboxEvent {
    /// One sandbox of the picture. What was known before the first of them is out of date.
    Present {
        /// The sandbox.
        sandbox: Box<SandboxView>,
    },
    /// The picture is complete.
    Synced {
        /// The node.
        node_id: String,
        /// How many sandboxes it has.
        sandboxes: u64,
    },
    /// A sandbox is new, has taken a step, or was changed; `stopped` is its last.
    Changed {
        /// The sandbox after it.
        sandbox: Box<SandboxView>,
    },
    /// Changes are missing; a new picture follows.
    Gap {
        /// The node.
        node_id: String,
        /// `overtaken`: the reader was too slow or away for too long; `restarted`: the cursor is of
        /// another life of the daemon.
        cause: String,
    },
}

impl SandboxEvent {
    /// The name of the server-sent event, and the word in `type`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Present { .. } => "present",
            Self::Synced { .. } => "synced",
            Self::Changed { .. } => "changed",
            Self::Gap { .. } => "gap",
        }
    }
}
