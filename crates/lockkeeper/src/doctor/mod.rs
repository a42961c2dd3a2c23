//! `doctor`: what a node needs on this machine, checked by trying it where that is possible.

mod browser;
mod groups;
mod host;

use std::path::PathBuf;

use serde_json::json;

use crate::args::Doctor;
use crate::client::Node;
use crate::failure::Failure;
use crate::output::{Output, plain};
use crate::progress::Progress;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Fine,
    /// A node works, but with less than it could have; how to get it.
    Less(String),
    /// A node does not work like this; how to change it.
    Broken(String),
    /// It could not be looked at.
    Unknown,
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Less(_) => "could be better",
            Self::Broken(_) => "broken",
            Self::Unknown => "not checked",
        }
    }
}

/// One check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was seen.
    seen: String,
}

impl Check {
    fn fine(name: &'static str, seen: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fine, seen: seen.into() }
    }

    fn less(name: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Less(remedy.into()), seen: seen.into() }
    }

    fn broken(name: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Broken(remedy.into()), seen: seen.into() }
    }

    fn unknown(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Unknown, seen: why.into() }
    }

    fn remedy(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Less(remedy) | Verdict::Broken(remedy) => Some(remedy),
            Verdict::Fine | Verdict::Unknown => None,
        }
    }
}

/// Runs every check and prints it as soon as it is known.
///
/// # Errors
/// [`Failure::Unfit`] when something is broken.
pub(crate) fn run(
    node: &Node,
    output: &mut Output,
    options: &Doctor,
    waits: bool,
) -> Result<(), Failure> {
    let mut checks: Vec<Check> = Vec::new();
    let mut told = |check: Check, output: &mut Output| -> Result<(), Failure> {
        if !output.is_json() {
            output.line(&format!(
                "{:<16} {:<16} {}",
                check.name,
                check.verdict.word(),
                plain(&check.seen)
            ))?;
            if let Some(remedy) = check.remedy() {
                output.line(&format!("{:<16} {:<16} -> {}", "", "", plain(remedy)))?;
            }
        }
        checks.push(check);
        Ok(())
    };
    let (daemon, running) = host::daemon(node);
    told(daemon, output)?;
    told(host::port(node.base(), running), output)?;
    let found = browser::search(options.browser.as_deref(), std::env::var_os("PATH").as_deref());
    match &found {
        Ok(path) => {
            told(Check::fine("browser", path.display().to_string()), output)?;
            let wait = Progress::start("starting a browser".to_owned(), waits);
            let started = browser::start(path);
            drop(wait);
            told(started, output)?;
        }
        Err(check) => told(check.clone(), output)?,
    }
    told(host::namespaces(), output)?;
    told(groups::check(), output)?;
    told(host::open_files(), output)?;
    let state = options.state_dir.clone().or_else(default_state_dir);
    told(host::disk(state.as_deref()), output)?;
    told(host::memory(), output)?;
    told(host::shared_memory(), output)?;
    if output.is_json() {
        let list: Vec<_> = checks
            .iter()
            .map(|check| {
                json!({
                    "check": check.name,
                    "verdict": check.verdict.word(),
                    "seen": check.seen,
                    "remedy": check.remedy(),
                })
            })
            .collect();
        output.json(&json!(list))?;
    }
    let broken = |check: &&Check| matches!(check.verdict, Verdict::Broken(_));
    match checks.iter().filter(broken).count() {
        0 => Ok(()),
        n => Err(Failure::Unfit(n)),
    }
}

/// Where a node keeps its state if it is told nothing else.
fn default_state_dir() -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/lockkeeper"));
    }
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || folder("HOME").map(|home| home.join(".local/state"));
    Some(folder("XDG_STATE_HOME").or_else(home)?.join("lockkeeper"))
}
