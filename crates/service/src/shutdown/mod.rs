//! Shutdown in order: which step comes next, how long it may take, what makes it go faster.

mod phases;

pub use phases::{Blocker, DrainPhases, DrainProgress, Fault, Faults, ForceCause};
