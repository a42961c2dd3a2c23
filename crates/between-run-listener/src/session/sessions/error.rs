//! Why an operation on sessions failed.

use eventlog::{AppendError, OpenError, ReadError, StoreError};

use crate::http::Blocked;
use crate::session::BasesError;

/// Why an operation on sessions failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionsError {
    /// The process is ending.
    #[error("the gateway is draining: ask another one, or again later")]
    Draining,
    /// The runner's address is not allowed.
    #[error("runner_url: {0}")]
    Blocked(#[from] Blocked),
    /// A log was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A log was not written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A log was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A session was not opened.
    #[error(transparent)]
    Session(#[from] BasesError),
    /// A log was not deleted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SessionsError {
    /// A stable word for answers and metric labels.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Blocked(_) => "url_blocked",
            Self::Open(_) | Self::Append(_) | Self::Read(_) | Self::Session(_) | Self::Store(_) => {
                "log_unavailable"
            }
        }
    }
}
