//! Whether a browser answers, and another one in place of one that runs.

/// What is to change with a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestartChange {
    /// Command-line switches in place of the launch's `flags`, already checked; as before if absent.
    pub flags: Option<Vec<String>>,
}

/// Why there is no restarted browser, and which one runs now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestartError {
    /// The driver cannot.
    #[error("this node's driver cannot restart a browser")]
    Unsupported,
    /// Nothing of the instance runs, or it is being ended.
    #[error("the browser is being ended")]
    Gone,
    /// One at a time.
    #[error("a restart of the browser is under way")]
    Busy,
    /// A switch is not allowed; nothing was done.
    #[error("{0}")]
    Refused(String),
    /// The browser did not start as asked, and runs as it did before.
    #[error(
        "the browser did not start with the new options ({why}); it runs again with the old ones, \
         as generation {generation}"
    )]
    Restored {
        /// How the start failed.
        why: String,
        /// The browser that runs.
        generation: u64,
    },
    /// The browser did not start at all; what follows a crash follows.
    #[error(
        "the browser did not start with the new options ({why}), nor with the old ones ({again}); \
         none runs now"
    )]
    Down {
        /// How the start failed.
        why: String,
        /// How the second one did.
        again: String,
    },
}

impl RestartError {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Gone => "gone",
            Self::Busy => "busy",
            Self::Refused(_) => "refused",
            Self::Restored { .. } => "restored",
            Self::Down { .. } => "down",
        }
    }
}

/// Why a browser does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the browser does not answer: {0}")]
pub struct ProbeError(pub String);
