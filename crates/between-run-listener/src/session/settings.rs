//! Pure: what a session is told to be, and how that is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::lane;
use crate::http::{HeaderError, Headers, PathError, Target, fill, join};
use crate::{SessionKey, listener};

/// What a client puts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the runner is.
    pub runner_url: String,
    /// What requests to it say besides. Values are secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Whether the session stops when a run has finished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop_on_run_finished: bool,
    /// The thread; without it that of the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Where runs are posted.
    #[serde(default = "run_path")]
    pub run_path: String,
    /// Where the runner's stream between runs is.
    #[serde(default = "events_path")]
    pub events_path: String,
    /// Where runs are interrupted.
    #[serde(default = "interrupt_path")]
    pub interrupt_path: String,
    /// Where feedback is posted.
    #[serde(default = "feedback_path")]
    pub feedback_path: String,
    /// Where the runner says what it can do.
    #[serde(default = "capabilities_path")]
    pub capabilities_path: String,
    /// Where the runner's tasks are.
    #[serde(default = "tasks_path")]
    pub tasks_path: String,
    /// What a MESSAGES_SNAPSHOT of the runner holds.
    #[serde(default, skip_serializing_if = "Snapshots::is_whole")]
    pub snapshots: Snapshots,
    /// How long the stream between runs may bring no byte; 0 means for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// How long a run may bring no byte; 0 means for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_idle_timeout_ms: Option<u64>,
    /// The first pause before the stream is asked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_min_ms: Option<u64>,
}

/// What a MESSAGES_SNAPSHOT of a runner holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snapshots {
    /// All messages, as the protocol says.
    #[default]
    Whole,
    /// The messages of its own run. The gateway shows one of all messages in its place.
    Increment,
}

impl Settings {
    /// A runner at this address, and everything else as it is where nothing is said.
    pub fn at(runner_url: impl Into<String>) -> Self {
        Self {
            runner_url: runner_url.into(),
            headers: BTreeMap::new(),
            stop_on_run_finished: false,
            thread_id: None,
            run_path: run_path(),
            events_path: events_path(),
            interrupt_path: interrupt_path(),
            feedback_path: feedback_path(),
            capabilities_path: capabilities_path(),
            tasks_path: tasks_path(),
            snapshots: Snapshots::Whole,
            idle_timeout_ms: None,
            run_idle_timeout_ms: None,
            retry_min_ms: None,
        }
    }
}

impl Snapshots {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    const fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }
}

fn run_path() -> String {
    "/".into()
}
fn events_path() -> String {
    "/events".into()
}
fn interrupt_path() -> String {
    "/interrupt".into()
}
fn feedback_path() -> String {
    "/feedback".into()
}
fn capabilities_path() -> String {
    "/capabilities".into()
}
fn tasks_path() -> String {
    "/tasks".into()
}

/// Why settings are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    /// The runner's URL is none.
    #[error("runner_url: {cause}; write http://host:port")]
    Url {
        /// Why.
        cause: url::ParseError,
    },
    /// A header that cannot be sent.
    #[error("headers: {0}")]
    Header(#[from] HeaderError),
    /// A path that is none.
    #[error("{field}: {cause}")]
    Path {
        /// Which setting.
        field: &'static str,
        /// Why.
        cause: PathError,
    },
    /// A time out of its range.
    #[error("{field}: {value} ms is out of range; choose {range}")]
    Time {
        /// Which setting.
        field: &'static str,
        /// What it was.
        value: u64,
        /// What it may be.
        range: &'static str,
    },
    /// A thread without a name.
    #[error("thread_id: it is empty; leave it out, or name the thread")]
    Thread,
}

/// Settings that have been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Checked {
    settings: Settings,
    base: Url,
    headers: Headers,
}

impl Checked {
    /// Checks settings.
    ///
    /// # Errors
    /// The first that does not fit.
    pub fn new(settings: Settings) -> Result<Self, BadSettings> {
        let base = Url::parse(&settings.runner_url).map_err(|cause| BadSettings::Url { cause })?;
        let pairs = settings.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers = Headers::new(pairs)?;
        if settings.thread_id.as_deref() == Some("") {
            return Err(BadSettings::Thread);
        }
        let times = [
            ("idle_timeout_ms", settings.idle_timeout_ms, 1_000, "0, or 1000 to 3600000"),
            ("run_idle_timeout_ms", settings.run_idle_timeout_ms, 1_000, "0, or 1000 to 86400000"),
            ("retry_min_ms", settings.retry_min_ms, 100, "100 to 30000"),
        ];
        for (field, value, least, range) in times {
            let (most, zero) = match field {
                "idle_timeout_ms" => (3_600_000, true),
                "run_idle_timeout_ms" => (86_400_000, true),
                _ => (30_000, false),
            };
            if let Some(value) = value
                && !((zero && value == 0) || (least..=most).contains(&value))
            {
                return Err(BadSettings::Time { field, value, range });
            }
        }
        let checked = Self { settings, base, headers };
        for (field, path) in checked.paths() {
            let cause = |cause| BadSettings::Path { field, cause };
            let path = fill(path, &[("session", "s"), ("thread", "t")]).map_err(cause)?;
            join(&checked.base, &path).map_err(cause)?;
        }
        Ok(checked)
    }

    fn paths(&self) -> [(&'static str, &str); 6] {
        let s = &self.settings;
        [
            ("run_path", &s.run_path),
            ("events_path", &s.events_path),
            ("interrupt_path", &s.interrupt_path),
            ("feedback_path", &s.feedback_path),
            ("capabilities_path", &s.capabilities_path),
            ("tasks_path", &s.tasks_path),
        ]
    }

    /// As they were put.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The runner's own URL.
    pub const fn base(&self) -> &Url {
        &self.base
    }

    /// What requests to the runner say besides.
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The address of one of the runner's paths.
    ///
    /// # Errors
    /// A session or thread whose name is no path segment.
    pub fn url(&self, path: &str, key: &SessionKey, thread: &str) -> Result<Url, PathError> {
        let path = fill(path, &[("session", key.session()), ("thread", thread)])?;
        join(&self.base, &path)
    }

    /// The runner's stream between runs.
    ///
    /// # Errors
    /// As [`Checked::url`].
    pub fn target(&self, key: &SessionKey, thread: &str) -> Result<Target, PathError> {
        let url = self.url(&self.settings.events_path, key, thread)?;
        Ok(Target { url, headers: self.headers.clone() })
    }

    /// When the listener connects, waits and gives up.
    pub fn listener_rules(&self) -> listener::Rules {
        let default = listener::Rules::default();
        listener::Rules {
            idle: time(self.settings.idle_timeout_ms, default.idle),
            retry_min: self.settings.retry_min_ms.map(Duration::from_millis),
            ..default
        }
    }

    /// When runs end that do not end by themselves.
    pub fn lane_rules(&self) -> lane::Rules {
        let default = lane::Rules::default();
        let run_idle = time(self.settings.run_idle_timeout_ms, default.run_idle);
        lane::Rules { run_idle, snapshots: self.settings.snapshots, ..default }
    }
}

/// 0 means for ever.
fn time(millis: Option<u64>, default: Option<Duration>) -> Option<Duration> {
    match millis {
        None => default,
        Some(0) => None,
        Some(millis) => Some(Duration::from_millis(millis)),
    }
}

/// One record of a project's settings. The last one of a session counts.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) project: String,
    pub(super) session: String,
    /// None once the session was deleted.
    pub(super) settings: Option<Settings>,
    /// Whether it was stopped, so that it stays so over a restart.
    #[serde(default)]
    pub(super) stopped: bool,
}

#[cfg(test)]
mod tests;
