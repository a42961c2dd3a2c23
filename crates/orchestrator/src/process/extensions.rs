//! Whether a browser can load what stands in a folder. It says nothing itself when it cannot.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why a folder is no extension for a sandbox. The path is what the caller gave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// There is no manifest in it.
    #[error("{} has no manifest.json that can be read", folder.display())]
    NoManifest {
        /// Which folder.
        folder: PathBuf,
    },
    /// It is closed to the users of sandboxes.
    #[error(
        "{} cannot be read by sandbox users; allow it with `chmod -R o+rX` on {}", folder.display(),
        closed.display()
    )]
    Closed {
        /// Which folder.
        folder: PathBuf,
        /// The first part of its path that shuts them out.
        closed: PathBuf,
    },
}

/// Looks whether `folder` holds an unpacked extension that the users of sandboxes can read; a
/// daemon that is not root has no other users. A look at a few files, which blocks.
///
/// # Errors
/// See [`ExtensionError`].
pub fn check_extension(folder: &Path) -> Result<(), ExtensionError> {
    check(folder, rustix::process::geteuid().is_root())
}

fn check(folder: &Path, others: bool) -> Result<(), ExtensionError> {
    let manifest = folder.join("manifest.json");
    if !fs::metadata(&manifest).is_ok_and(|meta| meta.is_file()) {
        return Err(ExtensionError::NoManifest { folder: folder.to_owned() });
    }
    if !others {
        return Ok(());
    }
    let needed = manifest.ancestors().map(|part| match part {
        part if part == manifest => (part, 0o004),
        part if part == folder => (part, 0o005),
        part => (part, 0o001),
    });
    for (part, bits) in needed.collect::<Vec<_>>().into_iter().rev() {
        let mode = fs::metadata(part).map_or(0, |meta| meta.mode());
        if mode & bits != bits {
            let closed = part.to_owned();
            return Err(ExtensionError::Closed { folder: folder.to_owned(), closed });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
