//! Pure: results of the suite, direct and relayed, case by case.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use serde::Deserialize;

/// By agent, then by case.
pub(crate) type Results = BTreeMap<String, BTreeMap<String, Outcome>>;

/// What the suite says of one case.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Outcome {
    /// Of the messages.
    behavior: Behavior,
    /// Of the closing.
    #[serde(rename = "behaviorClose")]
    close: Behavior,
}

/// The suite's words, the best first.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
enum Behavior {
    #[serde(rename = "OK")]
    Ok,
    #[serde(rename = "INFORMATIONAL")]
    Informational,
    #[serde(rename = "NON-STRICT")]
    NonStrict,
    #[serde(rename = "UNIMPLEMENTED")]
    Unimplemented,
    #[serde(rename = "UNCLEAN")]
    Unclean,
    #[serde(rename = "WRONG CODE")]
    WrongCode,
    #[serde(rename = "FAILED BY CLIENT")]
    FailedByClient,
    #[serde(rename = "FAILED")]
    Failed,
}

/// What of a case is as it should be although the suite calls it worse.
struct Meant {
    cases: &'static [&'static str],
    /// At worst this.
    behavior: Behavior,
    why: &'static str,
}

const MEANT: &[Meant] = &[
    Meant {
        cases: &["3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15"],
        behavior: Behavior::NonStrict,
        why: "a broken rule ends the session at once, without the echo that is still on its way",
    },
    Meant {
        cases: &["6.4.1", "6.4.2"],
        behavior: Behavior::NonStrict,
        why: "fragments are joined, so the server sees bad text with the last of them",
    },
];

/// What differs.
#[derive(Debug)]
pub(crate) struct Comparison {
    cases: usize,
    same: usize,
    direct_fails: usize,
    lines: Vec<String>,
    meant: usize,
    worse: usize,
}

impl Comparison {
    /// Cases that are worse with us.
    pub(crate) fn worse(&self) -> usize {
        self.worse
    }
}

/// Compares the two agents.
///
/// # Errors
/// When one of them, or a case of one, is missing.
pub(crate) fn compared(results: &Results) -> Result<Comparison> {
    let of = |agent: &str| results.get(agent).with_context(|| format!("no results of {agent}"));
    let (direct, relayed) = (of("direct")?, of("relayed")?);
    let mut all = Comparison {
        cases: direct.len(),
        same: 0,
        direct_fails: 0,
        lines: Vec::new(),
        meant: 0,
        worse: 0,
    };
    for (case, without) in direct {
        let with = relayed.get(case).with_context(|| format!("{case} was not run relayed"))?;
        all.direct_fails += usize::from(without.behavior >= Behavior::Unclean);
        let meant = MEANT.iter().find(|meant| {
            meant.cases.contains(&&**case)
                && with.behavior <= meant.behavior
                && with.close <= without.close
        });
        let is_worse = with.behavior > without.behavior || with.close > without.close;
        let word = match (is_worse, meant) {
            (false, _) if with.behavior == without.behavior && with.close == without.close => {
                all.same += 1;
                continue;
            }
            (false, _) => "better".to_owned(),
            (true, Some(meant)) => {
                all.meant += 1;
                format!("meant: {}", meant.why)
            }
            (true, None) => {
                all.worse += 1;
                "WORSE".to_owned()
            }
        };
        all.lines.push(format!(
            "{case}: direct {:?}/{:?}, relayed {:?}/{:?}: {word}",
            without.behavior, without.close, with.behavior, with.close
        ));
    }
    Ok(all)
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(
            f,
            "{} cases: {} the same, {} differ ({} of them as meant), {} worse; {} fail directly",
            self.cases,
            self.same,
            self.cases - self.same,
            self.meant,
            self.worse,
            self.direct_fails
        )
    }
}

#[cfg(test)]
mod tests;
