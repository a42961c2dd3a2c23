//! What is removed from a store: what nobody finished, and what was kept for long enough.

use std::fs;
use std::io;
use std::path::Path as FilePath;
use std::time::SystemTime;

use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::error::{StoreError, told};
use super::store::blocking;
use super::{Retention, SnapshotId, SnapshotStore, Stored};

impl SnapshotStore {
    /// Removes what saves of this node left that did not come to their end. Only when none is under
    /// way. How many there were.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let ids = self.ids().await?;
        let mut swept = 0;
        for archive in self.all(Path::from_iter(["archives", &*self.node])).await? {
            let name = archive.location.filename().and_then(|name| name.strip_suffix(".tar.zst"));
            let id = name.and_then(|name| name.parse::<SnapshotId>().ok());
            if id.is_some_and(|id| ids.binary_search(&id).is_err()) {
                self.objects.delete(&archive.location).await.map_err(|e| told(&e))?;
                swept += 1;
            }
        }
        if let Some(folder) = self.folder.clone() {
            let ours = folder.join("archives").join(&*self.node);
            let removed = blocking(move || {
                Ok(remove_staged(&ours)? + remove_staged(&folder.join("manifests"))?)
            });
            swept += removed.await.map_err(|e| told(&e))?;
        }
        Ok(swept)
    }

    /// Removes what has been kept for long enough. Those that were removed.
    ///
    /// # Errors
    /// When the store cannot be listed, or one could not be removed.
    pub async fn retain(&self, now: SystemTime) -> Result<Vec<SnapshotId>, StoreError> {
        if self.retention == Retention::default() {
            return Ok(Vec::new());
        }
        let archives = self.all(Path::from("archives")).await?;
        let size = |id: &SnapshotId| {
            let name = format!("{id}.tar.zst");
            let found = archives.iter().find(|a| a.location.filename() == Some(name.as_str()));
            found.map_or(0, |archive| archive.size)
        };
        let stored = self.ids().await?.into_iter().map(|id| Stored { bytes: size(&id), id });
        let over = self.retention.over(stored.collect(), now);
        for id in &over {
            match self.remove(id).await {
                Ok(()) | Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(over)
    }
}

/// Removes files that were being written when their writer died: those have a `#` in their names.
fn remove_staged(folder: &FilePath) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains('#') {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}
