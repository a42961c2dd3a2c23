//! The place that a sink has reached, on disk. Blocking: runs off the async threads.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use eventlog::Cursor;

#[cfg(test)]
mod tests;

/// Reads a cursor; `None` if there is none, or one that cannot be read.
pub(super) fn load(path: &Path) -> io::Result<Option<Cursor>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a cursor: after a crash there is the old one or the new one.
pub(super) fn save(path: &Path, cursor: &Cursor) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    writeln!(file, "{cursor}")?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}
