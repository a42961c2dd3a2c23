//! The state directory: one folder per sandbox, made and removed here.
//!
//! ```text
//! <state>/                 passable for sandbox users, nothing more
//!   driver-id              names this directory in marks and control groups
//!   sandboxes/<lifecycle>/ the daemon's; the sandbox's group may pass through
//!     instance.json        what runs here, for the next daemon
//!     profile/ tmp/ home/  the sandbox user's own
//!   profiles/<id>/         kept profiles; the daemon's own while nobody runs on them
//!   set-aside/<lifecycle>/ what could not be removed
//! ```

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::config::SetupError;
use crate::driver::LifecycleId;

/// The folders of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SandboxDirs {
    pub(crate) root: PathBuf,
    pub(crate) profile: PathBuf,
    pub(crate) tmp: PathBuf,
    pub(crate) home: PathBuf,
}

/// The state directory.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    root: PathBuf,
    id: String,
}

impl StateDir {
    /// Makes or opens it. `others` says whether sandboxes run as users other than the daemon's.
    pub(crate) fn open(root: &Path, others: bool) -> Result<Self, SetupError> {
        let mode = if others { 0o711 } else { 0o700 };
        let state_dir = |path: &Path, e: io::Error| SetupError::StateDir {
            path: path.display().to_string(),
            cause: e.to_string(),
        };
        let build = |path: &Path| {
            let made = !path.exists();
            let built = DirBuilder::new().recursive(true).mode(mode).create(path);
            // Whatever the daemon's umask is, but never on a folder that somebody else made.
            let open = || fs::set_permissions(path, fs::Permissions::from_mode(mode));
            built.and_then(|()| if made { open() } else { Ok(()) }).map_err(|e| state_dir(path, e))
        };
        build(root)?;
        // The same folder by any name, also after a change of the working directory.
        let root = root.canonicalize().map_err(|e| state_dir(root, e))?;
        for name in ["sandboxes", "profiles", "set-aside"] {
            build(&root.join(name))?;
        }
        if others {
            check_passable(&root.join("sandboxes"))?;
        }
        let id = read_or_make_id(&root.join("driver-id"))
            .map_err(|e| state_dir(&root.join("driver-id"), e))?;
        Ok(Self { root, id })
    }

    /// Names this directory: 16 hex digits, made once.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Bytes that are free for ordinary users on its disk; `None` if the system does not say.
    pub(crate) fn free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.root).ok()?;
        disk.f_frsize.checked_mul(disk.f_bavail)
    }

    /// Where kept profiles are.
    pub(crate) fn profiles(&self) -> PathBuf {
        self.root.join("profiles")
    }

    /// Where the folders of a sandbox are, or would be.
    pub(crate) fn dirs(&self, lifecycle: &LifecycleId) -> SandboxDirs {
        let root = self.root.join("sandboxes").join(lifecycle.as_str());
        let (profile, tmp, home) = (root.join("profile"), root.join("tmp"), root.join("home"));
        SandboxDirs { root, profile, tmp, home }
    }

    /// Lifecycles that have a folder.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub(crate) fn lifecycles(&self) -> io::Result<Vec<LifecycleId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join("sandboxes"))? {
            let name = entry?.file_name();
            found.extend(name.to_str().filter(|name| is_lifecycle(name)).map(LifecycleId::new));
        }
        Ok(found)
    }

    /// Moves what cannot be removed out of the way.
    pub(crate) fn set_aside(&self, lifecycle: &LifecycleId) -> io::Result<()> {
        let to = self.root.join("set-aside").join(lifecycle.as_str());
        fs::rename(self.dirs(lifecycle).root, to)
    }
}

impl SandboxDirs {
    /// Makes the outer folder, which belongs to the daemon: the sandbox user may pass through it,
    /// but not change what is in it.
    pub(crate) fn make_root(&self, uid: Option<u32>) -> io::Result<()> {
        make(&self.root, 0o700)?;
        if let Some(uid) = uid {
            chown(&self.root, None, Some(uid))?;
            fs::set_permissions(&self.root, fs::Permissions::from_mode(0o710))?;
        }
        Ok(())
    }

    /// Makes the folders that belong to the sandbox.
    pub(crate) fn make_inner(&self, uid: Option<u32>) -> io::Result<()> {
        for dir in [&self.own_profile(), &self.tmp, &self.home] {
            make(dir, 0o700)?;
            if uid.is_some() {
                chown(dir, uid, uid)?;
            }
        }
        Ok(())
    }

    /// The profile that goes with the sandbox, unless it is kept before. One that runs on a kept
    /// profile has an empty one.
    fn own_profile(&self) -> PathBuf {
        self.root.join("profile")
    }

    /// Removes what a dead browser leaves in its profile: a lock that names its process, and the
    /// port it listened on. No browser of this profile runs, so nobody needs them.
    pub(crate) fn clear_locks(&self) -> io::Result<()> {
        for name in ["SingletonLock", "SingletonCookie", "SingletonSocket", "DevToolsActivePort"] {
            match fs::remove_file(self.profile.join(name)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Removes everything but a kept profile, without following links. The outer folder, with the record in it, goes
    /// last: an interrupted removal is finished by the next daemon.
    ///
    /// # Errors
    /// The first thing that could not be removed; the rest was tried.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let inner = [&self.tmp, &self.home, &self.own_profile()].map(|dir| remove(dir));
        inner.into_iter().collect::<io::Result<()>>()?;
        remove(&self.root)
    }
}

/// Whether a name can be that of a lifecycle: it becomes a folder and a group.
pub(crate) fn is_lifecycle(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 40 && name.chars().all(plain)
}

fn make(dir: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(dir)
}

/// `remove_dir_all` removes links and never what they lead to, also while somebody swaps them.
fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn check_passable(dir: &Path) -> Result<(), SetupError> {
    for folder in dir.ancestors() {
        let open = fs::metadata(folder).map(|meta| meta.mode() & 0o001 != 0);
        if !open.unwrap_or(false) {
            return Err(SetupError::Unreachable { blocked: folder.display().to_string() });
        }
    }
    Ok(())
}

fn read_or_make_id(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if text.len() == 16 && text.chars().all(|c| c.is_ascii_hexdigit()) => Ok(text),
        Ok(_) => Err(io::Error::other("is not an id; remove the file if nothing runs here")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(io::Error::other)?;
            let id = format!("{:016x}", u64::from_ne_bytes(random));
            write_whole(path, id.as_bytes())?;
            Ok(id)
        }
        Err(e) => Err(e),
    }
}

/// Writes a file so that readers see it whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    fs::write(&aside, bytes)?;
    fs::rename(aside, path)
}

#[cfg(test)]
mod tests;
