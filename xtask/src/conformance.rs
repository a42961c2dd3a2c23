//! `cargo xtask conformance ws`: the Autobahn suite against an echo server, once directly and once
//! through the sidecar, case by case. What holds without us has to hold with us.

mod compare;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use testkit::daemon::Options;

use crate::conformance::compare::{Results, compared};
use crate::{cmd, progress, tools};

/// The last version of the suite that its own project released and ran for years.
const SUITE: &str = "autobahntestsuite==0.8.2";
/// What neither side offers: compression.
const NOT_OFFERED: [&str; 2] = ["12.*", "13.*"];

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    of: Protocol,
}

#[derive(Subcommand)]
enum Protocol {
    /// WebSocket, by the Autobahn suite (needs Python 2.7)
    Ws {
        /// Cases to run, such as `2.*`
        #[arg(default_value = "*")]
        cases: Vec<String>,
        /// The Python 2.7 to install and run the suite with
        #[arg(long, default_value = "python2.7")]
        python: PathBuf,
    },
}

/// Runs the suite on both and compares.
///
/// # Errors
/// When a case is worse through the sidecar than without it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Protocol::Ws { cases, python } = &arguments.of;
    let Some(python) = python_2(python) else {
        println!(
            "SKIPPED: the Autobahn suite needs Python 2.7 and there is none called {}; install \
             one and name it with --python",
            python.display()
        );
        return Ok(());
    };
    let suite = progress::step("install the Autobahn suite", || install(&python))?;
    progress::step("build the sidecar", || {
        let build = ["build", "--locked", "--package", "devtools-proxyd"];
        cmd::run(&mut cmd::cargo(&build), "see the compiler's message above")
    })?;
    let folder = tempfile::tempdir()?;
    let echo = lockkeeper_tests::serve_echo()?;
    let sidecar = Options::new(tools::target_dir()?.join("debug/devtools-proxyd"))
        .env("LOCKKEEPER_BROWSER_URL", format!("ws://{echo}/devtools/browser/echo"))
        .start()
        .map_err(anyhow::Error::msg)?;
    let reports = folder.path().join("reports");
    let server = |agent: &str, url: String| json!({ "agent": agent, "url": url });
    let order = json!({
        "outdir": reports,
        "servers": [server("direct", format!("ws://{echo}")), server("relayed", sidecar.ws_base())],
        "cases": cases,
        "exclude-cases": NOT_OFFERED,
        "exclude-agent-cases": {},
    });
    let file = folder.path().join("order.json");
    std::fs::write(&file, order.to_string())?;
    progress::step("run the cases on both", || {
        let arguments = ["--mode", "fuzzingclient", "--spec", &file.to_string_lossy()];
        let mut run = with_packages(Command::new(&python), &suite);
        run.args([suite.join("bin/wstest").as_os_str()])
            .args(arguments)
            .stdin(std::process::Stdio::null());
        cmd::run(&mut run, "the suite has said why")
    })?;
    let results = std::fs::read_to_string(reports.join("index.json"))
        .context("the suite has written no results")?;
    let results: Results = serde_json::from_str(&results)?;
    let comparison = compared(&results)?;
    println!("{comparison}");
    match comparison.worse() {
        0 => Ok(()),
        worse => bail!("{worse} cases are worse through the sidecar than without it"),
    }
}

/// A Python of this name that says it is 2.7.
fn python_2(name: &Path) -> Option<PathBuf> {
    let program = match name.components().count() {
        1 => tools::on_path(&name.to_string_lossy())?,
        _ => name.to_owned(),
    };
    let version = ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"];
    let said = Command::new(&program).args(version).output().ok()?;
    (String::from_utf8_lossy(&said.stdout).trim() == "2.7").then_some(program)
}

/// Installs the suite into a folder of its own, once.
fn install(python: &Path) -> Result<PathBuf> {
    let folder = tools::root().join(".tools/autobahn");
    if folder.join("bin/wstest").exists() {
        progress::note("it is installed");
        return Ok(folder);
    }
    let mut pip = with_packages(Command::new(python), &folder);
    pip.args(["-m", "pip", "install", "--quiet", "--user", "--no-warn-script-location", SUITE]);
    cmd::run(&mut pip, "this Python needs pip, and pip a package index")?;
    Ok(folder)
}

/// With the packages of this folder, which is what Python calls the user's.
fn with_packages(mut command: Command, folder: &Path) -> Command {
    command.env("PYTHONUSERBASE", folder).env("PYTHONWARNINGS", "ignore");
    command
}
