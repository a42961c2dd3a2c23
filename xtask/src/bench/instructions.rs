//! `bench instructions`: how many instructions the hot paths take, against the counts that are kept
//! in the repository. They depend on the compiler and not on what else the machine does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Bench;
use super::figure::{Figure, Goal};
use super::run::Run;
use crate::{progress, tools};

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "instructions",
    about: "instructions of the hot paths under callgrind, against xtask/instructions.toml",
    take,
};

/// How much a count may grow: what a change of the surrounding code does to inlining, and no more.
const TOLERANCE: f64 = 0.03;

/// The case of the program, what it counts, and how many of them one repeat holds.
const CASES: [(&str, &str, f64); 5] = [
    ("frames", "relay of a frame of 128 B", 64.0),
    ("sse", "decoding an event of 200 B", 80.0),
    ("gate-borrowed", "borrowed pass of a gate", 1.0),
    ("gate-owned", "owned pass of a gate", 1.0),
    ("filter", "publish to a category that is off", 1.0),
];

/// Repeats of the two runs of a case. What differs between them is the path and nothing else.
const REPEATS: [u32; 2] = [1000, 5000];

/// The file in the repository.
#[derive(Debug, Default, PartialEq, Deserialize)]
struct Kept {
    counts: BTreeMap<String, f64>,
}

impl Kept {
    fn text(&self) -> String {
        let head = "# Instructions of the hot paths, counted by callgrind. Written by:\n\
                    # cargo xtask bench instructions --bless\n\n[counts]\n";
        let line = |(what, count): (&String, &f64)| format!("{what:?} = {count:.1}\n");
        head.to_owned() + &self.counts.iter().map(line).collect::<String>()
    }
}

fn take(run: &Run) -> Result<Vec<Figure>> {
    let Some(valgrind) = tools::on_path("valgrind") else {
        progress::note("skipped: valgrind is not installed (apt-get install valgrind)");
        return Ok(Vec::new());
    };
    let program = run.bench_binary("testkit", "instructions")?;
    let path = tools::root().join("xtask/instructions.toml");
    let kept: Kept = match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).context("xtask/instructions.toml")?,
        Err(_) => Kept::default(),
    };
    let mut now = Kept::default();
    let mut figures = Vec::new();
    for (case, what, holds) in CASES {
        let [few, many] = REPEATS;
        let more = count(&valgrind, &program, case, many)? - count(&valgrind, &program, case, few)?;
        let each = (more / f64::from(many - few) / holds * 10.0).round() / 10.0;
        now.counts.insert(what.to_owned(), each);
        let figure = run.figure(what, "instructions", "", each);
        figures.push(match kept.counts.get(what) {
            Some(before) => figure.against(*before).with_goal(Goal::RatioAtMost(1.0 + TOLERANCE)),
            None => figure,
        });
    }
    if run.bless() {
        fs::write(&path, now.text()).context("xtask/instructions.toml")?;
        progress::note(&format!("written: {}", path.display()));
    } else {
        tell(&figures);
    }
    let grown: Vec<&str> =
        figures.iter().filter(|f| f.holds == Some(false)).map(|f| f.case.as_str()).collect();
    if run.check() && !grown.is_empty() {
        bail!("more instructions than kept: {}; make it cheaper, or bless it", grown.join(", "));
    }
    Ok(figures)
}

/// Says what to do about counts that are new or have shrunk.
fn tell(figures: &[Figure]) {
    for figure in figures {
        let what = &figure.case;
        match figure.ratio {
            None => progress::note(&format!("{what}: nothing kept yet; bless it")),
            Some(ratio) if ratio < 1.0 - TOLERANCE => {
                progress::note(&format!("{what}: fewer than kept; bless it, so that they stay"));
            }
            Some(_) => {}
        }
    }
}

/// Instructions of one run of one case.
fn count(valgrind: &Path, program: &Path, case: &str, repeats: u32) -> Result<f64> {
    let output = Command::new(valgrind)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([case, &repeats.to_string()])
        .output()
        .context("valgrind did not start")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let counted = said.lines().find_map(|line| line.split_once("Collected :"));
    let counted = counted.and_then(|(_, number)| number.trim().parse().ok());
    match counted {
        Some(count) if output.status.success() => Ok(count),
        _ => bail!("{case} under valgrind ended with {}: {said}", output.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_can_be_read_again() {
        let kept = Kept { counts: [("a pass".to_owned(), 21.0)].into() };
        assert_eq!(toml::from_str::<Kept>(&kept.text()).unwrap(), kept);
    }

    #[test]
    fn every_case_has_a_count_in_the_repository() {
        let text = fs::read_to_string(tools::root().join("xtask/instructions.toml")).unwrap();
        let kept: Kept = toml::from_str(&text).unwrap();
        let cases: Vec<&str> = CASES.iter().map(|(_, what, _)| *what).collect();
        assert!(cases.iter().all(|case| kept.counts.contains_key(*case)), "{kept:?}");
        assert_eq!(cases.len(), kept.counts.len(), "{kept:?}");
    }
}
