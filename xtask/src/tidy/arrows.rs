//! ARCHITECTURE.md says which crates exist, which may use which, and why each dependency is here.
//! The manifests have to agree.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Member};

const PAGE: &str = "ARCHITECTURE.md";

/// Who may use a crate of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Other crates, along the arrows.
    Library,
    /// Nobody.
    Binary,
    /// Tests: nothing that is deployed.
    DevOnly,
}

/// Which libraries a crate may use.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Uses {
    These(BTreeSet<String>),
    AnyLibrary,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    kind: Kind,
    uses: Uses,
}

pub(super) fn check(
    page: &str,
    workspace: &toml::Table,
    members: &BTreeMap<String, Member>,
    findings: &mut Vec<Finding>,
) {
    let rows = crates(page);
    let exist: BTreeSet<&String> =
        members.iter().filter(|(_, member)| member.is_crate()).map(|(name, _)| name).collect();
    for name in rows.keys().filter(|name| !exist.contains(name)) {
        findings.push(Finding::new(PAGE, format!("lists `{name}`, which is not in crates/")));
    }
    for name in exist.iter().filter(|name| !rows.contains_key(**name)) {
        findings.push(Finding::new(PAGE, format!("does not list `{name}`, which is in crates/")));
    }

    let ours: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    let reasons = reasons(page);
    let mut used = BTreeSet::new();
    for (name, member) in members {
        let place = member.manifest_path();
        for (table, dependency, inherits) in dependencies(&member.manifest) {
            used.insert(dependency.clone());
            if !inherits {
                let text = format!("`{dependency}` in [{table}] does not say `workspace = true`");
                findings.push(Finding::new(&place, text));
            }
            let library = rows.get(name).is_some_and(|row| row.kind == Kind::Library);
            if library && dependency == "anyhow" {
                let text = "uses `anyhow` in a library: write one small error enum per operation";
                findings.push(Finding::new(&place, text));
            }
            if ours.contains(dependency.as_str()) {
                if let Some(wrong) = forbidden(&rows, name, &dependency, table) {
                    findings.push(Finding::new(&place, wrong));
                }
            } else if !reasons.contains(&dependency) {
                let text = format!("uses `{dependency}`, and {PAGE} does not say why it is here");
                findings.push(Finding::new(&place, text));
            }
        }
    }
    let listed = workspace.get("workspace").and_then(|w| w.get("dependencies")?.as_table());
    for dependency in listed.into_iter().flat_map(toml::Table::keys) {
        if !used.contains(dependency) && !ours.contains(dependency.as_str()) {
            let text = format!("[workspace.dependencies] has `{dependency}`, which nobody uses");
            findings.push(Finding::new("Cargo.toml", text));
        }
    }
}

/// Says what is wrong with `user` depending on `dependency`, if anything is.
fn forbidden(
    rows: &BTreeMap<String, Row>,
    user: &str,
    dependency: &str,
    table: &str,
) -> Option<String> {
    let row = rows.get(dependency)?;
    if row.kind == Kind::Binary {
        return Some(format!("uses `{dependency}`, a binary: move what it needs into a library"));
    }
    // Tests, and the packages outside crates/, may use every library.
    let user = rows.get(user).filter(|_| table != "dev-dependencies")?;
    if row.kind == Kind::DevOnly && user.kind != Kind::DevOnly {
        return Some(format!("uses `{dependency}`, which is for [dev-dependencies] only"));
    }
    match &user.uses {
        Uses::AnyLibrary => None,
        Uses::These(allowed) if allowed.contains(dependency) => None,
        Uses::These(_) => {
            Some(format!("uses `{dependency}`, an arrow that the table of {PAGE} does not have"))
        }
    }
}

/// The rows of the tables in the section `## Crates`.
fn crates(page: &str) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for cells in table_rows(page, "Crates") {
        let [name, concern, uses, ..] = cells.as_slice() else { continue };
        let kind = match concern.split_once(':').map(|(kind, _)| kind.trim()) {
            Some("binary") => Kind::Binary,
            Some("dev-only") => Kind::DevOnly,
            _ => Kind::Library,
        };
        let uses = match uses.as_str() {
            "any library" | "all of the above" => Uses::AnyLibrary,
            list => Uses::These(list.split(',').map(bare).filter(|name| name != "-").collect()),
        };
        for name in quoted(name) {
            rows.insert(name, Row { kind, uses: uses.clone() });
        }
    }
    rows
}

/// The names in the first column of the section `## Dependencies`.
fn reasons(page: &str) -> BTreeSet<String> {
    table_rows(page, "Dependencies")
        .iter()
        .filter_map(|cells| cells.first())
        .flat_map(|names| quoted(names))
        .collect()
}

/// The cells of the table rows between `## {section}` and the next heading of that level.
fn table_rows(page: &str, section: &str) -> Vec<Vec<String>> {
    page.lines()
        .skip_while(|line| line.strip_prefix("## ").is_none_or(|title| title.trim() != section))
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn bare(name: &str) -> String {
    name.trim().trim_matches('`').to_owned()
}

/// Every dependency: the kind of table it is in, its name, and whether it inherits its version.
fn dependencies(manifest: &toml::Table) -> Vec<(&'static str, String, bool)> {
    const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let places = targets.into_iter().flat_map(toml::Table::values).filter_map(|t| t.as_table());
    std::iter::once(manifest)
        .chain(places)
        .flat_map(|place| TABLES.map(|name| (name, place.get(name))))
        .filter_map(|(name, table)| Some((name, table?.as_table()?)))
        .flat_map(|(name, table)| {
            table.iter().map(move |(dependency, value)| {
                let inherits = value.get("workspace").and_then(toml::Value::as_bool);
                (name, dependency.clone(), inherits == Some(true))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
