//! Kept profiles as archives.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use tar::{Archive, Builder, EntryType, Header};

use super::engine::Engine;
use super::hunt::blocking;
use super::profile::{disk, each, size, sync};
use crate::driver::{Kept, ProfileError, ProfileId};
use crate::snapshots::{
    ArchiveSink, ArchiveSource, Entry, EntryKind, Limits, check_entry, is_kept,
};

impl Engine {
    pub(crate) async fn export_profile(
        self: &Arc<Self>,
        profile: &ProfileId,
        to: ArchiveSink,
    ) -> Result<(), ProfileError> {
        let place = self.kept_profile(profile)?;
        if !place.is_dir() {
            return Err(ProfileError::Unknown(profile.to_string()));
        }
        let written = blocking(move || pack(&place, to));
        written.await.map_err(|e| disk("written into the archive", &e))
    }

    pub(crate) async fn import_profile(
        self: &Arc<Self>,
        profile: &ProfileId,
        from: ArchiveSource,
        most: u64,
    ) -> Result<Kept, ProfileError> {
        let place = self.kept_profile(profile)?;
        let engine = Arc::clone(self);
        let made = blocking(move || {
            unpack(&place, from, most)?;
            sync(&place)?;
            File::open(engine.state.profiles())?.sync_all()?;
            size(&place).map(|bytes| Kept { bytes })
        });
        made.await.map_err(|e| disk("unpacked", &e))
    }
}

/// Files and folders of a profile; links, sockets and everything else stay out.
fn pack(place: &Path, to: ArchiveSink) -> io::Result<()> {
    let mut archive = Builder::new(to);
    each(place, &mut |path, meta| {
        let Ok(inside) = path.strip_prefix(place) else { return Ok(()) };
        if inside.as_os_str().is_empty() || !is_kept(inside) {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_mode(meta.permissions().mode() & 0o777);
        header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
        if meta.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            archive.append_data(&mut header, inside, io::empty())
        } else if meta.is_file() {
            let file = File::open(path)?;
            let bytes = file.metadata()?.len();
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes);
            // A file that shrinks meanwhile would shift everything behind it: its end is zeros then.
            let file = file.chain(io::repeat(0)).take(bytes);
            archive.append_data(&mut header, inside, file)
        } else {
            Ok(())
        }
    })?;
    archive.into_inner().map(drop)
}

/// Into a folder that is made here, so that nothing in it can lead elsewhere.
fn unpack(place: &Path, from: ArchiveSource, most: u64) -> io::Result<()> {
    let folder = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    if place.exists() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a profile of that name is there",
        ));
    }
    folder(place)?;
    let mut left = Limits::new(most);
    for entry in Archive::new(from).entries()? {
        let mut entry = entry?;
        let bytes = entry.size();
        let kind = match entry.header().entry_type() {
            EntryType::Regular => EntryKind::File { bytes },
            EntryType::Directory => EntryKind::Folder,
            _ => EntryKind::Other,
        };
        let (path, mode) = (entry.path()?.into_owned(), entry.header().mode()?);
        let checked = check_entry(&Entry { path: &path, kind, mode }, &mut left);
        checked.map_err(io::Error::other)?;
        let target = place.join(&path);
        if kind == EntryKind::Folder {
            folder(&target)?;
            continue;
        }
        target.parent().map_or(Ok(()), folder)?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&target)?;
        if io::copy(&mut entry, &mut file)? != bytes {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut short"));
        }
        if mode & 0o100 != 0 {
            fs::set_permissions(&target, fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
