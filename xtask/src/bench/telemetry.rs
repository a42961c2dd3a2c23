//! `bench telemetry`: what an event costs whoever publishes it, what observing commands costs the
//! edge, and a thousand open streams.

use anyhow::{Context, Result};
use serde_json::Value;

use super::figure::{Figure, Goal};
use super::run::Run;
use super::{Bench, criterion};

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "telemetry",
    about: "the cost of publishing and of observing, and 1,000 streams at 1,000 events a second",
    take,
};

fn take(run: &Run) -> Result<Vec<Figure>> {
    let medians = criterion::medians(run, "telemetry", "publish")?;
    let cost = |case: &str, goal: f64| {
        let name = format!("publish/{case}");
        let value = medians.get(&name).with_context(|| format!("criterion gave no {name}"))?;
        let figure = run.figure(case.replace('_', " "), "publish", "ns", *value);
        anyhow::Ok(figure.with_goal(Goal::AtMost(goal)))
    };
    let mut figures = vec![
        cost("filtered", 20.0)?,
        cost("accepted_small", 1_000.0)?,
        cost("accepted_connect", 1_000.0)?,
    ];
    figures.extend(observing(run)?);
    figures.extend(streams(run)?);
    Ok(figures)
}

/// Processor time of an edge for a message, armed against not armed.
fn observing(run: &Run) -> Result<Vec<Figure>> {
    let arguments: &[&str] = run.pick(&["15", "400"], &["3", "100"]);
    let said = run.sample(|| run.cargo_bench("devtoolsproxy", "observing", arguments))?;
    let read: Value = serde_json::from_str(said.trim())
        .with_context(|| format!("the bench of observing said {said:?}"))?;
    let rounds = |name: &str| -> Result<Vec<f64>> {
        let rounds = read[name].as_array().with_context(|| format!("it gave no {name}"))?;
        rounds.iter().map(|value| value.as_f64().context("not a number")).collect()
    };
    let number = |name: &str| read[name].as_f64().with_context(|| format!("it gave no {name}"));
    let compare = |case: &str, commands: &str| -> Result<Figure> {
        let (armed, off) = (format!("{commands}_armed"), format!("{commands}_off"));
        let figure = run.figure(case, "CPU per message, armed", "us", 0.0);
        let figure = figure.against_rounds(&rounds(&armed)?, &rounds(&off)?);
        Ok(figure.with_goal(Goal::RatioAtMost(1.10)))
    };
    let listed = "4 KiB x 64, commands that are told";
    let missing = (number("commands")? - number("events")?) / number("commands")? * 100.0;
    Ok(vec![
        compare("4 KiB x 64, commands that are not told", "unlisted")?,
        compare(listed, "listed")?,
        run.figure(listed, "dropped and counted", "%", missing),
    ])
}

fn streams(run: &Run) -> Result<Vec<Figure>> {
    let said = run.sample(|| run.cargo_bench("telemetry", "streams", &[]))?;
    let read: Value = serde_json::from_str(said.trim())
        .with_context(|| format!("the bench of streams said {said:?}"))?;
    let number = |name: &str| {
        read[name].as_f64().with_context(|| format!("the bench of streams gave no {name}"))
    };
    let (readers, events) = (number("readers")?, number("events")?);
    let rate = events / number("published_s")?;
    let case = format!("{readers} streams, {rate:.0} events/s");
    let figure = |metric, unit, value| run.figure(case.clone(), metric, unit, value);
    let missing = readers * events - number("read")?;
    Ok(vec![
        figure("not read", "events", missing).with_goal(Goal::AtMost(0.0)),
        figure("gaps", "gaps", number("gaps")?).with_goal(Goal::AtMost(0.0)),
        figure("out of order", "events", number("out_of_order")?).with_goal(Goal::AtMost(0.0)),
        figure("from published to read, p50", "ms", number("late_p50_ms")?),
        figure("from published to read, p99", "ms", number("late_p99_ms")?),
        figure("processor, readers and server", "s", number("cpu_s")?),
    ])
}
