//! Pure: from a create request and a template to what is started.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lockkeeper_api::{CreateRequest, ExitPolicy, Mistake, Mistakes, TimeSpan};

use crate::config::{Config, DEFAULT_TEMPLATE};
use crate::driver::{Capabilities, Flavour, LaunchLimits, LaunchSpec, OnExit};
use crate::ids::{LifecycleId, SandboxId};
use crate::process::takes_sandbox_away;
use crate::registry::Policies;
use crate::templates::Template;

/// A create request with every default filled in and every value checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The id that the client chose.
    pub id: Option<SandboxId>,
    /// Names the attempt.
    pub request_id: Option<String>,
    /// The template's name.
    pub template: Arc<str>,
    /// Browser family.
    pub flavour: Flavour,
    /// A binary in place of the driver's own.
    pub browser: Option<PathBuf>,
    /// What it may use.
    pub limits: LaunchLimits,
    /// Command-line switches of the template and of its words and the create's.
    pub fixed: Vec<String>,
    /// Those that the create gave itself, after the others.
    pub flags: Vec<String>,
    /// Environment of the browser.
    pub env: Vec<(String, String)>,
    /// Time to live; zero = no limit.
    pub ttl: Duration,
    /// How long it may be unused; zero = for ever.
    pub idle: Duration,
    /// How long it may wait for a start slot.
    pub queue_timeout: Duration,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What follows a crash.
    pub on_crash: OnExit,
    /// What follows a close by its client.
    pub on_close: OnExit,
    /// When it is parked and who brings it back.
    pub policies: Policies,
}

/// Why a request cannot become a sandbox on any day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Fields are wrong.
    #[error(transparent)]
    Invalid(#[from] Mistakes),
    /// The template is not configured.
    #[error("no template `{name}`; the known ones are {known}")]
    UnknownTemplate {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The node has no browser of that flavour.
    #[error("this node has no browser of flavour {wanted}; it has {found}", wanted = wanted.as_str())]
    Unsupported {
        /// What was asked for.
        wanted: Flavour,
        /// What there is.
        found: String,
    },
    /// The template limits processor time, and the node cannot.
    #[error("this node cannot limit processor time, as the template `{template}` asks for")]
    NoCpuLimit {
        /// Which template.
        template: Arc<str>,
    },
}

impl Plan {
    /// Fills in and checks.
    ///
    /// # Errors
    /// See [`PlanError`]; all wrong fields at once.
    pub fn new(
        request: CreateRequest,
        config: &Config,
        capabilities: &Capabilities,
    ) -> Result<Self, PlanError> {
        Self::with(request, None, config, capabilities)
    }

    /// The same where neither the request nor the template may name a flavour: `usual` is taken
    /// then.
    ///
    /// # Errors
    /// See [`PlanError`]; all wrong fields at once.
    pub fn with(
        request: CreateRequest,
        usual: Option<Flavour>,
        config: &Config,
        capabilities: &Capabilities,
    ) -> Result<Self, PlanError> {
        let name = request.template.as_deref().unwrap_or(DEFAULT_TEMPLATE);
        let fallback = Template::default();
        let template = match config.templates.get(name) {
            Some(template) => template,
            None if name == DEFAULT_TEMPLATE => &fallback,
            None => {
                let name = name.chars().take(60).collect();
                let known = config.template_names().join(", ");
                return Err(PlanError::UnknownTemplate { name, known });
            }
        };
        let mut mistakes = template.closed_to(name, &request);
        let id = request.id.as_deref().and_then(|id| match id.parse() {
            Ok(id) => Some(id),
            Err(error) => {
                mistakes.push(mistake("id", error));
                None
            }
        });
        let flavour = match request.flavour.as_deref().map(parse_flavour) {
            Some(Ok(flavour)) => Some(flavour),
            Some(Err(problem)) => {
                mistakes.push(mistake("flavour", problem));
                None
            }
            None => template.flavour.or(usual),
        };
        let asked = template.as_asked(&request, &mut mistakes);
        let extends = !asked.extensions.is_empty();
        if extends && flavour.is_some_and(|flavour| flavour != Flavour::Chromium) {
            // Whoever asks reads of what they said themselves.
            let (field, problem) = match request.extensions.is_some() {
                true => ("extensions", "are loaded by the full browser only; ask for chromium"),
                false => ("flavour", "must be chromium, as the template has extensions"),
            };
            mistakes.push(mistake(field, problem));
        }
        let flags = request.flags.unwrap_or_default();
        mistakes.extend(flag_mistakes(&flags, config.allow_no_sandbox));
        let mut env = template.env.clone();
        env.extend(request.env.unwrap_or_default());
        mistakes.extend(env_mistakes(&env));
        let ttl = request.ttl.map(TimeSpan::duration).or(template.ttl);
        let ttl = ttl.unwrap_or(config.default_ttl);
        mistakes.extend(ttl_mistake(ttl, config.max_ttl));
        let idle = request.idle.map(TimeSpan::duration).or(template.idle);
        let queue_timeout = request.queue_timeout.map(TimeSpan::duration);
        Mistakes::check(mistakes)?;
        let flavour = flavour.or(extends.then_some(Flavour::Chromium));
        let first = capabilities.flavours.first().copied().unwrap_or(Flavour::ALL[0]);
        let flavour = flavour.unwrap_or(first);
        if template.browser.is_none() && !capabilities.flavours.contains(&flavour) {
            let found: Vec<_> = capabilities.flavours.iter().map(|f| f.as_str()).collect();
            let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
            return Err(PlanError::Unsupported { wanted: flavour, found });
        }
        if template.limits.cpu.is_some() && !capabilities.limits_cpu {
            return Err(PlanError::NoCpuLimit { template: name.into() });
        }
        Ok(Self {
            id,
            request_id: request.request_id,
            template: name.into(),
            flavour,
            browser: template.browser.clone(),
            limits: template.limits,
            fixed: asked.switches(flavour),
            flags,
            env: env.into_iter().collect(),
            ttl,
            idle: idle.unwrap_or(config.default_idle),
            queue_timeout: queue_timeout
                .map_or(config.queue_timeout, |t| t.min(config.queue_timeout)),
            labels: request.labels,
            on_crash: request
                .on_crash
                .map(on_exit)
                .or(template.on_crash)
                .unwrap_or(OnExit::Relaunch),
            on_close: request.on_close.map(on_exit).or(template.on_close).unwrap_or(OnExit::Stop),
            policies: Policies {
                on_expire: request.on_expire.or(template.on_expire).unwrap_or_default(),
                on_drain: request.on_drain.or(template.on_drain).unwrap_or_default(),
                auto_resume: request.auto_resume.or(template.auto_resume).unwrap_or(true),
            },
        })
    }

    /// What the driver is told.
    pub fn launch_spec(&self, lifecycle: LifecycleId, config: &Config) -> LaunchSpec {
        LaunchSpec {
            lifecycle,
            flavour: self.flavour,
            browser: self.browser.clone(),
            limits: self.limits,
            profile: None,
            fixed: self.fixed.clone(),
            flags: self.flags.clone(),
            env: self.env.clone(),
            on_crash: self.on_crash,
            on_close: self.on_close,
            start_timeout: config.create_timeout,
            crash_max: config.crash_max,
            crash_window: config.crash_window,
            runner: None,
        }
    }
}

pub(crate) fn mistake(field: impl Into<String>, problem: impl ToString) -> Mistake {
    Mistake { field: field.into(), problem: problem.to_string() }
}

fn on_exit(policy: ExitPolicy) -> OnExit {
    match policy {
        ExitPolicy::Relaunch => OnExit::Relaunch,
        ExitPolicy::Stop => OnExit::Stop,
    }
}

pub(crate) fn parse_flavour(word: &str) -> Result<Flavour, String> {
    Flavour::ALL.into_iter().find(|flavour| flavour.as_str() == word).ok_or_else(|| {
        let known: Vec<_> = Flavour::ALL.iter().map(|flavour| flavour.as_str()).collect();
        let shown: String = word.chars().take(60).collect();
        format!("`{shown}` is not one of {}", known.join(", "))
    })
}

/// What is wrong with a time to live, if anything. Shared by create and update.
pub(crate) fn ttl_mistake(ttl: Duration, max: Duration) -> Option<Mistake> {
    let max_text = TimeSpan::new(max);
    if max.is_zero() {
        None
    } else if ttl.is_zero() {
        Some(mistake("ttl", format!("must be more than 0, the longest is {max_text}")))
    } else if ttl > max {
        let problem = format!("`{}` is longer than the longest, {max_text}", TimeSpan::new(ttl));
        Some(mistake("ttl", problem))
    } else {
        None
    }
}

/// At most this many switches, and this many variables.
const MAX_ITEMS: usize = 128;

/// At most this many bytes in a switch or a variable.
const MAX_ITEM: usize = 4096;

/// Switches that would take the endpoint, the profile or the sandbox out of our hands.
const OURS: [&str; 2] = ["user-data-dir", "remote-debugging-"];

pub(crate) fn flag_mistakes(flags: &[String], allow_no_sandbox: bool) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if flags.len() > MAX_ITEMS {
        mistakes.push(mistake("flags", format!("has {}, the limit is {MAX_ITEMS}", flags.len())));
    }
    for flag in flags.iter().take(MAX_ITEMS) {
        let shown: String = flag.chars().take(60).collect();
        let name = flag.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or(rest));
        let problem = match name {
            _ if flag.len() > MAX_ITEM => format!("`{shown}` is longer than {MAX_ITEM} bytes"),
            _ if flag.chars().any(char::is_control) => {
                format!("`{}` has a control character", shown.escape_debug())
            }
            None | Some("") => format!("`{shown}` must start with `--` and a name"),
            Some(name) if OURS.iter().any(|ours| name.starts_with(ours)) => {
                format!("`--{name}` is set by the node and cannot be given")
            }
            Some(name) if takes_sandbox_away(name) && !allow_no_sandbox => {
                format!("`--{name}` is refused: set ALLOW_NO_SANDBOX on the node if it must be")
            }
            Some(_) => continue,
        };
        mistakes.push(mistake("flags", problem));
    }
    mistakes
}

/// Variables that say where a sandbox keeps its files, or what is loaded into its processes.
const OUR_VARIABLES: [&str; 3] = ["HOME", "TMPDIR", "PATH"];

pub(crate) fn env_mistakes(env: &BTreeMap<String, String>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if env.len() > MAX_ITEMS {
        mistakes.push(mistake("env", format!("has {}, the limit is {MAX_ITEMS}", env.len())));
    }
    for (name, value) in env.iter().take(MAX_ITEMS) {
        let field = format!("env.{}", name.chars().take(60).collect::<String>());
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let starts_right = name.bytes().next().is_some_and(|b| word(b) && !b.is_ascii_digit());
        let problem = if !starts_right || !name.bytes().all(word) {
            "is no name of a variable, write letters, digits and _"
        } else if OUR_VARIABLES.contains(&name.as_str())
            || name.starts_with("LOCKKEEPER_")
            || name.starts_with("LD_")
        {
            "is set by the node and cannot be given"
        } else if value.contains('\0') || name.len() + value.len() > MAX_ITEM {
            "has a value with a null character or of more than 4096 bytes"
        } else {
            continue;
        };
        mistakes.push(mistake(field, problem));
    }
    mistakes
}

#[cfg(test)]
mod tests;
