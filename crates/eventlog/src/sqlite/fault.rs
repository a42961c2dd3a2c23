//! What SQLite's errors mean for the caller.

use rusqlite::{Error, ErrorCode};

use crate::{AppendError, OpenError, ReadError, StoreError};

/// The kinds of failure that callers tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No room on the disk, or under the cap of the file.
    Full(String),
    /// The database is not one, or parts of it make no sense.
    Damaged(String),
    /// Anything else: a later try may do.
    Unavailable(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let cause = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(cause),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(cause),
            Some(_) => Self::Unavailable(cause),
            // A value of another type than was written.
            None => Self::Damaged(cause),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        let cause = error.to_string();
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full(cause)
            }
            _ => Self::Unavailable(cause),
        }
    }
}

impl Fault {
    pub(super) fn cause(&self) -> &str {
        match self {
            Self::Full(cause) | Self::Damaged(cause) | Self::Unavailable(cause) => cause,
        }
    }
}

impl From<Fault> for AppendError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full(cause) => Self::Full { cause },
            Fault::Damaged(cause) | Fault::Unavailable(cause) => Self::Unavailable { cause },
        }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full(cause) => Self::Full { cause },
            Fault::Damaged(cause) | Fault::Unavailable(cause) => Self::Unavailable { cause },
        }
    }
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged(cause) => Self::Corrupt { cause },
            Fault::Full(cause) | Fault::Unavailable(cause) => Self::Unavailable { cause },
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        let (Fault::Full(cause) | Fault::Damaged(cause) | Fault::Unavailable(cause)) = fault;
        Self::Unavailable { cause }
    }
}
