//! Pure: the names of the steps of a shutdown.

use std::fmt;

/// The steps of a shutdown, in their order. The names are public: logs, metrics, events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Not ready any more, work still gets in: load balancers look first.
    Announce,
    /// The outer door closes.
    ServerGate,
    /// What was let in ends.
    WaitAdmitted,
    /// The inner door closes.
    FactoryGate,
    /// Starts that passed the inner door end.
    WaitStarts,
    /// What is warm and unused ends.
    Pool,
    /// What clients use ends.
    WaitLive,
    /// Cleanup and saves end.
    WaitCleanup,
    /// All of it is ended now.
    ForceStop,
    /// Servers, sinks and logs close.
    Closers,
}

impl Step {
    /// All of them in order.
    pub const ALL: [Self; 10] = [
        Self::Announce,
        Self::ServerGate,
        Self::WaitAdmitted,
        Self::FactoryGate,
        Self::WaitStarts,
        Self::Pool,
        Self::WaitLive,
        Self::WaitCleanup,
        Self::ForceStop,
        Self::Closers,
    ];

    /// Its public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::ServerGate => "server_gate",
            Self::WaitAdmitted => "wait_admitted",
            Self::FactoryGate => "factory_gate",
            Self::WaitStarts => "wait_starts",
            Self::Pool => "pool",
            Self::WaitLive => "wait_live",
            Self::WaitCleanup => "wait_cleanup",
            Self::ForceStop => "force_stop",
            Self::Closers => "closers",
        }
    }

    /// Its place, from 1.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
