//! Pure: what sandboxes of one kind have in common, and what a create may say otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use lockkeeper_api::{CreateRequest, Mistake};

use crate::driver::{Flavour, LaunchLimits, OnExit};
use crate::launch::{env_mistakes, flag_mistakes, mistake, ttl_mistake};

/// What sandboxes of one kind have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Browser family; the first one that the driver found if absent.
    pub flavour: Option<Flavour>,
    /// A browser binary in place of the one that the driver found, of `flavour`.
    pub browser: Option<PathBuf>,
    /// Command-line switches; those of a create come after them.
    pub flags: Vec<String>,
    /// Size of the window.
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
            pool: 0,
            overridable: Override::ALL.into_iter().collect(),
        }
    }
}

/// Size of a window in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewport {
    /// From left to right.
    pub width: u16,
    /// From top to bottom.
    pub height: u16,
}

/// The longest side of a window: what a raster of the browser may have in one direction.
const LONGEST_SIDE: u16 = 16_384;

/// Why a text is no size of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be two numbers from 1 to {LONGEST_SIDE} such as `1280x720`")]
pub struct ViewportError;

impl std::str::FromStr for Viewport {
    type Err = ViewportError;

    fn from_str(text: &str) -> Result<Self, ViewportError> {
        let side = |text: &str| {
            text.trim().parse::<u16>().ok().filter(|side| (1..=LONGEST_SIDE).contains(side))
        };
        let (width, height) = text.split_once('x').ok_or(ViewportError)?;
        match (side(width), side(height)) {
            (Some(width), Some(height)) => Ok(Self { width, height }),
            (None, _) | (_, None) => Err(ViewportError),
        }
    }
}

/// A part of a create that a template may leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Override {
    /// Browser family.
    Flavour,
    /// Further switches.
    Flags,
    /// Further or other variables.
    Env,
    /// Time to live.
    Ttl,
    /// How long it may be unused.
    Idle,
    /// What follows a crash.
    OnCrash,
    /// What follows a close by its client.
    OnClose,
}

impl Override {
    /// Every part.
    pub const ALL: [Self; 7] = [
        Self::Flavour,
        Self::Flags,
        Self::Env,
        Self::Ttl,
        Self::Idle,
        Self::OnCrash,
        Self::OnClose,
    ];

    /// The field of a create.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flavour => "flavour",
            Self::Flags => "flags",
            Self::Env => "env",
            Self::Ttl => "ttl",
            Self::Idle => "idle",
            Self::OnCrash => "on_crash",
            Self::OnClose => "on_close",
        }
    }

    fn is_in(self, request: &CreateRequest) -> bool {
        match self {
            Self::Flavour => request.flavour.is_some(),
            Self::Flags => request.flags.is_some(),
            Self::Env => request.env.is_some(),
            Self::Ttl => request.ttl.is_some(),
            Self::Idle => request.idle.is_some(),
            Self::OnCrash => request.on_crash.is_some(),
            Self::OnClose => request.on_close.is_some(),
        }
    }
}

impl Template {
    /// What a request says that the template called `name` does not leave open.
    pub(crate) fn closed_to(&self, name: &str, request: &CreateRequest) -> Vec<Mistake> {
        let open: Vec<_> = self.overridable.iter().map(|part| part.as_str()).collect();
        let open = if open.is_empty() { "nothing".to_owned() } else { open.join(", ") };
        let closed = Override::ALL
            .into_iter()
            .filter(|part| part.is_in(request) && !self.overridable.contains(part));
        let told = |part: Override| {
            let problem = format!("the template `{name}` lets a create set only {open}");
            mistake(part.as_str(), problem)
        };
        closed.map(told).collect()
    }

    /// The switches that the template's own words stand for, and then its switches.
    pub(crate) fn switches(&self) -> Vec<String> {
        let mut switches = Vec::new();
        if let Some(Viewport { width, height }) = self.viewport {
            switches.push(format!("--window-size={width},{height}"));
        }
        switches.extend(self.user_agent.as_ref().map(|text| format!("--user-agent={text}")));
        switches.extend(self.proxy.as_ref().map(|server| format!("--proxy-server={server}")));
        if !self.extensions.is_empty() {
            let folders: Vec<_> = self.extensions.iter().map(|dir| dir.to_string_lossy()).collect();
            let folders = folders.join(",");
            switches.push(format!("--disable-extensions-except={folders}"));
            switches.push(format!("--load-extension={folders}"));
        }
        switches.extend(self.flags.iter().cloned());
        switches
    }

    /// What is wrong with it, whatever a create says: for whoever reads templates at the start of
    /// a node. `allow_no_sandbox` and `max_ttl` as in [`Config`](crate::Config).
    pub fn mistakes(&self, allow_no_sandbox: bool, max_ttl: Duration) -> Vec<Mistake> {
        let mut mistakes = flag_mistakes(&self.switches(), allow_no_sandbox);
        mistakes.extend(env_mistakes(&self.env));
        mistakes.extend(self.ttl.and_then(|ttl| ttl_mistake(ttl, max_ttl)));
        if !self.extensions.is_empty() && self.flavour != Some(Flavour::Chromium) {
            let problem = "are loaded by the full browser only; set flavour = \"chromium\"";
            mistakes.push(mistake("extensions", problem));
        }
        let odd = |dir: &&PathBuf| !dir.is_absolute() || dir.to_string_lossy().contains(',');
        for dir in self.extensions.iter().filter(odd) {
            let problem = format!("{} must be an absolute path without a comma", dir.display());
            mistakes.push(mistake("extensions", problem));
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
