//! What a drain says about itself.

use std::{fmt, sync::Arc, time::Duration};

/// The name of a holder in a report, such as a sandbox or a session id. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Label {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Label {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<Arc<str>> for Label {
    fn from(name: Arc<str>) -> Self {
        Self(name)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a gate is on its way, which has no way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Lets work in.
    Open,
    /// The drain has begun and somebody is still inside.
    Draining,
    /// The drain has begun and nobody is inside, for good.
    Drained,
}

impl State {
    /// The state as a word, for events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Draining => "draining",
            Self::Drained => "drained",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One that is inside and gave its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub label: Label,
    /// For how long, from the `since` it gave; zero if that is in the future.
    pub age: Duration,
}

/// A look at a gate: how far the drain is, and who holds it up. From
/// [`Keeper::report`](crate::Keeper::report).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// How far the drain is.
    pub state: State,
    /// Passes that are held, labelled or not.
    pub inside: u64,
    /// The labelled ones, the longest inside first.
    pub holders: Vec<Holder>,
    /// Passes without a label; with `holders` it adds up to `inside`.
    pub unlabelled: u64,
    /// Enters that were refused since the drain began.
    pub refused: u64,
}

/// As many holders as one line names.
const NAMED: usize = 5;

/// One line for people: `draining, 3 inside: sandbox a (12.3s), sandbox b (4.0s), 1 unnamed; 2 refused`.
impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} inside", self.state, self.inside)?;
        let mut separator = ": ";
        for Holder { label, age } in self.holders.iter().take(NAMED) {
            write!(f, "{separator}{label} ({:.1}s)", age.as_secs_f64())?;
            separator = ", ";
        }
        if let more @ 1.. = self.holders.len().saturating_sub(NAMED) {
            write!(f, "{separator}{more} more")?;
        }
        if self.unlabelled > 0 && !self.holders.is_empty() {
            write!(f, "{separator}{} unnamed", self.unlabelled)?;
        }
        if self.refused > 0 {
            write!(f, "; {} refused", self.refused)?;
        }
        Ok(())
    }
}

#[cfg(all(test, not(draingate_loom)))]
mod tests;
