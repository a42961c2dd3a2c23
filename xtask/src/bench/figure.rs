//! One measured figure, for a person and for a program.

use std::fmt;

use serde::{Serialize, Serializer};

use super::stats::{interval, median};

/// What is wanted of a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// The ratio to the baseline is at most this; held as soon as its 95 % interval reaches it.
    RatioAtMost(f64),
    /// The value is at most this, in the unit of the figure.
    AtMost(f64),
    /// The value is at least this, in the unit of the figure.
    #[allow(dead_code, reason = "for benches of rates; each bench takes the goals that fit it")]
    AtLeast(f64),
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtMost(limit) => write!(f, "ratio <= {limit}"),
            Self::AtMost(limit) => write!(f, "value <= {limit}"),
            Self::AtLeast(limit) => write!(f, "value >= {limit}"),
        }
    }
}

impl Serialize for Goal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One line of `--json`. What a figure does not have is `null`.
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
    pub(crate) baseline: Option<f64>,
    /// `value / baseline`, as the median of the rounds' own ratios.
    pub(crate) ratio: Option<f64>,
    /// The goal, where there is one.
    pub(crate) goal: Option<Goal>,
    /// Whether the goal holds.
    pub(crate) holds: Option<bool>,
    /// The 95 % interval of the mean ratio.
    pub(crate) interval: Option<[f64; 2]>,
    /// The share of the bench's samples during which other processes were busy.
    pub(crate) disturbed: Option<f64>,
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
        Self {
            bench,
            case: case.into(),
            metric,
            unit,
            value,
            baseline: None,
            ratio: None,
            goal: None,
            holds: None,
            interval: None,
            disturbed: None,
        }
    }

    /// Compares with one value of something else.
    pub(crate) fn against(mut self, baseline: f64) -> Self {
        self.ratio = Some(self.value / baseline);
        self.baseline = Some(baseline);
        self
    }

    /// Compares rounds of ours with the rounds of something else that were taken in turn with them.
    /// The value becomes the median of ours.
    pub(crate) fn against_rounds(mut self, ours: &[f64], baseline: &[f64]) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(baseline).map(|(o, b)| o / b).collect();
        self.value = median(ours);
        self.baseline = Some(median(baseline));
        self.ratio = Some(median(&ratios));
        self.interval = interval(&ratios);
        self
    }

    /// States a goal and whether it holds. Comes last.
    pub(crate) fn with_goal(mut self, goal: Goal) -> Self {
        self.holds = Some(match goal {
            Goal::RatioAtMost(limit) => {
                let reached = self.interval.map(|[low, _]| low);
                self.ratio.is_some_and(|ratio| ratio <= limit)
                    || reached.is_some_and(|low| low <= limit)
            }
            Goal::AtMost(limit) => self.value <= limit,
            Goal::AtLeast(limit) => self.value >= limit,
        });
        self.goal = Some(goal);
        self
    }

    /// One line for a program.
    pub(crate) fn print_json(&self) {
        println!("{}", serde_json::json!(self));
    }

    /// The cells of one row for a person.
    fn cells(&self) -> [String; 7] {
        let ratio = match (self.ratio, self.interval) {
            (Some(ratio), Some([low, high])) => format!("{ratio:.3} [{low:.3}, {high:.3}]"),
            (Some(ratio), None) => format!("{ratio:.3}"),
            (None, _) => String::new(),
        };
        let goal = match (self.goal, self.holds) {
            (Some(goal), Some(true)) => format!("{goal}: holds"),
            (Some(goal), _) => format!("{goal}: MISSED"),
            (None, _) => String::new(),
        };
        [
            self.case.clone(),
            self.metric.to_owned(),
            readable(self.value),
            self.unit.to_owned(),
            self.baseline.map(readable).unwrap_or_default(),
            ratio,
            goal,
        ]
    }
}

/// Three digits that count, and no fraction where there are more.
fn readable(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 1.0 => format!("{value:.4}"),
        size if size < 10.0 => format!("{value:.3}"),
        size if size < 100.0 => format!("{value:.2}"),
        size if size < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Prints figures as a table, the numbers to the right.
pub(crate) fn print_table(figures: &[Figure]) {
    for row in table(figures) {
        println!("{row}");
    }
}

fn table(figures: &[Figure]) -> Vec<String> {
    const HEAD: [&str; 7] = ["case", "metric", "value", "unit", "baseline", "ratio", "goal"];
    let rows: Vec<[String; 7]> =
        [HEAD.map(str::to_owned)].into_iter().chain(figures.iter().map(Figure::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |row: &[String; 7]| {
        let cells =
            row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
                2 | 4 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
