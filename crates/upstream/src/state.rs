//! The words of the crate: what a reader sees of a browser, and what a source can report.

use std::fmt;
use std::process::ExitStatus;
use std::time::Instant;

use crate::url::WsUrl;

/// Where the browser is now, as one value.
///
/// Every reader gets the whole of it at once, so `generation`, `url` and `phase` always belong
/// together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamState {
    /// Number of the browser instance: 0 while nothing is known, 1 for the first instance, one
    /// more for each new instance, never lower.
    pub generation: u64,
    /// Where to dial. Present in [`Phase::Ready`] only.
    pub url: Option<WsUrl>,
    /// What the instance does at the moment.
    pub phase: Phase,
    /// How the newest instance that has ended did end. It stays when the next instance is ready,
    /// so that somebody who looks late still learns it.
    pub last_end: Option<Ended>,
}

impl UpstreamState {
    /// The state before the first fact: generation 0, starting.
    pub const fn unknown() -> Self {
        Self { generation: 0, url: None, phase: Phase::Starting, last_end: None }
    }

    /// Whether sockets can be opened now.
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// Whether no instance will ever come again.
    pub const fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone { .. })
    }

    /// How the instance `generation` ended, if that is known.
    ///
    /// `None` for an instance that has not ended, and for one whose end has been overwritten by
    /// the end of a later one.
    pub fn end_of(&self, generation: u64) -> Option<Ended> {
        self.last_end.filter(|end| end.generation == generation)
    }
}

/// What the newest instance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The instance is starting, or nothing is known yet (generation 0).
    Starting,
    /// It accepts DevTools sockets.
    Ready,
    /// It does not serve; a restart is under way or possible.
    Down {
        /// When it was first seen to be down.
        since: Instant,
        /// Why, as far as the sources can tell.
        cause: Cause,
    },
    /// Nobody will start another one. Terminal.
    Gone {
        /// Why the last instance ended.
        cause: Cause,
    },
}

impl Phase {
    /// A stable word for logs and metric labels.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Down { .. } => "down",
            Self::Gone { .. } => "gone",
        }
    }
}

/// Why an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The process returned an exit code.
    Exited {
        /// The code, 0 for a browser that was closed in an orderly way.
        code: i32,
    },
    /// A signal ended the process.
    Signalled {
        /// The signal number.
        signal: i32,
    },
    /// The kernel ended the process because its memory group was full.
    OomKilled,
    /// We ordered the end in order to start again. It wins over the exit code that follows.
    RestartRequested,
    /// No acceptable address came within the time that a start may take.
    StartTimeout,
    /// The instance does not answer, and the source has no way to learn why.
    UnknownExit,
}

impl Cause {
    /// A stable word for logs and metric labels.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Exited { .. } => "exited",
            Self::Signalled { .. } => "signalled",
            Self::OomKilled => "oom_killed",
            Self::RestartRequested => "restart_requested",
            Self::StartTimeout => "start_timeout",
            Self::UnknownExit => "unknown_exit",
        }
    }

    /// Whether a source that really knows has said so.
    pub const fn is_known(self) -> bool {
        !matches!(self, Self::UnknownExit)
    }

    /// The cause for a process that ended by SIGKILL while the `oom_kill` counter of its own
    /// memory group rose: [`Cause::OomKilled`]. Every other cause is returned as it is.
    #[must_use]
    pub const fn with_oom_kill(self, counter_rose: bool) -> Self {
        match self {
            Self::Signalled { signal: SIGKILL } if counter_rose => Self::OomKilled,
            other => other,
        }
    }

    /// One cause for two reports about the same end, `self` being the earlier one.
    ///
    /// A known cause beats [`Cause::UnknownExit`], a SIGKILL may be refined to
    /// [`Cause::OomKilled`]; else the first report stays.
    #[must_use]
    pub(crate) const fn merged_with(self, later: Self) -> Self {
        match (self, later) {
            (Self::UnknownExit, later) => later,
            (Self::Signalled { signal: SIGKILL }, Self::OomKilled) => Self::OomKilled,
            (first, _) => first,
        }
    }
}

/// POSIX number of the one signal that cannot be caught; the kernel's memory killer sends it.
const SIGKILL: i32 = 9;

impl From<ExitStatus> for Cause {
    /// The cause that a wait on the process gives: its code, or the signal that ended it.
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited { code },
            (None, Some(signal)) => Self::Signalled { signal },
            (None, None) => Self::UnknownExit,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "exited: code {code}"),
            Self::Signalled { signal } => write!(f, "killed: signal {signal}"),
            Self::OomKilled => f.write_str("out of memory"),
            Self::RestartRequested => f.write_str("restart requested"),
            Self::StartTimeout => f.write_str("start timed out"),
            Self::UnknownExit => f.write_str("does not answer"),
        }
    }
}

/// The end of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which instance.
    pub generation: u64,
    /// Why.
    pub cause: Cause,
    /// When the first report of this end came in.
    pub at: Instant,
}

/// What a source or the owner of the process has learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The owner has started a new instance.
    Starting,
    /// An instance accepts sockets at `url`. A new address is a new instance.
    Ready {
        /// Its address.
        url: WsUrl,
    },
    /// The owner is about to stop the newest instance in order to start another one.
    RestartRequested,
    /// The newest instance has ended.
    Ended {
        /// Why.
        cause: Cause,
    },
    /// The instance `generation` has ended; for a watcher whose notice may come late, when a
    /// newer instance is already there.
    EndedOf {
        /// Which instance.
        generation: u64,
        /// Why.
        cause: Cause,
    },
    /// The owner will not start another instance.
    GaveUp {
        /// Why the last one ended; [`Cause::UnknownExit`] keeps what was known before.
        cause: Cause,
    },
    /// The newest instance was asked and has answered: it is the same one, and it lives.
    Alive,
}

impl Fact {
    /// A stable word for logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready { .. } => "ready",
            Self::RestartRequested => "restart_requested",
            Self::Ended { .. } => "ended",
            Self::EndedOf { .. } => "ended_of",
            Self::GaveUp { .. } => "gave_up",
            Self::Alive => "alive",
        }
    }
}
