//! One process per state folder, held by the operating system and therefore never stale.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::ExitStatus;

/// The state folder is ours until this is dropped or the process ends, however it ends.
#[derive(Debug)]
#[must_use = "dropping it lets another process use the state folder"]
pub struct StateLock {
    file: File,
}

/// Why the state folder could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{} is in use by {}; stop it, or give this one a folder of its own with STATE_DIR",
        folder.display(),
        pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Held {
        /// The folder.
        folder: PathBuf,
        /// Who has it, unless it has not written that yet.
        pid: Option<u32>,
    },
    /// It cannot be made or written to.
    #[error("the state folder {} cannot be used: {cause}; choose another with STATE_DIR", folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        cause: String,
    },
}

impl LockError {
    /// A word for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Held { .. } => "state_held",
            Self::Unusable { .. } => "state_unusable",
        }
    }

    /// How the process ends because of it.
    pub const fn exit_status(&self) -> ExitStatus {
        ExitStatus::StateTaken
    }
}

impl StateLock {
    /// Makes `folder` if it is missing and takes it. Blocks on the file system only.
    ///
    /// # Errors
    /// When another process holds it, by pid, or it cannot be made.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let unusable = |error: io::Error| LockError::Unusable {
            folder: folder.to_owned(),
            cause: error.to_string(),
        };
        fs::create_dir_all(folder).map_err(unusable)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join("lock"))
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Only for the message: the lock itself has already said no.
                let _ = file.read_to_string(&mut text);
                let pid = text.trim().parse().ok();
                return Err(LockError::Held { folder: folder.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        write_pid(&mut file).map_err(unusable)?;
        Ok(Self { file })
    }

    /// Gives the folder back. Dropping does the same.
    pub fn release(self) {
        drop(self.file);
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())?;
    file.flush()
}

#[cfg(test)]
mod tests;
