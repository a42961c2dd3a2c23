//! What follows when time, or the node's own, runs out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
