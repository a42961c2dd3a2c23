//! The folder of records. Every call blocks for file operations.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::file::StoredRecord;
use crate::ids::SandboxId;

/// Why records could not be read or written. The text has no host path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordsError {
    #[error("the folder of records cannot be read: {0}")]
    Folder(String),
    #[error("the record {name} cannot be read: {problem}")]
    Unreadable { name: String, problem: String },
    #[error("the record of the sandbox could not be written: {0}")]
    Write(String),
}

/// The files' ending.
const ENDING: &str = "json";

/// The ending of one that is being written.
const ASIDE: &str = "new";

#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes it if need be. Only the daemon may look inside: records have what creates were given.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        Ok(Self(path.to_owned()))
    }

    /// Every record. What a write that was cut short left aside is removed.
    ///
    /// # Errors
    /// When the folder or any one of them cannot be read: a list with holes would have sandboxes
    /// ended that are parked.
    pub(super) fn read_all(&self) -> Result<Vec<StoredRecord>, RecordsError> {
        let folder = |e: io::Error| RecordsError::Folder(e.to_string());
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(folder)? {
            let path = entry.map_err(folder)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match path.extension().and_then(|ending| ending.to_str()) {
                Some(ENDING) => {
                    let unreadable =
                        |problem| RecordsError::Unreadable { name: name.clone(), problem };
                    let bytes = fs::read(&path).map_err(|e| unreadable(e.to_string()))?;
                    let record = StoredRecord::from_json(&bytes).map_err(unreadable)?;
                    if path != self.file(&record.id) {
                        return Err(unreadable(format!("it is of the sandbox `{}`", record.id)));
                    }
                    all.push(record);
                }
                Some(ASIDE) => fs::remove_file(&path).map_err(folder)?,
                Some(_) | None => {}
            }
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    /// Writes or removes one. It lasts after [`Self::sync`].
    pub(super) fn put(&self, id: &SandboxId, bytes: Option<&[u8]>) -> io::Result<()> {
        let path = self.file(id.as_str());
        let Some(bytes) = bytes else {
            return match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                Ok(()) | Err(_) => Ok(()),
            };
        };
        let aside = path.with_extension(ASIDE);
        let write = || {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&aside, &path)
        };
        write().inspect_err(|_| {
            // A full disk must not be kept full by what could not be written.
            let _ = fs::remove_file(&aside);
        })
    }

    /// Makes renames and removals last.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    fn file(&self, id: &str) -> PathBuf {
        // An id has no character that means anything in a path.
        self.0.join(format!("{id}.{ENDING}"))
    }
}
