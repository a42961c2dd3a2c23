//! `cargo xtask fuzz`: searches for inputs that break a parser, guided by coverage.
//!
//! The corpus in the repository is where each search starts; what it finds on the way stays in the
//! target folder. An input that breaks a target is written to `target/fuzz/artifacts`: put it into
//! `fuzz/corpus/TARGET`, where the tests replay it from then on.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cmd, progress, tools};

/// What libFuzzer needs to see which code an input reaches. The same as `cargo fuzz` sets, without
/// its sanitizer: there is no unsafe code to watch.
const INSTRUMENTATION: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions=yes -Coverflow-checks=yes -Ccodegen-units=1";
/// Largest input: twice the largest buffer limit among the targets.
const MAX_INPUT: &str = "-max_len=8192";
/// An input that takes longer counts as a hang.
const TIMEOUT: &str = "-timeout=20";

/// Fuzzes each target, or one, for that many seconds each.
///
/// # Errors
/// When an input broke a target; its file is named.
pub(crate) fn run(seconds: u64, only: Option<&str>) -> Result<()> {
    let root = tools::root();
    let Some(nightly) = nightly() else {
        println!("==> fuzzing");
        progress::note("skipped: no nightly toolchain (rustup toolchain install nightly)");
        return Ok(());
    };
    let (host, target) = (host()?, tools::target_dir()?.join("fuzz"));
    progress::step("build the fuzzer (nightly)", || {
        let mut build = Command::new("cargo");
        build
            .arg(nightly)
            .args(["build", "--release", "--locked", "--package", "lockkeeper-fuzz"])
            .args(["--features", "libfuzzer", "--target", &host])
            .current_dir(root)
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", INSTRUMENTATION)
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_STRIP", "none")
            .env_remove("RUSTUP_TOOLCHAIN");
        cmd::run(&mut build, "see the compiler's message above")
    })?;
    let program = target.join(&host).join("release/lockkeeper-fuzz");
    for name in names(&root.join("fuzz/corpus"))? {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let (found, artifacts) = (target.join("corpus").join(&name), target.join("artifacts"));
        std::fs::create_dir_all(&found)?;
        std::fs::create_dir_all(&artifacts)?;
        progress::step(&format!("fuzz {name} for {seconds} s"), || {
            let mut fuzz = Command::new(&program);
            fuzz.env("LOCKKEEPER_FUZZ_TARGET", &name)
                .arg(&found)
                .arg(root.join("fuzz/corpus").join(&name))
                .args([MAX_INPUT, TIMEOUT, "-print_final_stats=1", "-verbosity=0"])
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-artifact_prefix={}/{name}-", artifacts.display()));
            cmd::run(&mut fuzz, "the input is in the file named above")
        })?;
    }
    Ok(())
}

/// This machine's target. Build scripts and procedural macros must not be instrumented, and naming
/// the target keeps them apart.
fn host() -> Result<String> {
    let version = cmd::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

/// How cargo is told to use a nightly compiler, if there is one.
fn nightly() -> Option<&'static str> {
    let found = Command::new("cargo").args(["+nightly", "--version"]).output().ok()?;
    found.status.success().then_some("+nightly")
}

/// The targets: each has a folder in the corpus, which the tests of the package hold.
fn names(corpus: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(corpus).with_context(|| format!("{}", corpus.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
