//! What is on disk about a running sandbox, so that the next daemon can find what this one left.
//!
//! It is written before anything is started and again when the pid is known. There is no `fsync`:
//! a record must survive the death of the daemon, not that of the host, which ends the processes
//! too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::state;

/// The file's name in the sandbox's outer folder, which the sandbox cannot write to.
const FILE: &str = "instance.json";

/// One sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The boot in which the process ids have a meaning.
    pub(crate) boot: String,
    /// The user that was leased for it.
    pub(crate) uid: Option<u32>,
    /// Folders of its control groups.
    pub(crate) cgroups: Vec<PathBuf>,
    /// The browser, once it was started.
    pub(crate) browser: Option<Identity>,
}

/// A process that cannot be mistaken for another one of the same boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Also the id of its session.
    pub(crate) pid: i32,
    /// Clock ticks from boot to its start.
    pub(crate) start: u64,
}

impl Record {
    /// Writes it, whole or not at all.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        state::write_whole(&folder.join(FILE), &text)
    }

    /// Reads it; `None` if there is none: then nothing was started yet.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub(crate) fn read(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read(folder.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(io::Error::other)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests;
