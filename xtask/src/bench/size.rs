//! `bench size`: what the binaries weigh, how soon they are ready, and what a crate brings along.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use testkit::daemon::Options;

use super::Bench;
use super::figure::{Figure, Goal};
use super::run::Run;
use super::stats::median;
use crate::{build, cmd};

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "size",
    about: "release binaries, start to ready, dependencies of each library; builds with --builds",
    take,
};

/// Starts of each daemon; the median of eleven is steady to a few per cent.
const STARTS: usize = 11;

/// What a team that takes one of the small libraries must not have to compile.
const HEAVY: [&str; 3] = ["axum", "tonic", "rusqlite"];
/// Those libraries.
const LIGHT: [&str; 3] = ["draingate", "upstream", "wsproxy"];

fn take(run: &Run) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let binaries = build::release(build::BINARIES)?;
    for (name, path) in build::BINARIES.iter().zip(&binaries) {
        let size = path.metadata()?.len() as f64 / f64::from(1 << 20);
        let figure = run.figure(*name, "stripped binary", "MiB", size);
        let has_goal = *name == "lockkeeperd";
        figures.push(if has_goal { figure.with_goal(Goal::AtMost(15.0)) } else { figure });
    }
    for (name, path) in build::BINARIES.iter().zip(&binaries) {
        figures.extend(start(run, name, path)?);
    }
    for name in libraries()? {
        let all = dependencies(&name)?;
        figures.push(run.figure(name.as_str(), "crates it brings along", "", all.len() as f64));
        if LIGHT.contains(&name.as_str()) {
            let heavy = HEAVY.iter().filter(|heavy| all.contains(**heavy)).count();
            let metric = "of axum, tonic, rusqlite";
            figures.push(run.figure(name, metric, "", heavy as f64).with_goal(Goal::AtMost(0.0)));
        }
    }
    if run.builds() {
        for name in libraries()? {
            figures.push(clean_build(run, &name, &["build", "--locked", "--lib", "-p", &name])?);
        }
        figures.push(clean_build(run, "workspace", &["build", "--locked", "--workspace"])?);
    }
    Ok(figures)
}

/// From the start of the process to its word that it is ready, without a browser; nothing for a
/// program that is no daemon.
fn start(run: &Run, name: &str, path: &Path) -> Result<Option<Figure>> {
    let options = match name {
        "lockkeeperd" | "listenerd" => Options::new(path),
        // Nobody listens there; it is ready to take clients all the same.
        "devtools-proxyd" => Options::new(path).env("LOCKKEEPER_BROWSER_ADDRESS", "127.0.0.1:9"),
        _ => return Ok(None),
    };
    let once = || -> Result<f64> {
        let from = Instant::now();
        let daemon = options.clone().start().map_err(|e| anyhow!(e))?;
        let took = from.elapsed().as_secs_f64() * 1e3;
        drop(daemon);
        Ok(took)
    };
    // The first start reads the binary from the disk and does not count.
    once()?;
    let times: Vec<f64> =
        (0..run.pick(STARTS, 3)).map(|_| run.sample(once)).collect::<Result<_>>()?;
    let figure = run.figure(name, "start to ready", "ms", median(&times));
    Ok(Some(figure.with_goal(Goal::AtMost(50.0))))
}

/// The packages below `crates/` that have a library, by name.
fn libraries() -> Result<Vec<String>> {
    let said = cmd::output(&mut cmd::cargo(&[
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version=1",
    ]))?;
    let metadata: serde_json::Value = serde_json::from_str(&said)?;
    let packages = metadata["packages"].as_array().context("cargo names no packages")?;
    let is_ours = |package: &&serde_json::Value| {
        let folder = package["manifest_path"].as_str().map(PathBuf::from);
        let in_crates = folder.is_some_and(|path| path.iter().any(|part| part == "crates"));
        let kinds = package["targets"].as_array().into_iter().flatten().map(|t| &t["kind"][0]);
        in_crates && kinds.into_iter().any(|kind| kind == "lib") && package["name"] != "testkit"
    };
    let names = packages.iter().filter(is_ours).filter_map(|p| p["name"].as_str());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// Every crate that is compiled for this one with its default features, itself left out.
fn dependencies(package: &str) -> Result<BTreeSet<String>> {
    let said = cmd::output(&mut cmd::cargo(&[
        "tree",
        "--locked",
        "-p",
        package,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    let names = said.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| *name != package).map(str::to_owned).collect())
}

/// The time of a build from nothing, for development, in a target folder of its own.
fn clean_build(run: &Run, case: &str, arguments: &[&str]) -> Result<Figure> {
    let seconds = run.sample(|| {
        let folder = tempfile::Builder::new().prefix("bench-size-").tempdir()?;
        let from = Instant::now();
        let mut build = cmd::cargo(arguments);
        cmd::run(build.env("CARGO_TARGET_DIR", folder.path()), "see the compiler's message")?;
        Ok(from.elapsed().as_secs_f64())
    })?;
    Ok(run.figure(case, "clean build", "s", seconds))
}
