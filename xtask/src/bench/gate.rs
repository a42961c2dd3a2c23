//! `bench gate`: entering and leaving a drain gate, beside what one would write by hand.

use anyhow::{Context, Result};

use super::figure::{Figure, Goal};
use super::run::Run;
use super::{Bench, criterion};

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "gate",
    about: "a pass of draingate, against a mutex with a counter and tokio-util's task tracker",
    take,
};

fn take(run: &Run) -> Result<Vec<Figure>> {
    let medians = criterion::medians(run, "draingate", "pass")?;
    let of = |group: &str, function: &str| {
        let name = format!("{group}/{function}");
        medians.get(&name).copied().with_context(|| format!("criterion gave no figure of {name}"))
    };
    let compared = |group: &str, pass: &str, baseline: &str| {
        let case = format!("{group}, {pass} against {baseline}");
        anyhow::Ok(
            run.figure(case, "enter and leave", "ns", of(group, pass)?)
                .against(of(group, baseline)?),
        )
    };
    let alone = "uncontended";
    let mut figures = vec![
        compared(alone, "borrowed", "mutex_counter")?.with_goal(Goal::AtMost(15.0)),
        compared(alone, "borrowed", "task_tracker")?.with_goal(Goal::RatioAtMost(0.8)),
        compared(alone, "owned", "mutex_counter")?,
        compared(alone, "owned", "task_tracker")?.with_goal(Goal::RatioAtMost(1.0)),
    ];
    for group in ["2_threads", "8_threads"] {
        for pass in ["borrowed", "owned"] {
            figures.push(compared(group, pass, "mutex_counter")?);
            figures.push(compared(group, pass, "task_tracker")?);
        }
    }
    for pass in ["labelled", "refused"] {
        figures.push(run.figure(
            format!("{alone}, {pass}"),
            "enter and leave",
            "ns",
            of(alone, pass)?,
        ));
    }
    Ok(figures)
}
