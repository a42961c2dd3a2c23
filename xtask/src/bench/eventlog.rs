//! `bench eventlog`: what each backend of the log takes, and how soon and how fast it gives it back.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Bench;
use super::figure::{Figure, Goal};
use super::run::Run;

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "eventlog",
    about: "64 writers of 300 bytes into SQLite and JetStream, against a plain synced file",
    take,
};

/// The one whose goals are about SQLite at level process.
const PROCESS: &str = "sqlite, level process";

/// One line of the bench.
#[derive(Deserialize)]
struct Line {
    case: String,
    metric: String,
    unit: String,
    value: f64,
}

fn take(run: &Run) -> Result<Vec<Figure>> {
    let arguments: &[&str] = run.pick(&[], &["quick"]);
    let said = run.sample(|| run.cargo_bench("eventlog", "append", arguments))?;
    let lines: Vec<Line> = said
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("it said {line:?}")))
        .collect::<Result<_>>()?;
    let rate = |case: &str| {
        let found = lines.iter().find(|line| line.case == case && line.metric == "acknowledged");
        found.map(|line| line.value).with_context(|| format!("the bench gave no rate of {case}"))
    };
    // Who waits for each line by itself is level power alone; whoever gathers has 64 at once.
    let baselines = BTreeMap::from([
        ("sqlite, level power", rate("plain file, synced each 1 lines")?),
        (PROCESS, rate("plain file, synced each 64 lines")?),
        ("jetstream", rate("plain file, synced each 64 lines")?),
    ]);
    Ok(lines.into_iter().map(|line| figure(run, line, &baselines)).collect())
}

fn figure(run: &Run, line: Line, baselines: &BTreeMap<&str, f64>) -> Figure {
    let goal = match (line.case.as_str(), line.metric.as_str()) {
        (PROCESS, "acknowledged") => Some(Goal::AtLeast(50_000.0)),
        (PROCESS, "append, p99") => Some(Goal::AtMost(20.0)),
        ("sqlite, level process, 1,000 events/s", "lag of the follower, p99") => {
            Some(Goal::AtMost(2.0))
        }
        (PROCESS, "read back by 256 KiB") => Some(Goal::AtLeast(500_000.0)),
        _ => None,
    };
    let baseline =
        baselines.get(line.case.as_str()).filter(|_| line.metric == "acknowledged").copied();
    // The few names of a run live as long as it does.
    let (metric, unit) = (line.metric.leak(), line.unit.leak());
    let mut figure = run.figure(line.case, metric, unit, line.value);
    if let Some(baseline) = baseline {
        figure = figure.against(baseline);
    }
    match goal {
        Some(goal) => figure.with_goal(goal),
        None => figure,
    }
}
