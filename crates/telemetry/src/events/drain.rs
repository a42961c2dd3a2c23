//! Pure: events of drains.

use super::events;
use crate::value::{Millis, Text};
use crate::words::{DrainOutcome, DrainTrigger, ForceCause};

events! {
    /// The node stopped taking new work.
    Service Drain "drain_started"
    pub struct DrainStarted {
        /// What started it.
        pub trigger: DrainTrigger,
        /// How long it may wait; absent = without limit.
        pub deadline_ms: Option<Millis>,
        /// The phase.
        pub phase: Text,
        /// Since the drain began.
        pub elapsed_ms: Millis,
        /// Sandboxes that can be used.
        pub live: u64,
        /// Sandboxes that are being started.
        pub starting: u64,
        /// Open DevTools sessions.
        pub sessions: u64,
        /// Agent runs.
        pub runs: u64,
        /// Saves under way.
        pub saves: u64,
    }

    /// How far a drain is: at each change of phase, and in growing intervals.
    Service Drain "drain_progress"
    pub struct DrainProgress {
        /// What started it.
        pub trigger: DrainTrigger,
        /// How long it may wait; absent = without limit.
        pub deadline_ms: Option<Millis>,
        /// The phase.
        pub phase: Text,
        /// Since the drain began.
        pub elapsed_ms: Millis,
        /// Sandboxes that can be used.
        pub live: u64,
        /// Sandboxes that are being started.
        pub starting: u64,
        /// Open DevTools sessions.
        pub sessions: u64,
        /// Agent runs.
        pub runs: u64,
        /// Saves under way.
        pub saves: u64,
    }

    /// A drain stops what is left.
    Service Drain "drain_forced"
    pub struct DrainForced {
        /// Why it does not wait any longer.
        pub cause: ForceCause,
        /// Since the drain began.
        pub elapsed_ms: Millis,
        /// Sandboxes that can be used.
        pub live: u64,
        /// Sandboxes that are being started.
        pub starting: u64,
        /// Open DevTools sessions.
        pub sessions: u64,
        /// Agent runs.
        pub runs: u64,
        /// Saves under way.
        pub saves: u64,
    }

    /// A drain ended.
    Service Drain "drain_finished"
    pub struct DrainFinished {
        /// How.
        pub outcome: DrainOutcome,
        /// What the process will return; absent if it goes on.
        pub exit_code: Option<i32>,
        /// Since the drain began.
        pub elapsed_ms: Millis,
        /// Sandboxes that ended in it.
        pub stopped: u64,
        /// Sessions that it closed.
        pub sessions_closed: u64,
        /// What went wrong.
        pub errors: u64,
    }
}
