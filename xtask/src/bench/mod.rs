//! `cargo xtask bench`: figures anyone can repeat.
//!
//! Candidates and baseline run in turn in the same rounds, since machines are noisy; what counts is
//! the ratio. Whether a goal holds is printed and does not change the exit status.

mod figure;
mod sandbox;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use figure::Figure;

use crate::{build, cmd, setup, tools};

/// Counted rounds of the sandbox bench; the median of five is steady to a few per cent.
const SANDBOX_ROUNDS: usize = 5;

/// Runs one bench with release binaries; raw figures go to `target/bench/`.
///
/// # Errors
/// When a figure could not be taken.
pub(crate) fn run(what: &str, json: bool) -> Result<()> {
    let out = tools::target_dir()?.join("bench");
    match what {
        "sandbox" => {
            let daemon = daemon(json)?;
            finish("sandbox", &sandbox::run(&daemon, SANDBOX_ROUNDS)?, &out, json)
        }
        other => bail!("there is no bench {other:?}"),
    }
}

/// The release daemon; with `json` nothing but figures may reach standard output.
fn daemon(json: bool) -> Result<PathBuf> {
    if json {
        let path = tools::target_dir()?.join("release/lockkeeperd");
        let mut build =
            cmd::cargo(&["build", "--release", "--locked", "--quiet", "-p", "lockkeeperd"]);
        cmd::output(&mut build)?;
        return Ok(path);
    }
    setup::browsers()?;
    Ok(build::release(&["lockkeeperd"])?.remove(0))
}

fn finish(name: &str, figures: &[Figure], out: &Path, json: bool) -> Result<()> {
    for figure in figures {
        figure.print(json);
    }
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let path = out.join(format!("{name}.json"));
    fs::write(&path, serde_json::to_vec_pretty(figures)?)
        .with_context(|| format!("{} cannot be written", path.display()))
}
