//! Shutdown in order: which step comes next, how long it may take, what makes it go faster.
//!
//! [`Plan`] decides, [`DrainPhases`] is what the daemon offers, and [`Service`](crate::Service) walks
//! the one over the other.

mod beats;
mod closers;
mod events;
mod notify;
mod observe;
mod phases;
mod plan;
mod report;
mod run;
mod settings;
mod step;
mod work;

#[cfg(test)]
mod tests;

pub use closers::{CloserOutcome, CloserReport, console_flushed};
pub use events::{DrainEvents, publish_to, tell_the_end};
pub use notify::{Notice, Notifier, Systemd};
pub use observe::{DrainMetrics, ShutdownFact, ShutdownObserver, Trigger};
pub use phases::{Blocker, DrainPhases, DrainProgress, DrainTotals, Fault, Faults, ForceCause};
pub use plan::{Event, Next, Plan};
pub use report::{Failure, ShutdownReport};
pub use settings::{Budget, ShutdownSettings};
pub use step::Step;

pub(crate) use closers::Closer;
pub(crate) use run::{Shutdown, Voice};
