//! What is kept of a browser between two processes: its profile.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use upstream::Cause;

use super::LifecycleId;

/// Names a kept profile. Where it is kept is the driver's business.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProfileId(Arc<str>);

impl ProfileId {
    /// The profile that the browser of this incarnation made.
    pub fn of(lifecycle: &LifecycleId) -> Self {
        Self::new(lifecycle.as_str())
    }

    /// Wraps an id that a record held or a driver listed.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The id as text: lower-case letters and digits, at most 40 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a browser that was to be parked did end. Whichever it was, none runs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// By its own protocol, so that everything it had to write is written.
    Cleanly {
        /// From the command to its end.
        took: Duration,
    },
    /// It had to be killed or ended otherwise: its profile may lack what it did last.
    Otherwise {
        /// How it ended.
        cause: Cause,
    },
}

/// What a profile needs, and what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are free where profiles are kept.
    pub free: u64,
    /// Bytes that the profile has now.
    pub profile: u64,
}

/// A profile that is kept: it will be there after a crash of the daemon and of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its bytes.
    pub bytes: u64,
}

/// Why a profile was not kept, looked at or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// This driver keeps no profiles.
    #[error("this node's driver keeps no profiles")]
    Unsupported,
    /// There is no such profile or instance.
    #[error("there is no profile `{0}`")]
    Unknown(String),
    /// Its browser still runs.
    #[error("the browser of this profile still runs")]
    InUse,
    /// The disk or the file system refused; the text has no host path.
    #[error("the profile could not be {doing}: {cause}")]
    Disk {
        /// The step, such as `kept`.
        doing: &'static str,
        /// What the system said.
        cause: String,
    },
}

impl ProfileError {
    /// A stable word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Unknown(_) => "unknown",
            Self::InUse => "in_use",
            Self::Disk { .. } => "disk",
        }
    }
}
