//! One measured figure, for a person and for a program.

use serde::Serialize;

/// What a figure is compared with, and whether that holds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Goal {
    /// The ratio to the baseline is at most this.
    #[serde(rename = "ratio <=")]
    RatioAtMost(f64),
}

/// One line of `--json`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// Which bench.
    pub(crate) bench: &'static str,
    /// Which case of it.
    pub(crate) case: String,
    /// What was measured.
    pub(crate) metric: &'static str,
    /// In what.
    pub(crate) unit: &'static str,
    /// The median.
    pub(crate) value: f64,
    /// The median of what it is compared with, from the same interleaved run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) baseline: Option<f64>,
    /// `value / baseline`, as the median of the rounds' own ratios.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    /// The goal, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<Goal>,
    /// Whether the goal holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) holds: Option<bool>,
}

impl Figure {
    /// A figure without a baseline.
    pub(crate) fn new(
        bench: &'static str,
        case: impl Into<String>,
        metric: &'static str,
        unit: &'static str,
        value: f64,
    ) -> Self {
        let case = case.into();
        Self {
            bench,
            case,
            metric,
            unit,
            value,
            baseline: None,
            ratio: None,
            goal: None,
            holds: None,
        }
    }

    /// Compares with the same metric of something else, round by round.
    pub(crate) fn against(mut self, baseline: f64, ratio: f64) -> Self {
        self.baseline = Some(baseline);
        self.ratio = Some(ratio);
        self
    }

    /// States a goal and whether it holds.
    pub(crate) fn with_goal(mut self, goal: Goal) -> Self {
        self.holds = Some(match goal {
            Goal::RatioAtMost(limit) => self.ratio.is_some_and(|r| r <= limit),
        });
        self.goal = Some(goal);
        self
    }

    /// Prints the figure: a JSON line, or a row of a table.
    pub(crate) fn print(&self, json: bool) {
        if json {
            println!("{}", serde_json::to_string(self).unwrap_or_default());
            return;
        }
        let compared = match (self.baseline, self.ratio) {
            (Some(b), Some(r)) => format!("baseline {b:>10.3}  ratio {r:>6.3}"),
            _ => String::new(),
        };
        let verdict = match (self.goal, self.holds) {
            (Some(goal), Some(holds)) => {
                format!("goal {goal:?}: {}", if holds { "holds" } else { "MISSED" })
            }
            _ => String::new(),
        };
        println!(
            "{:<10} {:<28} {:<22} {:>12.3} {:<10} {compared:<36} {verdict}",
            self.bench, self.case, self.metric, self.value, self.unit
        );
    }
}

/// The value in the middle, or the mean of the two there.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// A quantile by linear interpolation; NaN of nothing.
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = q * last as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}
