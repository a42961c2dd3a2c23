//! Bodies of the calls under `/v1/node`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Fields, Mistakes, SandboxState, TimeSpan};

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// Takes new work.
    Healthy,
    /// Takes no new work and serves what it has.
    Draining,
    /// Warm, waits to be promoted.
    Standby,
    /// A check of the node by itself failed, or an operator said so.
    Unhealthy,
}

impl NodeStatus {
    /// The words on the wire.
    pub const WORDS: &[(&str, Self)] = &[
        ("healthy", Self::Healthy),
        ("draining", Self::Draining),
        ("standby", Self::Standby),
        ("unhealthy", Self::Unhealthy),
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Draining => "draining",
            Self::Standby => "standby",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// Body of `PUT /v1/node/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
pub struct StatusRequest {
    /// The status to take.
    pub status: NodeStatus,
}

impl StatusRequest {
    /// The fields that a body may have.
    pub const FIELDS: &[&str] = &["status"];
    /// What is said where there is none.
    pub const MISSING: &str = "is missing, write for example {\"status\": \"healthy\"}";

    /// Reads a body.
    ///
    /// # Errors
    /// Every field that is unknown, missing or malformed.
    pub fn from_json(body: &[u8]) -> Result<Self, Mistakes> {
        let mut fields = Fields::parse(body, Self::FIELDS)?;
        let status = fields.word("status", NodeStatus::WORDS);
        let wanted = Mistakes::one("status", Self::MISSING);
        fields.finish(())?;
        status.map(|status| Self { status }).ok_or(wanted)
    }
}

/// Body of `POST /v1/node/drain`: the node takes no new work until its status is set again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct DrainRequest {
    /// How long new work is still taken while the status already says `draining`, so that load
    /// balancers see it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announce: Option<TimeSpan>,
    /// What still lives this long after the drain began is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<TimeSpan>,
    /// Stop what lives at once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl DrainRequest {
    /// The fields that a body may have.
    pub const FIELDS: &[&str] = &["announce", "deadline", "force"];

    /// Reads a body.
    ///
    /// # Errors
    /// Every field that is unknown or malformed.
    pub fn from_json(body: &[u8]) -> Result<Self, Mistakes> {
        let mut fields = Fields::parse(body, Self::FIELDS)?;
        let request = Self {
            announce: fields.span("announce"),
            deadline: fields.span("deadline"),
            force: fields.flag("force").unwrap_or(false),
        };
        if let Some(problem) = request.announce_mistake() {
            fields.mistake("announce", problem);
        }
        fields.finish(request)
    }

    /// What is wrong with `announce` beside the other fields, if anything.
    pub fn announce_mistake(&self) -> Option<&'static str> {
        let announced = self.announce.is_some_and(|time| !time.duration().is_zero());
        (self.force && announced).then_some("does not go with `force`, leave one of them out")
    }
}

/// How many sandboxes fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Capacity {
    /// The limit.
    pub max: u64,
    /// Taken now: starting and stopping ones too, until their processes are dead.
    pub used: u64,
}

/// How many starts run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Slots {
    /// The limit.
    pub max: u64,
    /// Taken now.
    pub used: u64,
    /// Creates that wait for one.
    pub queued: u64,
}

/// How many browsers of a template wait for a create.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PoolStock {
    /// How many it is to keep.
    pub size: u64,
    /// Those that can be handed out.
    pub idle: u64,
    /// Those that are being started.
    pub starting: u64,
}

/// How sandboxes are kept apart.
pub type Isolation = String;

/// Answer of `GET /v1/node`, and of the calls that change the status.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct NodeInfo {
    /// The node.
    pub node_id: String,
    /// Version of the daemon.
    pub version: String,
    /// What it says of itself.
    pub status: NodeStatus,
    /// Whether a create would be admitted, capacity aside.
    pub accepting: bool,
    /// When the status changed last, in Unix milliseconds.
    pub changed_at_ms: u64,
    /// Phase of the shutdown, `serving` before it.
    pub phase: String,
    /// The shutdown's deadline has been set to this Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_deadline_ms: Option<u64>,
    /// How many sandboxes fit.
    pub capacity: Capacity,
    /// How many starts run at once.
    pub slots: Slots,
    /// Browsers that wait for a create, by template; templates that keep none are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pool: BTreeMap<String, PoolStock>,
    /// Sandboxes by state; states without any are left out.
    pub sandboxes: BTreeMap<SandboxState, u64>,
    /// Open DevTools sessions.
    pub sessions: u64,
    /// How sandboxes are kept apart: `per-sandbox-user`, `shared-user` or a driver's own word.
    pub isolation: Isolation,
    /// Browser families that can be asked for.
    pub flavours: Vec<String>,
    /// Templates that can be asked for.
    pub templates: Vec<String>,
    /// Time to live of a sandbox that asks for none, in milliseconds.
    pub default_ttl_ms: u64,
    /// The longest time to live, in milliseconds; 0 = no limit.
    pub max_ttl_ms: u64,
}

/// How a drain stands: one event of `GET /v1/node/drain/events`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DrainReport {
    /// The node.
    pub node_id: String,
    /// What it says of itself.
    pub status: NodeStatus,
    /// Whether a create would be admitted, capacity aside.
    pub accepting: bool,
    /// Phase of the shutdown or drain, `serving` before it.
    pub phase: String,
    /// Sandboxes by state; states without any are left out.
    pub sandboxes: BTreeMap<SandboxState, u64>,
    /// Incarnations whose cleanup has not ended: a drain ends when there is none.
    pub lifecycles: u64,
    /// Open DevTools sessions.
    pub sessions: u64,
    /// Profiles that are being kept: those of sandboxes that are being parked or saved.
    #[serde(default)]
    pub saves: u64,
    /// How many sandboxes the drain waits for.
    pub blocking: u64,
    /// The first of them, the oldest first.
    pub blockers: Vec<DrainView>,
    /// What still lives at this Unix time in milliseconds is stopped; absent if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// How long that is from now, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_left_ms: Option<u64>,
}

/// One sandbox that a drain waits for.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DrainView {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: SandboxState,
    /// Since it was admitted, in milliseconds.
    pub age_ms: u64,
    /// Open DevTools sessions.
    pub sessions: u64,
    /// Until its time to live ends it, in milliseconds; absent if nothing will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_must_be_named_and_known() {
        assert_eq!(
            StatusRequest::from_json(br#"{"status": "draining"}"#),
            Ok(StatusRequest { status: NodeStatus::Draining })
        );
        let missing = StatusRequest::from_json(b"{}").unwrap_err().to_string();
        assert!(missing.starts_with("status: is missing"), "{missing}");
        let wrong = StatusRequest::from_json(br#"{"status": "fine"}"#).unwrap_err().to_string();
        assert_eq!(wrong, "status: `fine` is not one of healthy, draining, standby, unhealthy");
    }

    #[test]
    fn force_and_announce_exclude_each_other() {
        assert_eq!(DrainRequest::from_json(b""), Ok(DrainRequest::default()));
        let both = DrainRequest::from_json(br#"{"force": true, "announce": "5s"}"#);
        assert!(both.unwrap_err().to_string().starts_with("announce: does not go with"));
    }
}
