//! `cargo xtask chaos`: real daemons, browsers and clients, and faults from a seed.
//!
//! The work is done by `lockkeeper-chaos` in the package of the end-to-end tests, which has the
//! clients; this builds it together with the daemons and starts it.

use anyhow::Result;

use crate::{cmd, progress, setup, tools};

/// Builds what it needs and runs it; `arguments` go to it as they are.
///
/// # Errors
/// When anything was reported other than it was done, was lost, or was left behind.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::all()?;
    progress::step("build the daemons and the faults", || {
        let build = [
            "build",
            "--locked",
            "--package",
            "lockkeeperd",
            "--package",
            "devtools-proxyd",
            "--package",
            "listenerd",
            "--package",
            "lockkeeper-tests",
            "--bins",
        ];
        cmd::run(&mut cmd::cargo(&build), "see the compiler's message above")
    })?;
    built(arguments)
}

/// Runs it as it was built before.
///
/// # Errors
/// As [`run`].
pub(crate) fn built(arguments: &[String]) -> Result<()> {
    println!("==> chaos");
    let program = tools::target_dir()?.join("debug/lockkeeper-chaos");
    cmd::run(
        std::process::Command::new(program).args(arguments),
        "the table says what was reported instead of what was done; the last line repeats it",
    )
}
