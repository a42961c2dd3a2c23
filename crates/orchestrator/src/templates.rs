//! Pure: what sandboxes of one kind have in common, and what a create may say otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use lockkeeper_api::{DrainPolicy, ExpirePolicy, Mistake};

use crate::driver::{Flavour, LaunchLimits, OnExit};
use crate::launch::{env_mistakes, flag_mistakes, mistake, ttl_mistake};

mod overrides;
mod runner;
mod words;

pub use overrides::Override;
pub use runner::RunnerTemplate;
pub use words::{Viewport, ViewportError};

/// What sandboxes of one kind have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Browser family; the first one that the driver found if absent.
    pub flavour: Option<Flavour>,
    /// A browser binary in place of the one that the driver found, of `flavour`.
    pub browser: Option<PathBuf>,
    /// Command-line switches; those of a create come after them.
    pub flags: Vec<String>,
    /// What a page sees of a window.
    pub viewport: Option<Viewport>,
    /// What the browser says it is.
    pub user_agent: Option<String>,
    /// Through whom it reaches the network, as `--proxy-server` takes it.
    pub proxy: Option<String>,
    /// Folders of unpacked extensions; only the full browser loads them.
    pub extensions: Vec<PathBuf>,
    /// Environment of the browser; a create may replace single variables.
    pub env: BTreeMap<String, String>,
    /// What one sandbox may use; what is absent is as the driver was told.
    pub limits: LaunchLimits,
    /// Time to live.
    pub ttl: Option<Duration>,
    /// How long a sandbox may be unused.
    pub idle: Option<Duration>,
    /// What follows a crash; relaunch if absent.
    pub on_crash: Option<OnExit>,
    /// What follows when its own client closed the browser; stop if absent.
    pub on_close: Option<OnExit>,
    /// What follows when its time is over; stop if absent.
    pub on_expire: Option<ExpirePolicy>,
    /// What follows when the node shuts down; wait if absent.
    pub on_drain: Option<DrainPolicy>,
    /// Whether a client that connects brings it back when it is parked; it does if absent.
    pub auto_resume: Option<bool>,
    /// What runs beside each browser.
    pub runner: Option<RunnerTemplate>,
    /// How many browsers wait for a create.
    pub pool: usize,
    /// What a create may say otherwise.
    pub overridable: BTreeSet<Override>,
}

impl Default for Template {
    /// Nothing is set, and a create may say everything: the template of a node without any.
    fn default() -> Self {
        Self {
            flavour: None,
            browser: None,
            flags: Vec::new(),
            viewport: None,
            user_agent: None,
            proxy: None,
            extensions: Vec::new(),
            env: BTreeMap::new(),
            limits: LaunchLimits::default(),
            ttl: None,
            idle: None,
            on_crash: None,
            on_close: None,
            on_expire: None,
            on_drain: None,
            auto_resume: None,
            runner: None,
            pool: 0,
            overridable: Override::ALL.into_iter().collect(),
        }
    }
}

impl Template {
    /// What is wrong with it, whatever a create says: for whoever reads templates at the start of
    /// a node. `allow_no_sandbox` and `max_ttl` as in [`Config`](crate::Config).
    pub fn mistakes(&self, allow_no_sandbox: bool, max_ttl: Duration) -> Vec<Mistake> {
        let mut mistakes = flag_mistakes(&self.flags, allow_no_sandbox);
        mistakes.extend(self.word_mistakes());
        mistakes.extend(env_mistakes(&self.env));
        mistakes.extend(self.ttl.and_then(|ttl| ttl_mistake(ttl, max_ttl)));
        if !self.extensions.is_empty() && self.flavour != Some(Flavour::Chromium) {
            let problem = "are loaded by the full browser only; set flavour = \"chromium\"";
            mistakes.push(mistake("extensions", problem));
        }
        mistakes.extend(self.runner.iter().flat_map(RunnerTemplate::mistakes));
        if self.runner.is_some() && self.pool > 0 {
            let problem = "needs no runner beside it: a browser that waits has no sandbox yet";
            mistakes.push(mistake("pool", problem));
        }
        if self.browser.is_some() && self.flavour.is_none() {
            mistakes.push(mistake("browser_path", "needs a flavour beside it"));
        }
        if self.browser.is_some() && self.overridable.contains(&Override::Flavour) {
            let problem = "cannot list flavour, as browser_path is of one";
            mistakes.push(mistake("overridable", problem));
        }
        mistakes
    }
}

#[cfg(test)]
mod tests;
