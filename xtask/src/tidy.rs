//! The rules that a program can check. It runs as `cargo xtask tidy` and as a test of this crate.

mod arrows;
mod guarantees;
mod sources;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{progress, tools};

/// One thing that is not as it should be, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Where, relative to the root: a path, perhaps with a line.
    place: String,
    text: String,
}

impl Finding {
    fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Checks the workspace and prints each finding.
///
/// # Errors
/// When there is one.
pub(crate) fn run() -> Result<()> {
    progress::step("tidy", || {
        let findings = check(tools::root())?;
        for finding in &findings {
            println!("    {finding}");
        }
        match findings.len() {
            0 => Ok(()),
            n => bail!("{n} untidy {}, listed above", if n == 1 { "place" } else { "places" }),
        }
    })
}

/// Everything that is untidy below `root`.
fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let sources = sources::read(root)?;
    for (path, text) in &sources {
        sources::check(path, text, &mut findings);
    }

    let workspace = manifest(&root.join("Cargo.toml"))?;
    let members = members(root)?;
    let architecture = page(root, "ARCHITECTURE.md", &mut findings);
    if let Some(architecture) = &architecture {
        arrows::check(architecture, &workspace, &members, &mut findings);
    }
    if let Some(guarantees) = page(root, "GUARANTEES.md", &mut findings) {
        guarantees::check(&guarantees, &sources, &mut findings);
    }
    for member in members.values().filter(|member| member.is_crate()) {
        check_readme(root, member, &mut findings);
    }
    check_lock_file(root, &mut findings);
    let lints = workspace.get("workspace").and_then(|table| table.get("lints")?.get("rust"));
    if lints.and_then(|lints| lints.get("unsafe_code")?.as_str()) != Some("deny") {
        let text =
            "does not deny unsafe code in all crates: workspace.lints.rust.unsafe_code = \"deny\"";
        findings.push(Finding::new("Cargo.toml", text));
    }
    findings.sort();
    Ok(findings)
}

/// One package of the workspace.
struct Member {
    /// Its folder, relative to the root.
    folder: PathBuf,
    manifest: toml::Table,
}

impl Member {
    /// Whether it lies in `crates/`: the others are the end-to-end tests and this automation.
    fn is_crate(&self) -> bool {
        self.folder.starts_with("crates")
    }

    fn manifest_path(&self) -> String {
        self.folder.join("Cargo.toml").display().to_string()
    }
}

/// The packages by name.
fn members(root: &Path) -> Result<BTreeMap<String, Member>> {
    let mut folders: Vec<PathBuf> = vec!["fuzz".into(), "tests".into(), "xtask".into()];
    for entry in fs::read_dir(root.join("crates")).context("crates/ cannot be read")? {
        folders.push(Path::new("crates").join(entry?.file_name()));
    }
    let mut members = BTreeMap::new();
    for folder in folders {
        let path = root.join(&folder).join("Cargo.toml");
        if !path.exists() {
            continue;
        }
        let manifest = manifest(&path)?;
        let name = manifest
            .get("package")
            .and_then(|package| package.get("name")?.as_str())
            .with_context(|| format!("{} names no package", path.display()))?
            .to_owned();
        members.insert(name, Member { folder, manifest });
    }
    Ok(members)
}

fn manifest(path: &Path) -> Result<toml::Table> {
    let text = fs::read_to_string(path).with_context(|| format!("{} unread", path.display()))?;
    text.parse().with_context(|| format!("{} is no TOML", path.display()))
}

/// A page that has to exist.
fn page(root: &Path, name: &str, findings: &mut Vec<Finding>) -> Option<String> {
    let text = fs::read_to_string(root.join(name)).ok();
    if text.is_none() {
        findings.push(Finding::new(name, "is missing: write it"));
    }
    text
}

fn check_readme(root: &Path, member: &Member, findings: &mut Vec<Finding>) {
    let folder = root.join(&member.folder);
    if !folder.join("README.md").is_file() {
        let text = "is missing: say what the crate is, what it promises and what it does not do";
        findings.push(Finding::new(member.folder.join("README.md").display().to_string(), text));
    }
    let library = folder.join("src/lib.rs");
    let shows_it = |text: String| text.contains(r#"#![doc = include_str!("../README.md")]"#);
    if fs::read_to_string(&library).is_ok_and(|text| !shows_it(text)) {
        let text =
            r#"does not show its README; begin with: #![doc = include_str!("../README.md")]"#;
        findings.push(Finding::new(member.folder.join("src/lib.rs").display().to_string(), text));
    }
}

/// The lock file of the client packages pins by content; where they come from is the machine's
/// own setting.
fn check_lock_file(root: &Path, findings: &mut Vec<Finding>) {
    let name = "tests/clients/package-lock.json";
    let Some(text) = page(root, name, findings) else { return };
    if let Some(at) = text.lines().position(|line| line.contains("\"resolved\"")) {
        let text = "holds a download address; write it anew with npm's \
                    omit-lockfile-registry-resolved=true, which tests/clients/.npmrc sets";
        findings.push(Finding::new(format!("{name}:{}", at + 1), text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let findings = check(tools::root()).unwrap();
        let listed: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "cargo xtask tidy says:\n{}", listed.join("\n"));
    }
}
