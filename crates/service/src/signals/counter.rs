//! Pure: what a signal means, given the ones before it.

use std::time::{Duration, Instant};

/// Signals closer together than this are one: a terminal and a supervisor often send two for one wish.
pub const SIGNAL_GAP: Duration = Duration::from_secs(1);

/// A signal we listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignalName {
    /// SIGTERM
    Terminate,
    /// SIGINT
    Interrupt,
    /// SIGUSR1
    User1,
    /// SIGHUP
    Hangup,
}

impl SignalName {
    /// Its usual name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::User1 => "SIGUSR1",
            Self::Hangup => "SIGHUP",
        }
    }
}

/// What a signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heard {
    /// Shut down, and never mind how often this one comes.
    Start,
    /// Shut down.
    First,
    /// Do not wait any longer.
    Second,
    /// End now; every later one means the same.
    Third,
    /// The same wish as the one just before.
    Repeat,
    /// Nothing.
    Ignored,
}

impl Heard {
    /// The word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "shut down",
            Self::First => "shut down (first)",
            Self::Second => "force (second)",
            Self::Third => "end now (third)",
            Self::Repeat => "same as the one before",
            Self::Ignored => "ignored",
        }
    }
}

/// Counts the signals that escalate.
#[derive(Debug, Clone, Default)]
pub struct SignalCounter {
    counted: Counted,
    last: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Counted {
    #[default]
    None,
    One,
    Two,
    Three,
}

impl SignalCounter {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one signal. The gap is measured from the last one that counted, so that somebody who
    /// keeps pressing Ctrl-C is heard once a second.
    pub fn handle(&mut self, name: SignalName, now: Instant) -> Heard {
        match name {
            SignalName::Hangup => Heard::Ignored,
            SignalName::User1 => Heard::Start,
            SignalName::Terminate | SignalName::Interrupt => self.count(now),
        }
    }

    fn count(&mut self, now: Instant) -> Heard {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < SIGNAL_GAP) {
            return Heard::Repeat;
        }
        self.last = Some(now);
        let (counted, heard) = match self.counted {
            Counted::None => (Counted::One, Heard::First),
            Counted::One => (Counted::Two, Heard::Second),
            Counted::Two | Counted::Three => (Counted::Three, Heard::Third),
        };
        self.counted = counted;
        heard
    }
}
