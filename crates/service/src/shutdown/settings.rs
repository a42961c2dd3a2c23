//! Pure: how long each part of a shutdown may take, and all of it together.

use std::fmt;
use std::time::Duration;

use crate::settings::show_duration;

/// Time kept for what has no bound of its own: joining tasks, the report, the exit.
const SPARE: Duration = Duration::from_secs(5);

/// How long the parts of a shutdown may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownSettings {
    /// How long it is announced while work is still let in.
    pub announce: Duration,
    /// How long it waits for what was let in, from the closing of the door. `None` waits for ever.
    pub drain: Option<Duration>,
    /// How long a forced end may clean up.
    pub force: Duration,
    /// How long the closers may take together.
    pub close: Duration,
    /// Forces at once instead of waiting.
    pub force_at_once: bool,
    /// Nobody outside this machine can send work, so there is nobody to announce it to.
    pub only_loopback: bool,
}

impl Default for ShutdownSettings {
    fn default() -> Self {
        Self {
            announce: Duration::from_secs(15),
            drain: None,
            force: Duration::from_secs(30),
            close: Duration::from_secs(30),
            force_at_once: false,
            only_loopback: false,
        }
    }
}

impl ShutdownSettings {
    /// Whether a shutdown begins with an announcement, as far as the settings decide it.
    pub(crate) fn announces(&self) -> bool {
        !self.force_at_once && !self.only_loopback && !self.announce.is_zero()
    }

    /// The longest a shutdown can take. A supervisor that kills has to wait longer.
    pub fn budget(&self) -> Budget {
        let announce = if self.announces() { self.announce } else { Duration::ZERO };
        let drain = if self.force_at_once { Some(Duration::ZERO) } else { self.drain };
        Budget { announce, drain, force: self.force, close: self.close }
    }
}

/// The longest a shutdown can take, by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    announce: Duration,
    drain: Option<Duration>,
    force: Duration,
    close: Duration,
}

impl Budget {
    /// The sum. `None` when the drain waits for ever.
    pub fn total(&self) -> Option<Duration> {
        self.drain.map(|drain| self.announce + drain + self.force + self.close + SPARE)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total() {
            Some(total) => write!(f, "at most {}", show_duration(total))?,
            None => f.write_str("unbounded")?,
        }
        let drain = self.drain.map_or("until all have ended".to_owned(), show_duration);
        write!(
            f,
            " (announce {}, drain {drain}, force {}, close {}, spare {})",
            show_duration(self.announce),
            show_duration(self.force),
            show_duration(self.close),
            show_duration(SPARE),
        )
    }
}
