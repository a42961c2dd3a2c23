//! What is shown of a sandbox beyond its record, where somebody asks for all of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `view=full` shows besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SandboxDetails {
    /// What it uses now; absent if nothing of it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageView>,
    /// Its browsers that have ended, the newest last, at most sixteen.
    #[serde(default)]
    pub ended_browsers: Vec<EndedBrowserView>,
    /// The end of its browsers' log, at most 4 KiB; absent if nothing of it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
    /// The end of its runner's log, at most 4 KiB; absent if none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_log_tail: Option<String>,
}

/// What the processes of a sandbox use, its runner's too. What cannot be read is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct UsageView {
    /// Proportional share of memory: pages that several processes share count once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Processor time of those that live, and of their children that have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// The profile on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_bytes: Option<u64>,
}

/// A browser that has ended.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EndedBrowserView {
    /// Its number.
    pub generation: u64,
    /// How it ended, such as `exited: code 0` or `killed: signal 9`.
    pub cause: String,
    /// Whether the node ordered it.
    pub expected: bool,
    /// From its start to its end.
    pub uptime_ms: u64,
}
