//! What a change has to pass: the tests, and everything else.

use std::path::PathBuf;

use anyhow::Result;

use crate::{chaos, cmd, fuzz, progress, setup, tidy, tools};

/// Sets up, builds what the tests start, and runs them all; `arguments` go to the test runner.
///
/// # Errors
/// The first step that fails.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    setup::all()?;
    build_tests()?;
    if arguments.is_empty() {
        doc_tests()?;
    }
    run_tests(arguments)
}

/// What each fuzz target gets in [`ci`]: under a minute in all, and skipped visibly where there is no
/// nightly compiler.
const FUZZ_SECONDS: u64 = 8;

/// Runs everything a change has to pass: what fails fastest comes first, the tests come last, so
/// that the output closes with their summary.
///
/// # Errors
/// The first step that fails.
pub(crate) fn ci() -> Result<()> {
    cargo("formatting", &["fmt", "--all", "--check"], "run: cargo fmt --all")?;
    tidy::run()?;
    setup::all()?;
    licences()?;
    cargo(
        "lints",
        &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        "fix what clippy names above",
    )?;
    progress::step("documentation", || {
        let mut doc = cmd::cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
        cmd::run(doc.env("RUSTDOCFLAGS", "-D warnings"), "fix the links and pages named above")
    })?;
    MODELS.iter().filter(|model| model.in_ci).try_for_each(search)?;
    fuzz::run(FUZZ_SECONDS, None)?;
    build_tests()?;
    doc_tests()?;
    // A fixed seed: the same change gets the same faults.
    chaos::built(&["--seed".to_owned(), "1".to_owned()])?;
    run_tests(&[])
}

/// A step that is one cargo command.
fn cargo(title: &str, arguments: &[&str], remedy: &str) -> Result<()> {
    progress::step(title, || cmd::run(&mut cmd::cargo(arguments), remedy))
}

/// Builds the tests and, in one go and with the same features, the binaries that they start.
fn build_tests() -> Result<()> {
    cargo(
        "build tests and the binaries they start",
        &["build", "--workspace", "--bins", "--tests", "--locked"],
        "see the compiler's message above",
    )?;
    // A workspace of its own, in a folder of its own: what it depends on is compiled for nobody else.
    let target = tools::target_dir()?.join("rust-client");
    progress::step("build the client in Rust", || {
        let mut build = cmd::cargo(&["build", "--locked", "--manifest-path"]);
        build.arg(tools::clients_dir().join("rust/Cargo.toml")).arg("--target-dir").arg(target);
        cmd::run(&mut build, "see the compiler's message above")
    })
}

fn doc_tests() -> Result<()> {
    cargo(
        "examples in the documentation",
        &["test", "--workspace", "--doc", "--locked"],
        "make the example do what its page says",
    )
}

/// Not a step with a closing line of its own: the runner's summary is the last word.
fn run_tests(arguments: &[String]) -> Result<()> {
    println!("==> tests");
    let mut command = if has_subcommand("nextest") {
        cmd::cargo(&["nextest", "run", "--workspace", "--locked"])
    } else {
        progress::note("cargo-nextest is not installed, so these run one package at a time");
        cmd::cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--locked"])
    };
    cmd::run(
        command.args(arguments),
        "read the first failure above; one test alone: cargo xtask test NAME",
    )
}

/// A crate whose races are searched: its cfg, and which of its tests are models.
struct Model {
    title: &'static str,
    cfg: &'static str,
    test: &'static [&'static str],
    /// Whether [`ci`] searches it too: all that take long to build and search are left to
    /// `cargo xtask model`.
    in_ci: bool,
}

const MODELS: [Model; 4] = [
    Model {
        title: "draingate",
        cfg: "draingate_loom",
        // Optimised, because it searches longest.
        test: &["--package", "draingate", "--release", "--test", "loom"],
        in_ci: true,
    },
    Model {
        title: "the registry of listeners",
        cfg: "lockkeeper_loom",
        test: &["--package", "between-run-listener", "--lib", "registry::model"],
        in_ci: false,
    },
    Model {
        title: "facts about a browser and who waits for them",
        cfg: "lockkeeper_loom",
        test: &["--package", "upstream", "--lib", "publish::races"],
        in_ci: false,
    },
    Model {
        title: "events on their way to the writer",
        cfg: "lockkeeper_loom",
        test: &["--package", "telemetry", "--lib", "handle::races"],
        in_ci: false,
    },
];

/// Tries every order of the steps in which threads can race.
///
/// # Errors
/// When it has found a race.
pub(crate) fn model() -> Result<()> {
    MODELS.iter().try_for_each(search)
}

/// The model checker builds a crate with another cfg, so it gets a target folder of its own.
fn search(model: &Model) -> Result<()> {
    progress::step(&format!("races of {} (loom)", model.title), || {
        let target = tools::target_dir()?.join("loom").join(model.cfg);
        let mut test = cmd::cargo(&["test", "--locked"]);
        test.args(model.test)
            .env("CARGO_TARGET_DIR", target)
            .env("RUSTFLAGS", format!("--cfg {}", model.cfg))
            // Linking it as a release costs more than that gains.
            .env("CARGO_PROFILE_RELEASE_LTO", "off");
        cmd::run(&mut test, "the model checker has found a race; its message names the schedule")
    })
}

/// Without the advisories: they change from day to day, and a change is not to blame for that.
fn licences() -> Result<()> {
    if !has_subcommand("deny") {
        println!("==> licences and sources");
        progress::note("skipped: cargo-deny is not installed (cargo install --locked cargo-deny)");
        return Ok(());
    }
    cargo(
        "licences and sources",
        &["deny", "--offline", "check", "bans", "licenses", "sources"],
        "see deny.toml, which says what is allowed and why",
    )
}

/// Whether `cargo NAME` is there, in the places where cargo itself looks for it.
fn has_subcommand(name: &str) -> bool {
    let program = format!("cargo-{name}");
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    tools::on_path(&program).is_some()
        || home.is_some_and(|home| home.join("bin").join(&program).is_file())
}
