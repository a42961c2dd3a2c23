//! What a bench is given: its options, programs to measure, and samples that others did not disturb.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::json;

use super::Arguments;
use super::disturbance::Watch;
use super::figure::Figure;
use crate::{build, cmd, progress, setup, tools};

/// Other processes may use this much of one core during a sample. Chosen above what a desktop or a
/// monitoring agent uses at rest, and well below one compiler.
const DISTURBED: f64 = 0.10;

/// A disturbed sample is taken again at most so often...
const REPEATS_A_SAMPLE: usize = 2;
/// ... and all samples of a bench together so often, so that a busy machine still gets an answer.
const REPEATS: usize = 10;

/// One run of one bench.
pub(crate) struct Run {
    bench: &'static str,
    quick: bool,
    most: usize,
    leave: f64,
    builds: bool,
    bless: bool,
    check: bool,
    target: PathBuf,
    samples: Cell<usize>,
    disturbed: Cell<usize>,
    repeats: Cell<usize>,
}

impl Run {
    /// A run of this bench.
    pub(super) fn new(bench: &'static str, arguments: &Arguments) -> Result<Self> {
        Ok(Self {
            bench,
            quick: arguments.quick,
            most: arguments.max,
            leave: arguments.leave,
            builds: arguments.builds,
            bless: arguments.bless,
            check: arguments.check,
            target: tools::target_dir()?,
            samples: Cell::new(0),
            disturbed: Cell::new(0),
            repeats: Cell::new(0),
        })
    }

    /// `full`, or with `--quick` the other.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The most sandboxes that may be started.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// MiB of memory that a bench has to leave.
    pub(crate) fn leave(&self) -> f64 {
        self.leave
    }

    /// Whether clean builds are timed.
    pub(crate) fn builds(&self) -> bool {
        self.builds
    }

    /// Whether the counts of instructions are to be kept.
    pub(crate) fn bless(&self) -> bool {
        self.bless
    }

    /// Whether counts of instructions that have grown are a failure.
    pub(crate) fn check(&self) -> bool {
        self.check
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A figure of this bench without a baseline.
    pub(crate) fn figure(
        &self,
        case: impl Into<String>,
        metric: &'static str,
        unit: &'static str,
        value: f64,
    ) -> Figure {
        Figure::new(self.bench, case, metric, unit, value)
    }

    /// A release binary, built now; with the browsers it needs, if it needs them.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn release(&self, binary: &str) -> Result<PathBuf> {
        setup::browsers()?;
        Ok(build::release(&[binary])?.remove(0))
    }

    /// Runs one of cargo's bench targets and gives what it wrote to standard output.
    ///
    /// # Errors
    /// When it cannot be built or fails.
    pub(crate) fn cargo_bench(
        &self,
        package: &str,
        bench: &str,
        arguments: &[&str],
    ) -> Result<String> {
        let mut command = cmd::cargo(&["bench", "--locked", "-p", package, "--bench", bench, "--"]);
        cmd::output(command.args(arguments).stderr(Stdio::inherit()))
    }

    /// Builds one of cargo's bench targets without running it, and gives its path.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn bench_binary(&self, package: &str, bench: &str) -> Result<PathBuf> {
        let arguments = ["bench", "--locked", "--no-run", "-p", package, "--bench", bench];
        let mut command = cmd::cargo(&arguments);
        let said = cmd::output(
            command.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit()),
        )?;
        said.lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| message["target"]["name"] == bench)
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .with_context(|| format!("cargo names no executable of the bench {bench}"))
    }

    /// Takes one sample. If other processes were busy meanwhile, takes it again, within bounds, and
    /// keeps the one that was disturbed least.
    ///
    /// # Errors
    /// Those of the sample.
    pub(crate) fn sample<T>(&self, mut take: impl FnMut() -> Result<T>) -> Result<T> {
        self.samples.set(self.samples.get() + 1);
        let mut best: Option<(f64, T)> = None;
        for attempt in 0..=REPEATS_A_SAMPLE {
            let watch = Watch::start()?;
            let sample = take()?;
            let others = watch.others()?;
            if best.as_ref().is_none_or(|(least, _)| others < *least) {
                best = Some((others, sample));
            }
            let again = attempt < REPEATS_A_SAMPLE && self.repeats.get() < self.pick(REPEATS, 0);
            if others <= DISTURBED || !again {
                break;
            }
            self.repeats.set(self.repeats.get() + 1);
        }
        let (others, sample) = best.context("no sample")?;
        if others > DISTURBED {
            self.disturbed.set(self.disturbed.get() + 1);
        }
        Ok(sample)
    }

    /// Notes in each figure how quiet the machine was, and writes the raw file.
    pub(super) fn finish(&self, mut figures: Vec<Figure>) -> Result<Vec<Figure>> {
        let (samples, disturbed) = (self.samples.get(), self.disturbed.get());
        if samples > 0 {
            progress::note(&format!(
                "{disturbed} of {samples} samples were disturbed: other processes used more than \
                 {DISTURBED:.2} of a core; {} were taken again for that",
                self.repeats.get()
            ));
            for figure in &mut figures {
                figure.disturbed = Some(disturbed as f64 / samples as f64);
            }
        }
        let raw = json!({
            "bench": self.bench,
            "quick": self.quick,
            "machine": machine(),
            "samples": samples,
            "disturbed": disturbed,
            "repeats": self.repeats.get(),
            "figures": figures,
        });
        let path = self.out(&format!("{}.json", self.bench))?;
        fs::write(&path, serde_json::to_vec_pretty(&raw)?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        progress::note(&format!("raw: {}", path.display()));
        Ok(figures)
    }

    /// A file in `target/bench/`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn out(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join("bench");
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(folder.join(name))
    }
}

/// What a figure was taken on: the processor, how many, the kernel, and the load at the end.
fn machine() -> serde_json::Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "processor": model.map(|(_, name)| name),
        "cores": std::thread::available_parallelism().map(usize::from).unwrap_or(1),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").trim(),
    })
}
