//! Pure: how a daemon ends, as the number its supervisor sees.

use std::fmt;
use std::process::{ExitCode, Termination};

/// How the process ends. The numbers are those of `sysexits.h`, so that a supervisor's log reads well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExitStatus {
    /// 0: drained, or forced as asked and nothing is left.
    #[default]
    Success,
    /// 64: a mistake in the settings or on the command line; nothing was started.
    Settings,
    /// 69: something the daemon needs is missing, a browser for example.
    Unavailable,
    /// 70: a service failed or ended early, a closer failed, or something panicked.
    Failed,
    /// 73: the state directory cannot be made, or another instance holds it.
    StateTaken,
    /// 75: shutdown ran out of time and something is left, or a third signal ended it.
    LeftBehind,
}

impl ExitStatus {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Settings => 64,
            Self::Unavailable => 69,
            Self::Failed => 70,
            Self::StateTaken => 73,
            Self::LeftBehind => 75,
        }
    }

    /// Decides between what went wrong: a failure comes before something that was left behind.
    #[must_use]
    pub const fn decide(failed: bool, left_behind: bool) -> Self {
        match (failed, left_behind) {
            (true, _) => Self::Failed,
            (false, true) => Self::LeftBehind,
            (false, false) => Self::Success,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.code())
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        ExitCode::from(status.code())
    }
}

impl Termination for ExitStatus {
    fn report(self) -> ExitCode {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_sysexits() {
        let all = [
            (ExitStatus::Success, 0),
            (ExitStatus::Settings, 64),
            (ExitStatus::Unavailable, 69),
            (ExitStatus::Failed, 70),
            (ExitStatus::StateTaken, 73),
            (ExitStatus::LeftBehind, 75),
        ];
        for (status, code) in all {
            assert_eq!(status.code(), code, "{status:?}");
            assert_eq!(ExitCode::from(status), ExitCode::from(code));
        }
    }
}
