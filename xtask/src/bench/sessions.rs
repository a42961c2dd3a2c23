//! `bench sessions`: listeners by the thousand, what each holds and how soon they end.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Bench;
use super::figure::{Figure, Goal};
use super::run::Run;

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "sessions",
    about: "quiet listeners of agent runners: memory for each, and the time to end them",
    take,
};

fn take(run: &Run) -> Result<Vec<Figure>> {
    listeners(run)
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
