//! Bodies of the calls under `/v1/sandboxes`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod details;
mod state;

pub use self::details::{EndedBrowserView, SandboxDetails, UsageView};
pub use self::state::SandboxState;
use crate::{DrainPolicy, ExpirePolicy, Fields, Mistakes, TimeSpan};

/// What follows when a browser ends that nobody told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitPolicy {
    /// It is started again with the same profile; the sandbox and its URL stay.
    Relaunch,
    /// The sandbox ends.
    Stop,
}

const EXIT_POLICIES: &[(&str, ExitPolicy)] =
    &[("relaunch", ExitPolicy::Relaunch), ("stop", ExitPolicy::Stop)];

/// Body of `POST /v1/sandboxes`. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct CreateRequest {
    /// The sandbox id: a DNS label of at most 35 characters without `--`; made by the node if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Names this attempt: a repeat with the same word gets the first outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Which of the node's templates; `default` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// A snapshot to begin with: its template and browser family, unless the request names others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// Browser family, such as `chromium` or `headless-shell`; the template's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavour: Option<String>,
    /// Further command-line switches, each starting with `--`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// What a page sees of a window, such as `1280x720`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewport: Option<String>,
    /// What the browser says it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Through whom it reaches the network, such as `http://127.0.0.1:3128`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Folders of unpacked extensions on the node, in place of the template's; `chromium` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Vec<String>>,
    /// Further environment variables of the browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
    /// How long the sandbox lives, counted from the moment it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeSpan>,
    /// How long it may be unused before it ends; `0s` = for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<TimeSpan>,
    /// How long to wait for a start slot; `0s` = not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<TimeSpan>,
    /// Free text pairs for finding it again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What follows a crash; `relaunch` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_crash: Option<ExitPolicy>,
    /// What follows when its own client closed the browser; `stop` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_close: Option<ExitPolicy>,
    /// What follows when its time to live or idle time is over; `stop` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_expire: Option<ExpirePolicy>,
    /// What follows when the node shuts down; `wait` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_drain: Option<DrainPolicy>,
    /// Whether a client that connects brings it back when it is parked; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_resume: Option<bool>,
}

impl CreateRequest {
    /// The fields that a body may have.
    pub const FIELDS: &[&str] = &[
        "id",
        "request_id",
        "template",
        "snapshot_id",
        "flavour",
        "flags",
        "viewport",
        "user_agent",
        "proxy",
        "extensions",
        "env",
        "ttl",
        "idle",
        "queue_timeout",
        "labels",
        "on_crash",
        "on_close",
        "on_expire",
        "on_drain",
        "auto_resume",
    ];

    /// Reads a body; an empty one asks for all defaults.
    ///
    /// # Errors
    /// Every field that is unknown, of the wrong type or malformed.
    pub fn from_json(body: &[u8]) -> Result<Self, Mistakes> {
        let mut fields = Fields::parse(body, Self::FIELDS)?;
        let request = Self {
            id: fields.text("id"),
            request_id: fields.request_id(),
            template: fields.text("template"),
            snapshot_id: fields.text("snapshot_id"),
            flavour: fields.text("flavour"),
            flags: fields.texts("flags"),
            viewport: fields.text("viewport"),
            user_agent: fields.text("user_agent"),
            proxy: fields.text("proxy"),
            extensions: fields.texts("extensions"),
            env: fields.text_map("env"),
            ttl: fields.span("ttl"),
            idle: fields.span("idle"),
            queue_timeout: fields.span("queue_timeout"),
            labels: fields.text_map("labels").unwrap_or_default(),
            on_crash: fields.word("on_crash", EXIT_POLICIES),
            on_close: fields.word("on_close", EXIT_POLICIES),
            on_expire: fields.word("on_expire", ExpirePolicy::WORDS),
            on_drain: fields.word("on_drain", DrainPolicy::WORDS),
            auto_resume: fields.flag("auto_resume"),
        };
        for problem in label_mistakes(&request.labels) {
            fields.mistake("labels", problem);
        }
        fields.finish(request)
    }
}

/// At most this many labels on one sandbox.
const MAX_LABELS: usize = 64;

/// What is wrong with the labels of one request, if anything.
pub fn label_mistakes(labels: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems: Vec<String> =
        labels.iter().filter_map(|(key, value)| label_mistake(key, value)).collect();
    if labels.len() > MAX_LABELS {
        problems.push(format!("has {} labels, the limit is {MAX_LABELS}", labels.len()));
    }
    problems
}

/// What is wrong with a label, if anything: keys have 1 to 63 of `[A-Za-z0-9._/-]`, values up to
/// 256 bytes without control characters.
pub fn label_mistake(key: &str, value: &str) -> Option<String> {
    let key_char = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    if key.is_empty() || key.len() > 63 || !key.chars().all(key_char) {
        let shown: String = key.chars().take(63).collect();
        return Some(format!("the key `{shown}` must have 1 to 63 letters, digits or . _ / -"));
    }
    if value.len() > 256 || value.chars().any(char::is_control) {
        return Some(format!("the value of `{key}` must have at most 256 printable bytes"));
    }
    None
}

/// Body of `PATCH /v1/sandboxes/{id}`. Either everything is applied or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct UpdateRequest {
    /// Counted from now, capped at the node's longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeSpan>,
    /// Refuse to bring the end forward.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_later: bool,
    /// How long it may be unused before it ends; `0s` = for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<TimeSpan>,
    /// Labels to set; `null` removes one; those not named stay.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Option<String>>,
    /// What follows when its time to live or idle time is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_expire: Option<ExpirePolicy>,
    /// What follows when the node shuts down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_drain: Option<DrainPolicy>,
    /// Whether a client that connects brings it back when it is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_resume: Option<bool>,
}

impl UpdateRequest {
    /// The fields that a body may have.
    pub const FIELDS: &[&str] =
        &["ttl", "only_later", "idle", "labels", "on_expire", "on_drain", "auto_resume"];

    /// Reads a body.
    ///
    /// # Errors
    /// Every field that is unknown, of the wrong type or malformed.
    pub fn from_json(body: &[u8]) -> Result<Self, Mistakes> {
        let mut fields = Fields::parse(body, Self::FIELDS)?;
        let request = Self {
            ttl: fields.span("ttl"),
            only_later: fields.flag("only_later").unwrap_or(false),
            idle: fields.span("idle"),
            labels: fields.optional_text_map("labels").unwrap_or_default(),
            on_expire: fields.word("on_expire", ExpirePolicy::WORDS),
            on_drain: fields.word("on_drain", DrainPolicy::WORDS),
            auto_resume: fields.flag("auto_resume"),
        };
        let set = request.labels.iter().map(|(k, v)| (k.clone(), v.clone().unwrap_or_default()));
        for problem in label_mistakes(&set.collect()) {
            fields.mistake("labels", problem);
        }
        fields.finish(request)
    }
}

/// How long `DELETE /v1/sandboxes/{id}?wait=` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeleteWait {
    /// Until the stop has begun.
    Accepted,
    /// Until no process of it is alive, though a directory may still be in the way.
    #[default]
    Stopped,
    /// Until nothing of it is left.
    Cleaned,
}

impl DeleteWait {
    /// The words of the query.
    pub const WORDS: &[(&str, Self)] =
        &[("accepted", Self::Accepted), ("stopped", Self::Stopped), ("cleaned", Self::Cleaned)];
}

/// The browser of a running sandbox.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct BrowserView {
    /// Counts the browsers of this sandbox, from 1.
    pub generation: u64,
    /// `ready`, `starting`, `down` or `gone`.
    pub phase: String,
    /// `Browser.getVersion`'s product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Browsers of this sandbox that ended without being told to.
    #[serde(default)]
    pub crashes: u64,
}

/// How long each part of the start took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PhaseTimes {
    /// In the queue for a start slot.
    pub queue_ms: u64,
    /// From the slot to ready; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<u64>,
}

/// A sandbox as answers show it. Moments are Unix milliseconds, lengths are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SandboxView {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: SandboxState,
    /// The node that holds it.
    pub node_id: String,
    /// The DevTools address for clients that take `http://` (Playwright's `connectOverCDP`).
    pub cdp_url: String,
    /// The DevTools address for clients that take `ws://` (Puppeteer's `browserWSEndpoint`).
    pub ws_url: String,
    /// The DevTools address at a port of its own, for clients that drop the path (Puppeteer's
    /// `browserURL`); absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_url: Option<String>,
    /// The template it was made from.
    pub template: String,
    /// Its browser family.
    pub flavour: String,
    /// This incarnation.
    pub lifecycle_id: String,
    /// Stays the same over pause and checkpoint.
    pub execution_id: String,
    /// Its browser; absent before the first one is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<BrowserView>,
    /// Open DevTools sessions.
    pub sessions: u64,
    /// Whether it was handed out from the warm pool.
    pub warm: bool,
    /// When it was admitted.
    pub created_at_ms: u64,
    /// When it became ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at_ms: Option<u64>,
    /// When its time to live ends; absent before it is ready, or if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// Its time to live; 0 = no limit.
    pub ttl_ms: u64,
    /// How long it may be unused; 0 = no limit.
    pub idle_ms: u64,
    /// How long its start took.
    pub times: PhaseTimes,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it was parked; absent if it is not. `expires_at_ms` then says until when it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at_ms: Option<u64>,
    /// What follows when its time is over.
    #[serde(default)]
    pub on_expire: ExpirePolicy,
    /// What follows when the node shuts down.
    #[serde(default)]
    pub on_drain: DrainPolicy,
    /// Whether a client that connects brings it back when it is parked.
    #[serde(default = "yes")]
    pub auto_resume: bool,
    /// Why it is ending or has ended: one of the stop reasons, such as `request` or `ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// The fact behind the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_detail: Option<String>,
    /// When it had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at_ms: Option<u64>,
    /// What could not be cleaned up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleanup_errors: Vec<String>,
    /// What else is known of it; only with `view=full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<SandboxDetails>,
}

const fn yes() -> bool {
    true
}

/// Answer of `GET /v1/sandboxes`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SandboxList {
    /// Oldest first.
    pub sandboxes: Vec<SandboxView>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The node.
    pub node_id: String,
}

#[cfg(test)]
mod tests;
