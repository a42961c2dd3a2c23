//! Pure: the order of a shutdown. Takes what happened and when, says what comes next.

use std::time::{Duration, Instant};

use super::phases::ForceCause;
use super::settings::ShutdownSettings;
use super::step::Step;

/// How long idle pool members may take to die; what is left of them is cleanup that is waited for later.
const POOL_BOUND: Duration = Duration::from_secs(2);

/// What the closers may take beyond their shared time, so that the last ones, which make things
/// durable, are run even if the first ones used all of it.
pub(super) const CLOSE_SPARE: Duration = Duration::from_secs(4);

/// A third signal ends the process within 3 s; the rest of them is for tasks and threads that block.
const AT_ONCE_BOUND: Duration = Duration::from_millis(1500);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The work of the current step has ended.
    Done,
    /// The work of the current step panicked.
    Broke,
    /// The instant that [`Plan::until`] named has come.
    Timeout,
    /// Whoever asked does not want to wait any longer.
    Hurry(ForceCause),
    /// End now.
    AtOnce,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing new.
    Stay,
    /// Leave the current step's work and do this one's.
    Enter(Step),
    /// Kill every process; the current step's work goes on.
    KillAll,
    /// Leave the current step's work, kill every process, save what must be saved.
    AtOnce,
    /// It is over.
    End,
}

/// Where a shutdown stands.
#[derive(Debug, Clone)]
pub struct Plan {
    settings: ShutdownSettings,
    at: At,
    drain_by: Option<Instant>,
    forced: Option<ForceCause>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Announce { until: Instant },
    ServerGate,
    WaitAdmitted,
    FactoryGate,
    WaitStarts,
    Pool { until: Instant },
    WaitLive,
    WaitCleanup,
    Force { kill_at: Instant, until: Instant },
    ForceKilled { until: Instant },
    Closers { until: Instant },
    Dying { until: Instant },
    Ended,
}

impl Plan {
    /// A shutdown that begins at `now`. `worth_announcing` is what the daemon's own door says about
    /// it. The first step is [`step`](Self::step).
    pub fn new(settings: ShutdownSettings, worth_announcing: bool, now: Instant) -> Self {
        let mut plan = Self { settings, at: At::ServerGate, drain_by: None, forced: None };
        if plan.settings.force_at_once {
            plan.force(ForceCause::Setting, now);
        } else if worth_announcing && plan.settings.announces() {
            plan.at = At::Announce { until: now + plan.settings.announce };
        } else {
            plan.close_the_door(now);
        }
        plan
    }

    /// The current step; `None` after a third signal and after the end.
    pub fn step(&self) -> Option<Step> {
        match self.at {
            At::Announce { .. } => Some(Step::Announce),
            At::ServerGate => Some(Step::ServerGate),
            At::WaitAdmitted => Some(Step::WaitAdmitted),
            At::FactoryGate => Some(Step::FactoryGate),
            At::WaitStarts => Some(Step::WaitStarts),
            At::Pool { .. } => Some(Step::Pool),
            At::WaitLive => Some(Step::WaitLive),
            At::WaitCleanup => Some(Step::WaitCleanup),
            At::Force { .. } | At::ForceKilled { .. } => Some(Step::ForceStop),
            At::Closers { .. } => Some(Step::Closers),
            At::Dying { .. } | At::Ended => None,
        }
    }

    /// When to call [`handle`](Self::handle) with [`Event::Timeout`]. `None`: never.
    pub fn until(&self) -> Option<Instant> {
        match self.at {
            At::ServerGate
            | At::WaitAdmitted
            | At::FactoryGate
            | At::WaitStarts
            | At::WaitLive
            | At::WaitCleanup => self.drain_by,
            At::Pool { until } => Some(self.drain_by.map_or(until, |by| by.min(until))),
            At::Force { kill_at, .. } => Some(kill_at),
            At::Announce { until }
            | At::ForceKilled { until }
            | At::Closers { until }
            | At::Dying { until } => Some(until),
            At::Ended => None,
        }
    }

    /// When the drain is forced, once it has begun; `None` waits for ever.
    pub fn drain_by(&self) -> Option<Instant> {
        self.drain_by
    }

    /// Why the drain was forced, if it was.
    pub fn forced(&self) -> Option<ForceCause> {
        self.forced
    }

    /// Takes what happened at `now`. A timeout that comes too early changes nothing.
    pub fn handle(&mut self, event: Event, now: Instant) -> Next {
        if event == Event::Timeout && self.until().is_none_or(|until| now < until) {
            return Next::Stay;
        }
        match (self.at, event) {
            (At::Announce { .. }, Event::Done | Event::Broke | Event::Timeout) => {
                self.close_the_door(now);
                Next::Enter(Step::ServerGate)
            }
            (At::ServerGate, Event::Done) => self.enter(At::WaitAdmitted, Step::WaitAdmitted),
            (At::WaitAdmitted, Event::Done) => self.enter(At::FactoryGate, Step::FactoryGate),
            (At::FactoryGate, Event::Done) => self.enter(At::WaitStarts, Step::WaitStarts),
            (At::WaitStarts, Event::Done) => {
                self.enter(At::Pool { until: now + POOL_BOUND }, Step::Pool)
            }
            (At::Pool { .. }, Event::Timeout) if self.drain_by.is_some_and(|by| by <= now) => {
                self.force(ForceCause::Deadline, now)
            }
            (At::Pool { .. }, Event::Done | Event::Timeout) => {
                self.enter(At::WaitLive, Step::WaitLive)
            }
            (At::WaitLive, Event::Done) => self.enter(At::WaitCleanup, Step::WaitCleanup),
            (At::WaitCleanup, Event::Done) => self.close(now),
            (
                At::ServerGate
                | At::WaitAdmitted
                | At::FactoryGate
                | At::WaitStarts
                | At::WaitLive
                | At::WaitCleanup,
                Event::Timeout,
            ) => self.force(ForceCause::Deadline, now),
            (
                At::ServerGate
                | At::WaitAdmitted
                | At::FactoryGate
                | At::WaitStarts
                | At::Pool { .. }
                | At::WaitLive
                | At::WaitCleanup,
                // What broke can no longer tell when it is done, so nothing may rely on it.
                Event::Broke,
            ) => self.force(ForceCause::Defect, now),
            (
                At::Announce { .. }
                | At::ServerGate
                | At::WaitAdmitted
                | At::FactoryGate
                | At::WaitStarts
                | At::Pool { .. }
                | At::WaitLive
                | At::WaitCleanup,
                Event::Hurry(cause),
            ) => self.force(cause, now),
            // Cleanup that broke has killed nobody.
            (At::Force { until, .. }, Event::Timeout | Event::Broke) => {
                self.at = At::ForceKilled { until };
                Next::KillAll
            }
            (At::Force { .. }, Event::Done)
            | (At::ForceKilled { .. }, Event::Done | Event::Broke | Event::Timeout) => {
                self.close(now)
            }
            // Nothing is faster than this except the third signal.
            (At::Force { .. } | At::ForceKilled { .. } | At::Closers { .. }, Event::Hurry(_)) => {
                Next::Stay
            }
            (At::Closers { .. }, Event::Done | Event::Broke | Event::Timeout)
            | (At::Dying { .. }, Event::Done | Event::Broke | Event::Timeout) => {
                self.at = At::Ended;
                Next::End
            }
            (
                At::Announce { .. }
                | At::ServerGate
                | At::WaitAdmitted
                | At::FactoryGate
                | At::WaitStarts
                | At::Pool { .. }
                | At::WaitLive
                | At::WaitCleanup
                | At::Force { .. }
                | At::ForceKilled { .. }
                | At::Closers { .. },
                Event::AtOnce,
            ) => {
                self.at = At::Dying { until: now + AT_ONCE_BOUND };
                Next::AtOnce
            }
            (At::Dying { .. }, Event::Hurry(_) | Event::AtOnce) => Next::Stay,
            (
                At::Ended,
                Event::Done | Event::Broke | Event::Timeout | Event::Hurry(_) | Event::AtOnce,
            ) => Next::Stay,
        }
    }

    fn enter(&mut self, at: At, step: Step) -> Next {
        self.at = at;
        Next::Enter(step)
    }

    /// The drain deadline counts from here, after the announcement.
    fn close_the_door(&mut self, now: Instant) {
        self.drain_by = self.settings.drain.map(|drain| now + drain);
        self.at = At::ServerGate;
    }

    fn force(&mut self, cause: ForceCause, now: Instant) -> Next {
        self.forced = Some(cause);
        let kill_at = now + self.settings.force * 2 / 3;
        self.enter(At::Force { kill_at, until: now + self.settings.force }, Step::ForceStop)
    }

    fn close(&mut self, now: Instant) -> Next {
        let until = now + self.settings.close + CLOSE_SPARE;
        self.enter(At::Closers { until }, Step::Closers)
    }
}
