//! Bodies of the calls about snapshots.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SandboxView;

/// A snapshot: what new sandboxes can be made from, on any node with the same store.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SnapshotView {
    /// Give this as `snapshot_id` to a create.
    pub id: String,
    /// The sandbox that was saved.
    pub sandbox_id: String,
    /// Its execution.
    pub execution_id: String,
    /// Its incarnation until then.
    pub lifecycle_id: String,
    /// Its template; that of a sandbox made from it too, unless the create names another.
    pub template: String,
    /// Its browser family; a sandbox made from it has the same.
    pub flavour: String,
    /// The browser that wrote it; an older one cannot read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// The labels that the sandbox had.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it was durable.
    pub created_at_ms: u64,
    /// When it is removed for its age; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// Bytes in the store.
    pub bytes: u64,
    /// Bytes of the profile before it was compressed.
    pub unpacked_bytes: u64,
    /// SHA-256 of what is in the store, in hexadecimal digits.
    pub sha256: String,
    /// The node that made it.
    pub made_by: String,
    /// The node that answers.
    pub node_id: String,
}

/// Answer of `GET /v1/snapshots`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SnapshotList {
    /// Oldest first.
    pub snapshots: Vec<SnapshotView>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The node.
    pub node_id: String,
}

/// Answer of `POST /v1/sandboxes/{id}/checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CheckpointView {
    /// What was saved.
    pub snapshot: SnapshotView,
    /// The sandbox, which runs again as another incarnation.
    pub sandbox: SandboxView,
}
