//! Profiles that outlive the instance that made them.
//!
//! A kept profile stands in `profiles/<id>` of the state directory and stays there also while a
//! later instance runs on it: nothing has to be moved back when that start fails or the daemon dies.
//! While nobody runs on it, it belongs to the daemon, so that whoever gets the same user later
//! cannot look into it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine::Engine;
use super::hunt::blocking;
use super::state::{SandboxDirs, is_lifecycle};
use crate::driver::{Kept, LifecycleId, ProfileError, ProfileId, Room};

/// The file that proves that something can be written.
const PROBE: &str = ".probe";

impl Engine {
    /// Where a profile is kept, or would be.
    ///
    /// # Errors
    /// When the id cannot be a folder's name.
    pub(crate) fn kept_profile(&self, profile: &ProfileId) -> Result<PathBuf, ProfileError> {
        match is_lifecycle(profile.as_str()) {
            true => Ok(self.state.profiles().join(profile.as_str())),
            false => Err(ProfileError::Unknown(profile.as_str().chars().take(60).collect())),
        }
    }

    pub(crate) async fn room(
        self: &Arc<Self>,
        lifecycle: &LifecycleId,
    ) -> Result<Room, ProfileError> {
        let Some(instance) = self.instance(lifecycle) else {
            return Err(ProfileError::Unknown(lifecycle.to_string()));
        };
        let place = self.profile_of(lifecycle, instance.profile.as_ref())?;
        let engine = Arc::clone(self);
        let looked = blocking(move || {
            try_to_write(&engine.state.profiles())?;
            let profile = size(&place)?;
            let free = engine.state.free().ok_or_else(|| io::Error::other("no free space told"))?;
            Ok(Room { free, profile })
        });
        looked.await.map_err(|e| disk("looked at", &e))
    }

    fn profile_of(
        &self,
        lifecycle: &LifecycleId,
        kept: Option<&ProfileId>,
    ) -> Result<PathBuf, ProfileError> {
        match kept {
            Some(profile) => self.kept_profile(profile),
            None => Ok(self.state.dirs(lifecycle).profile),
        }
    }

    /// Keeps the profile of an instance that is closed, or of one that an earlier daemon left.
    pub(crate) async fn save_profile(
        self: &Arc<Self>,
        lifecycle: &LifecycleId,
        profile: &ProfileId,
    ) -> Result<Kept, ProfileError> {
        if let Some(instance) = self.instance(lifecycle) {
            if *instance.alive.borrow() {
                return Err(ProfileError::InUse);
            }
            // What was closed may have left helpers that still write.
            if let Some(owner) = instance.owner.get() {
                let killed = self.hunter.kill(owner).await;
                killed.map_err(|e| disk("kept", &io::Error::other(e.to_string())))?;
            }
        }
        let (place, made) = (self.kept_profile(profile)?, self.state.dirs(lifecycle));
        let unknown = ProfileError::Unknown(profile.to_string());
        let engine = Arc::clone(self);
        let kept = blocking(move || {
            // One that was kept before stands there already, and the instance ran on it.
            if !place.is_dir() {
                match fs::rename(&made.profile, &place) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                    other => other?,
                }
            }
            SandboxDirs { profile: place.clone(), ..made }.clear_locks()?;
            shut(&place)?;
            sync(&place)?;
            File::open(engine.state.profiles())?.sync_all()?;
            size(&place).map(|bytes| Some(Kept { bytes }))
        });
        kept.await.map_err(|e| disk("kept", &e))?.ok_or(unknown)
    }

    pub(crate) async fn forget_profile(
        self: &Arc<Self>,
        profile: &ProfileId,
    ) -> Result<(), ProfileError> {
        let place = self.kept_profile(profile)?;
        let engine = Arc::clone(self);
        let removed = blocking(move || {
            match fs::remove_dir_all(&place) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                Ok(()) | Err(_) => {}
            }
            File::open(engine.state.profiles())?.sync_all()
        });
        removed.await.map_err(|e| disk("removed", &e))
    }

    pub(crate) async fn kept_profiles(self: &Arc<Self>) -> Result<Vec<ProfileId>, ProfileError> {
        let folder = self.state.profiles();
        let listed = blocking(move || {
            let mut found = Vec::new();
            for entry in fs::read_dir(folder)? {
                let name = entry?.file_name();
                found.extend(name.to_str().filter(|name| is_lifecycle(name)).map(ProfileId::new));
            }
            Ok(found)
        });
        listed.await.map_err(|e| disk("listed", &e))
    }
}

/// Whether the disk takes anything at all: what it says of its free space leaves out quotas and
/// errors.
fn try_to_write(folder: &Path) -> io::Result<()> {
    let path = folder.join(PROBE);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    match fs::remove_file(path) {
        // Somebody else tried at the same time; what was written was written all the same.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Gives a kept profile to the user of the instance that is about to run on it.
///
/// # Errors
/// When there is no such profile, or it cannot be given.
pub(super) fn open(place: &Path, uid: Option<u32>) -> io::Result<()> {
    if !place.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the kept profile is not there"));
    }
    let Some(uid) = uid else { return Ok(()) };
    each(place, &mut |path, _| lchown(path, Some(uid), Some(uid)))
}

/// Takes a kept profile from the user of an instance that is no more.
pub(super) fn shut(place: &Path) -> io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    match chown(place, Some(uid), Some(gid)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes everything in a folder survive a crash of the host: one call for its file system costs less
/// than one for each of some hundred files.
pub(super) fn sync(place: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(place)?).map_err(io::Error::from)
}

/// Bytes on disk.
pub(super) fn size(place: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    // The kernel counts blocks of 512 bytes, whatever the file system does.
    each(place, &mut |_, meta| {
        bytes += meta.blocks() * 512;
        Ok(())
    })?;
    Ok(bytes)
}

/// Calls `f` with a folder and everything in it. Links are seen and never followed. What goes away
/// meanwhile is left out: a browser that runs writes and removes files all the time.
pub(super) fn each(
    path: &Path,
    f: &mut impl FnMut(&Path, &fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let still_there = |outcome: io::Result<()>| match outcome {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let meta = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta?,
    };
    still_there(f(path, &meta))?;
    if !meta.is_dir() {
        return Ok(());
    }
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        match entry {
            Ok(entry) => each(&entry.path(), f)?,
            // The folder itself went away while it was listed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The text goes to clients: it has no path.
pub(super) fn disk(doing: &'static str, e: &io::Error) -> ProfileError {
    ProfileError::Disk { doing, cause: e.to_string() }
}

#[cfg(test)]
mod tests;
