//! Pure: what of a profile goes into an archive, and what may come out of one.

use std::path::{Component, Path};

/// Files and folders that a browser makes again by itself, or that only mean something to the
/// process that made them, at the top of a profile or one level below.
const LEFT_OUT: [&str; 24] = [
    // Who runs on it: a lock that names another host stops a browser from starting.
    "SingletonLock",
    "SingletonCookie",
    "SingletonSocket",
    "DevToolsActivePort",
    "lockfile",
    // Caches.
    "Cache",
    "Code Cache",
    "GPUCache",
    "GrShaderCache",
    "GraphiteDawnCache",
    "DawnCache",
    "DawnGraphiteCache",
    "DawnWebGPUCache",
    "ShaderCache",
    "Media Cache",
    "Application Cache",
    "component_crx_cache",
    "extensions_crx_cache",
    // What crashes and measurements leave.
    "Crash Reports",
    "Crashpad",
    "BrowserMetrics",
    "BrowserMetrics-spare.pma",
    "DeferredBrowserMetrics",
    "chrome_debug.log",
];

/// How deep the names above are looked for: the profile's folder, and that of a user in it.
const DEPTH: usize = 2;

/// Whether a path inside a profile belongs into a snapshot.
pub fn is_kept(path: &Path) -> bool {
    let mut names = path.components().take(DEPTH);
    !names.any(|name| match name {
        Component::Normal(name) => LEFT_OUT.iter().any(|out| name == *out),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            true
        }
    })
}

/// What an archive says that an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file with so many bytes.
    File {
        /// Its size.
        bytes: u64,
    },
    /// A link, a device, a pipe or anything else that no archive of ours has.
    Other,
}

/// One entry of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it wants to be.
    pub path: &'a Path,
    /// What it is.
    pub kind: EntryKind,
    /// Its permission bits.
    pub mode: u32,
}

/// Why an entry is not unpacked; with it the whole archive is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryRefused {
    /// An absolute path, `..`, or none at all.
    #[error("an entry of the archive leads out of the profile")]
    Outside,
    /// A link or a device.
    #[error("an entry of the archive is neither a file nor a folder")]
    Kind,
    /// Set-user-id, set-group-id or sticky.
    #[error("an entry of the archive has a set-id bit")]
    Mode,
    /// More bytes than the snapshot says.
    #[error("the archive unpacks to more bytes than its manifest says")]
    Bytes,
    /// Too many of them.
    #[error("the archive has more than {MAX_ENTRIES} entries")]
    Count,
}

/// At most so many entries: a profile in use has some hundreds to a few thousand.
const MAX_ENTRIES: u64 = 500_000;

/// What may still come out of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    bytes: u64,
    entries: u64,
}

impl Limits {
    /// At most so many bytes in all files.
    pub fn new(bytes: u64) -> Self {
        Self { bytes, entries: MAX_ENTRIES }
    }
}

/// Checks the next entry of an archive before anything is written.
///
/// # Errors
/// See [`EntryRefused`].
pub fn check_entry(entry: &Entry<'_>, left: &mut Limits) -> Result<(), EntryRefused> {
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    let named = entry.path.components().any(|part| matches!(part, Component::Normal(_)));
    let top = entry.kind == EntryKind::Folder
        && entry.path.components().all(|part| part == Component::CurDir);
    if !entry.path.components().all(inside) || !(named || top) {
        return Err(EntryRefused::Outside);
    }
    let bytes = match entry.kind {
        EntryKind::Folder => 0,
        EntryKind::File { bytes } => bytes,
        EntryKind::Other => return Err(EntryRefused::Kind),
    };
    if entry.mode & 0o7000 != 0 {
        return Err(EntryRefused::Mode);
    }
    left.entries = left.entries.checked_sub(1).ok_or(EntryRefused::Count)?;
    left.bytes = left.bytes.checked_sub(bytes).ok_or(EntryRefused::Bytes)?;
    Ok(())
}

#[cfg(test)]
mod tests;
