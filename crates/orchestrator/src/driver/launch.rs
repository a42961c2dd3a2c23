//! What a driver is asked to start.

use std::path::PathBuf;
use std::time::Duration;

use super::{LaunchLimits, LifecycleId, ProfileId, RunnerSpec};

/// Which browser binary family a sandbox runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// The full browser, started headless.
    Chromium,
    /// The old headless mode as a binary of its own: smaller and faster to start.
    HeadlessShell,
}

impl Flavour {
    /// Every flavour, in the order in which the default is searched.
    pub const ALL: [Self; 2] = [Self::HeadlessShell, Self::Chromium];

    /// The word users write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::HeadlessShell => "headless-shell",
        }
    }
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchSpec {
    /// The incarnation that owns the instance.
    pub lifecycle: LifecycleId,
    /// Browser family; the driver knows where its binary is.
    pub flavour: Flavour,
    /// A browser binary in place of the driver's own, one of those that the driver was told of.
    pub browser: Option<PathBuf>,
    /// What it may use, where that differs from what the driver was told.
    pub limits: LaunchLimits,
    /// The kept profile to run on; a new one if absent. It stays kept whatever becomes of the start,
    /// and of the instance.
    pub profile: Option<ProfileId>,
    /// Command-line switches that stay when the browser is restarted with others, each starting
    /// with `--`, already checked.
    pub fixed: Vec<String>,
    /// Further ones after those, which a restart may replace.
    pub flags: Vec<String>,
    /// Further environment of the browser, already checked.
    pub env: Vec<(String, String)>,
    /// What happens after a crash.
    pub on_crash: OnExit,
    /// What happens after the browser was closed by its own client (exit code 0 nobody ordered).
    pub on_close: OnExit,
    /// How long one launch may take from spawn to a first answer.
    pub start_timeout: Duration,
    /// How many crashes within `crash_window` end the instance.
    pub crash_max: u32,
    /// The window of `crash_max`.
    pub crash_window: Duration,
    /// What runs beside it.
    pub runner: Option<RunnerSpec>,
}

impl LaunchSpec {
    /// All command-line switches, in their order.
    pub fn switches(&self) -> Vec<String> {
        [self.fixed.as_slice(), &self.flags].concat()
    }
}

/// What follows when a browser ends that nobody told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExit {
    /// Start it again, same profile, as the next generation.
    Relaunch,
    /// End the sandbox.
    Stop,
}
