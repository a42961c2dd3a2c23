//! `cargo xtask bench`: figures anyone can repeat.
//!
//! Candidates and baseline run in turn in the same rounds, since machines are noisy; what counts is
//! the ratio. Whether a goal holds is printed and does not change the exit status; a figure that
//! could not be taken does. Figures go to standard output, all else to standard error.
//!
//! A bench is one file with a [`Bench`] in it, and one line in [`BENCHES`].

mod chart;
mod criterion;
mod density;
mod disturbance;
mod drain;
mod eventlog;
mod figure;
mod gate;
mod instructions;
mod relay;
mod run;
mod sandbox;
mod sessions;
mod size;
mod stats;
mod telemetry;

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;

use figure::Figure;
use run::Run;

use crate::progress;

/// Every bench, in the order in which `all` takes them.
const BENCHES: &[&Bench] = &[
    &relay::BENCH,
    &sandbox::BENCH,
    &drain::BENCH,
    &gate::BENCH,
    &sessions::BENCH,
    &eventlog::BENCH,
    &telemetry::BENCH,
    &density::BENCH,
    &size::BENCH,
    &instructions::BENCH,
];

/// One subject that can be measured.
struct Bench {
    /// As on the command line.
    name: &'static str,
    /// What is compared with what, in one line.
    about: &'static str,
    /// Takes every figure or says why it could not.
    take: fn(&Run) -> Result<Vec<Figure>>,
}

/// The command line of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to measure
    #[arg(default_value = "all", value_parser = names())]
    what: String,
    /// One JSON object a figure on standard output
    #[arg(long)]
    json: bool,
    /// Few and short rounds: whether it works, not what it costs
    #[arg(long)]
    quick: bool,
    /// density: the most sandboxes
    #[arg(long, default_value_t = 50)]
    max: usize,
    /// density: stop when less than so many MiB of memory are left
    #[arg(long, default_value_t = density::MEMORY_LEFT)]
    leave: f64,
    /// size: time clean builds too, which takes long
    #[arg(long)]
    builds: bool,
    /// instructions: keep the counts of now as those to compare with
    #[arg(long)]
    bless: bool,
    /// instructions: fail when a count has grown beyond the tolerance
    #[arg(long, conflicts_with = "bless")]
    check: bool,
}

fn names() -> PossibleValuesParser {
    BENCHES.iter().map(|bench| bench.name).chain(["all"]).collect::<Vec<_>>().into()
}

/// Runs one bench or all of them with optimised binaries; what they gave also goes to
/// `target/bench/NAME.json`.
///
/// # Errors
/// When a figure could not be taken. The benches behind that one are run all the same.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    progress::keep_stdout_for_results();
    let mut failed = Vec::new();
    for bench in BENCHES.iter().filter(|b| arguments.what == "all" || arguments.what == b.name) {
        progress::say(&format!("==> bench {}: {}", bench.name, bench.about));
        let run = Run::new(bench.name, arguments)?;
        match (bench.take)(&run).and_then(|figures| run.finish(figures)) {
            Ok(figures) if arguments.json => figures.iter().for_each(Figure::print_json),
            Ok(figures) => figure::print_table(&figures),
            Err(e) => {
                progress::note(&format!("bench {} failed: {e:#}", bench.name));
                failed.push(bench.name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("no figures of: {}; the reason is above", failed.join(", "));
    }
    Ok(())
}
