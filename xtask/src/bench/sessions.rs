//! `bench sessions`: listeners by the thousand, what each holds and how soon they end; and what a
//! gateway carries from runners to subscribers.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::Bench;
use super::figure::{Figure, Goal};
use super::run::Run;
use crate::build;

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "sessions",
    about: "quiet listeners: memory for each, time to end them; events from runners to subscribers",
    take,
};

fn take(run: &Run) -> Result<Vec<Figure>> {
    let mut figures = listeners(run)?;
    figures.extend(streams(run)?);
    Ok(figures)
}

/// One line of the bench of streams.
#[derive(Deserialize)]
struct Line {
    case: String,
    metric: String,
    unit: String,
    value: f64,
}

/// The gateway is a process of its own; runners and subscribers are in another one.
fn streams(run: &Run) -> Result<Vec<Figure>> {
    let gateway = build::release(&["listenerd"])?.remove(0);
    let gateway = gateway.to_str().context("the path of the gateway is no text")?;
    let [events, seconds] = run.pick(["500000", "20"], ["50000", "2"]);
    let said = run.sample(|| {
        run.cargo_bench("between-run-listener", "streams", &[gateway, events, seconds])
    })?;
    let figure = |line: &str| {
        let line: Line =
            serde_json::from_str(line).with_context(|| format!("the bench said {line:?}"))?;
        let goal = match &*line.metric {
            "logged and read by all" => Some(Goal::AtLeast(50_000.0)),
            "from runner to subscriber, p99" => Some(Goal::AtMost(10.0)),
            _ => None,
        };
        // The few names of a run live as long as it does.
        let (metric, unit) = (line.metric.leak(), line.unit.leak());
        let figure = run.figure(line.case, metric, unit, line.value);
        Ok(match goal {
            Some(goal) => figure.with_goal(goal),
            None => figure,
        })
    };
    said.lines().map(figure).collect()
}

/// The runner is a process of its own; each listener gets a heartbeat every 15 s.
fn listeners(run: &Run) -> Result<Vec<Figure>> {
    let arguments = run.pick(["5000", "20"], ["500", "2"]);
    let said = run.sample(|| run.cargo_bench("between-run-listener", "listeners", &arguments))?;
    let read: Value = serde_json::from_str(said.trim())
        .with_context(|| format!("the bench of listeners said {said:?}"))?;
    let number = |name: &str| {
        read[name].as_f64().with_context(|| format!("the bench of listeners gave no {name}"))
    };
    let case = format!("{} listeners", number("listeners")?);
    let one = run.figure(&case, "cancel of one, p99", "ms", number("cancel_one_p99_ms")?);
    let all = run.figure(&case, "cancel of all", "ms", number("cancel_all_ms")?);
    let each = run.figure(&case, "memory of each", "KiB", number("bytes_each")? / 1024.0);
    Ok(vec![
        each.with_goal(Goal::AtMost(16.0)),
        one.with_goal(Goal::AtMost(10.0)),
        all.with_goal(Goal::AtMost(500.0)),
    ])
}
