//! The store: any that `object_store` speaks to; a folder of this host is one.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use tokio_util::sync::CancellationToken;

use super::archive::{ArchiveSink, ArchiveSource, Unpacking, Upload};
use super::error::{StoreError, told};
use super::manifest::LARGEST;
use super::{About, Manifest, Retention, SnapshotId};
use crate::driver::{Kept, ProfileError};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPage {
    /// Oldest first.
    pub snapshots: Vec<Manifest>,
    /// The last one's id, if there are more.
    pub next: Option<SnapshotId>,
}

/// Where snapshots are kept. Clones are handles to the same store.
#[derive(Clone)]
pub struct SnapshotStore {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// The folder, if it is one.
    pub(super) folder: Option<PathBuf>,
    pub(super) node: Arc<str>,
    pub(super) retention: Retention,
}

impl fmt::Debug for SnapshotStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotStore").field("retention", &self.retention).finish_non_exhaustive()
    }
}

/// How long a store may take to answer a small write before a checkpoint is refused.
const PROBE: Duration = Duration::from_secs(5);

/// Bytes of an archive that are in memory at once: the smallest part that S3 takes.
const PART: usize = 5 << 20;

/// What an archive may need besides the profile's bytes: heads of its entries, the manifest.
const EXTRA: u64 = 1 << 20;

impl SnapshotStore {
    /// A folder, made if need be, for this daemon's eyes only. Blocks for file operations.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn folder(path: &FilePath, node: &str, retention: Retention) -> io::Result<Self> {
        if !path.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let folder = path.canonicalize()?;
        let objects = LocalFileSystem::new_with_prefix(&folder).map_err(io::Error::other)?;
        let store = Self::on(Arc::new(objects.with_fsync(true)), node, retention);
        Ok(Self { folder: Some(folder), ..store })
    }

    /// Any other store. `node` names those archives that are ours to sweep.
    pub fn on(objects: Arc<dyn ObjectStore>, node: &str, retention: Retention) -> Self {
        Self { objects, folder: None, node: node.into(), retention }
    }

    /// How long what is in it is kept.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// Whether a profile of so many bytes can be saved now: there is room, and a small write works.
    ///
    /// # Errors
    /// [`StoreError::Full`] and [`StoreError::Unavailable`].
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn probe(&self, profile: u64) -> Result<(), StoreError> {
        let most = self.retention.max_bytes;
        if most > 0 && profile > most {
            let text = format!("the profile has {} MiB, SNAPSHOT_MAX_BYTES is less", profile >> 20);
            return Err(StoreError::Full(text));
        }
        if let Some(disk) = self.folder.as_ref().and_then(|path| rustix::fs::statvfs(path).ok()) {
            let free = disk.f_frsize.saturating_mul(disk.f_bavail);
            if free < profile.saturating_add(EXTRA) {
                return Err(StoreError::Full(format!("its disk has {} MiB free", free >> 20)));
            }
        }
        let place = Path::from_iter(["probes", &*self.node]);
        let tried = async {
            self.objects.put(&place, PutPayload::from_static(b"probe")).await?;
            self.objects.delete(&place).await
        };
        match tokio::time::timeout(PROBE, tried).await {
            Ok(outcome) => outcome.map_err(|e| told(&e)),
            Err(_) => Err(StoreError::Unavailable(format!("no answer within {PROBE:?}"))),
        }
    }

    /// Saves what `write` writes. The snapshot exists, durably, once this has returned `Ok`, and not
    /// before its last step.
    ///
    /// # Errors
    /// See [`StoreError`]; then there is no snapshot, and what was written of it is removed, by the
    /// next sweep if not now.
    ///
    /// # Cancel safety
    /// Not by drop: fire `stop` and await the result, so that nobody writes any more.
    pub async fn save<W>(
        &self,
        id: &SnapshotId,
        about: About,
        stop: &CancellationToken,
        write: impl FnOnce(ArchiveSink) -> W,
    ) -> Result<Manifest, StoreError>
    where
        W: Future<Output = Result<(), ProfileError>>,
    {
        let archive = Path::from_iter(["archives", &*self.node, &format!("{id}.tar.zst")]);
        let to = BufWriter::with_capacity(Arc::clone(&self.objects), archive.clone(), PART)
            .with_max_concurrency(1);
        let most = match self.retention.max_bytes {
            0 => u64::MAX,
            most => most,
        };
        let upload = Upload::begin(to, most).map_err(|e| told(&e))?;
        let writing = write(upload.sink());
        unless(stop, || upload.cut(), writing).await?;
        let sealing = upload.clone();
        let sealed = blocking(move || sealing.finish()).await.map_err(|e| told(&e))?;
        let created = id.made().max(SystemTime::now());
        let created = created.duration_since(UNIX_EPOCH).unwrap_or_default();
        let created = u64::try_from(created.as_millis()).unwrap_or(u64::MAX);
        let manifest = Manifest::new(id, created, about, (archive.to_string(), sealed));
        let put = self.objects.put(&manifest_path(id), manifest.to_json().into()).await;
        if let Err(error) = put {
            let _ = self.objects.delete(&archive).await;
            return Err(told(&error));
        }
        Ok(manifest)
    }

    /// Lets `read` read the archive of a snapshot, and then says whether it was what had been saved:
    /// nothing that was read may be used before.
    ///
    /// # Errors
    /// See [`StoreError`].
    ///
    /// # Cancel safety
    /// Not by drop: fire `stop` and await the result, so that nobody unpacks any more.
    pub async fn load<R>(
        &self,
        manifest: &Manifest,
        stop: &CancellationToken,
        read: impl FnOnce(ArchiveSource) -> R,
    ) -> Result<Kept, StoreError>
    where
        R: Future<Output = Result<Kept, ProfileError>>,
    {
        let place = Path::from(manifest.archive.as_str());
        let found = self.objects.get(&place).await.map_err(|e| told(&e))?;
        let stream = found.into_stream().map_err(io::Error::from).boxed();
        let unpacking = Unpacking::begin(stream, manifest.bytes, manifest.unpacked);
        let unpacking = unpacking.map_err(|e| told(&e))?;
        let reading = read(unpacking.source());
        let kept = unless(stop, || unpacking.cut(), reading).await?;
        let rest = unpacking.clone();
        let seen = blocking(move || rest.finish()).await.map_err(|e| told(&e))?;
        if (seen.bytes, seen.sha256.as_str()) != (manifest.bytes, manifest.sha256.as_str()) {
            let text = "its archive is not the one that its manifest was written for";
            return Err(StoreError::Damaged(text.to_owned()));
        }
        Ok(kept)
    }

    /// The manifest of one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn get(&self, id: &SnapshotId) -> Result<Manifest, StoreError> {
        let found = match self.objects.get(&manifest_path(id)).await {
            Err(object_store::Error::NotFound { .. }) => {
                return Err(StoreError::NotFound(id.to_string()));
            }
            other => other.map_err(|e| told(&e))?,
        };
        if found.meta.size > LARGEST {
            return Err(StoreError::Damaged("its manifest is too large".to_owned()));
        }
        let bytes = found.bytes().await.map_err(|e| told(&e))?;
        Manifest::from_json(id, &bytes)
            .map_err(|problem| StoreError::Damaged(format!("its manifest: {problem}")))
    }

    /// Those behind `after`, oldest first, at most `limit`. One whose manifest cannot be read is left
    /// out and told in the log.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn list(
        &self,
        after: Option<&SnapshotId>,
        limit: usize,
    ) -> Result<SnapshotPage, StoreError> {
        let mut ids = self.ids().await?;
        ids.retain(|id| after.is_none_or(|after| id > after));
        let more = ids.len() > limit;
        ids.truncate(limit);
        let next = ids.last().filter(|_| more).cloned();
        let mut snapshots = Vec::new();
        for id in ids {
            match self.get(&id).await {
                Ok(manifest) => snapshots.push(manifest),
                // Somebody removed it meanwhile.
                Err(StoreError::NotFound(_)) => {}
                Err(error @ StoreError::Damaged(_)) => {
                    tracing::warn!(snapshot.id = %id, %error, "a snapshot is left out of a list");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(SnapshotPage { snapshots, next })
    }

    /// Removes one: first what makes it be there, then the rest.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove(&self, id: &SnapshotId) -> Result<(), StoreError> {
        let place = manifest_path(id);
        let archive = match self.get(id).await {
            Ok(manifest) => Some(Path::from(manifest.archive.as_str())),
            // Nobody can restore it; its archive is swept by whoever wrote it.
            Err(StoreError::Damaged(_)) => None,
            Err(error) => return Err(error),
        };
        self.objects.delete(&place).await.map_err(|e| told(&e))?;
        match archive {
            Some(archive) => match self.objects.delete(&archive).await {
                Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
                Err(error) => Err(told(&error)),
            },
            None => Ok(()),
        }
    }

    /// Every snapshot, in order.
    pub(super) async fn ids(&self) -> Result<Vec<SnapshotId>, StoreError> {
        let found = self.all(Path::from("manifests")).await?;
        let id = |meta: ObjectMeta| meta.location.filename()?.strip_suffix(".json")?.parse().ok();
        let mut ids: Vec<SnapshotId> = found.into_iter().filter_map(id).collect();
        ids.sort();
        Ok(ids)
    }

    pub(super) async fn all(&self, under: Path) -> Result<Vec<ObjectMeta>, StoreError> {
        match self.objects.list(Some(&under)).try_collect().await {
            Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
            other => other.map_err(|e| told(&e)),
        }
    }
}

fn manifest_path(id: &SnapshotId) -> Path {
    Path::from_iter(["manifests", &format!("{id}.json")])
}

/// Waits for the driver. Once `stop` fires it is cut off, and then waited for: when this returns it
/// touches nothing any more.
async fn unless<T>(
    stop: &CancellationToken,
    cut: impl Fn(),
    work: impl Future<Output = Result<T, ProfileError>>,
) -> Result<T, StoreError> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        outcome = &mut work => outcome.map_err(|error| {
            cut();
            StoreError::Profile(error)
        }),
        () = stop.cancelled() => {
            cut();
            let _ = work.await;
            Err(StoreError::Cut)
        }
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

#[cfg(test)]
mod tests;
