//! `bench drain`: the end of a node with a thousand sandboxes.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Bench;
use super::figure::{Figure, Goal};
use super::run::Run;
use super::stats::{median, quantile};

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "drain",
    about: "the end of 1,000 sandboxes without processes, beyond the end of the slowest one",
    take,
};

fn take(run: &Run) -> Result<Vec<Figure>> {
    let arguments = run.pick(["1000", "21"], ["1000", "3"]);
    let said = run.sample(|| run.cargo_bench("orchestrator", "drain", &arguments))?;
    let read: Value = serde_json::from_str(said.trim())
        .with_context(|| format!("the bench of draining said {said:?}"))?;
    let sandboxes = read["sandboxes"].as_u64().context("it gave no number of sandboxes")?;
    let mut figures = Vec::new();
    for (name, how) in [("deleted_ms", "deleted in a drain"), ("forced_ms", "stopped by force")] {
        let rounds = read[name].as_array().with_context(|| format!("it gave no {name}"))?;
        let rounds: Vec<f64> = rounds.iter().filter_map(Value::as_f64).collect();
        let case = format!("{sandboxes} sandboxes {how}");
        let figure = |metric, value| run.figure(&case, metric, "ms", value);
        figures.push(
            figure("beyond the slowest, median", median(&rounds)).with_goal(Goal::AtMost(50.0)),
        );
        figures.push(figure("beyond the slowest, worst round", quantile(&rounds, 1.0)));
    }
    Ok(figures)
}
