//! Why the node did not start, as one line and an exit code.

use std::fmt;

use orchestrator::process::SetupError;
use service::http::BindError;
use service::{ExitStatus, LockError};

/// Why the node did not start. Nothing of it is left running.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The state folder.
    State(LockError),
    /// Browsers, their users or their groups.
    Browsers(SetupError),
    /// A port.
    Bind(BindError),
    /// Something of the system.
    System(String),
}

impl Refused {
    /// The exit code that says so.
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self {
            Self::State(error) => error.exit_status(),
            Self::Browsers(SetupError::StateDir { .. } | SetupError::Unreachable { .. }) => {
                ExitStatus::StateTaken
            }
            Self::Browsers(SetupError::Setting { .. }) => ExitStatus::Settings,
            Self::Browsers(_) | Self::Bind(_) => ExitStatus::Unavailable,
            Self::System(_) => ExitStatus::Failed,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(error) => error.fmt(f),
            Self::Browsers(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::System(text) => f.write_str(text),
        }
    }
}
