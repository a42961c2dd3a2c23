//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use anyhow::{Context, Result, bail};

use crate::cmd;

/// The oldest Node that every client in `tests/clients` runs on.
const NODE_AT_LEAST: (u32, u32) = (22, 12);

/// The root of the workspace: of the checkout that cargo runs us in, also when two share one target
/// folder.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        package.parent().unwrap_or(Path::new("/")).to_owned()
    });
    &ROOT
}

/// The folder of the client scripts and, once set up, of their packages.
pub(crate) fn clients_dir() -> PathBuf {
    root().join("tests/clients")
}

/// A Node that is new enough for the clients: the pinned one, else the machine's.
///
/// # Errors
/// With the remedy, when there is neither.
pub(crate) fn node() -> Result<PathBuf> {
    let pinned = clients_dir().join("node_modules/.bin/node");
    if pinned.exists() {
        return Ok(pinned);
    }
    let (major, minor) = NODE_AT_LEAST;
    let Some(node) = on_path("node") else {
        bail!("Node is missing (at least {major}.{minor}); install it with: cargo xtask setup");
    };
    let version = cmd::output(&mut cmd::command(&node, &["--version"]))?;
    if parsed(&version).is_none_or(|found| found < NODE_AT_LEAST) {
        bail!(
            "Node {} is too old, the clients need {major}.{minor}; install one with: \
             cargo xtask setup",
            version.trim()
        );
    }
    Ok(node)
}

/// `v20.20.2` as (20, 20).
fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().trim_start_matches('v').split('.').map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// The first program of this name in `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Where cargo puts what it builds.
///
/// # Errors
/// When cargo cannot say, for instance because a manifest is broken.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = cmd::output(&mut cmd::cargo(&[
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version=1",
    ]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let dir = metadata["target_directory"].as_str().context("cargo names no target directory")?;
    Ok(dir.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_are_compared_as_numbers() {
        assert_eq!(parsed("v20.20.2\n"), Some((20, 20)));
        assert!(parsed("v26.10.0").unwrap() > NODE_AT_LEAST);
        assert!(parsed("v22.9.0").unwrap() < NODE_AT_LEAST);
        assert_eq!(parsed("unknown"), None);
    }
}
