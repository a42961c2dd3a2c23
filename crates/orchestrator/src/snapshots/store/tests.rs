use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use object_store::memory::InMemory;

use super::*;
use crate::driver::Flavour;

fn about() -> About {
    About {
        sandbox: "shop".to_owned(),
        execution: "ex".to_owned(),
        lifecycle: "lc".to_owned(),
        template: "default".to_owned(),
        flavour: Flavour::Chromium,
        browser: None,
        labels: std::collections::BTreeMap::new(),
        node: "n1".to_owned(),
    }
}

/// A profile that does not compress.
fn profile() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(12 << 20).collect()
}

async fn save(store: &SnapshotStore, bytes: Vec<u8>) -> Result<Manifest, StoreError> {
    let id = SnapshotId::random(SystemTime::now());
    let write = |mut sink: ArchiveSink| async move {
        let written = blocking(move || sink.write_all(&bytes)).await;
        written.map_err(|e| ProfileError::Disk { doing: "written", cause: e.to_string() })
    };
    store.save(&id, about(), &CancellationToken::new(), write).await
}

async fn load(store: &SnapshotStore, manifest: &Manifest) -> Result<Vec<u8>, StoreError> {
    let found = Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = Arc::clone(&found);
    let read = |mut source: ArchiveSource| async move {
        let read = blocking(move || {
            let mut bytes = Vec::new();
            source.read_to_end(&mut bytes)?;
            *into.lock().unwrap() = bytes;
            Ok(Kept { bytes: 1 })
        });
        read.await.map_err(|e| ProfileError::Disk { doing: "read", cause: e.to_string() })
    };
    store.load(manifest, &CancellationToken::new(), read).await?;
    let bytes = found.lock().unwrap().clone();
    Ok(bytes)
}

fn files(folder: &FilePath) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => all.extend(files(&entry.path())),
            false => all.push(entry.path()),
        }
    }
    all
}

#[tokio::test]
async fn what_was_saved_is_read_again_and_listed_by_any_node_until_it_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("snapshots");
    let store = SnapshotStore::folder(&folder, "n1", Retention::default()).unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    store.probe(1 << 20).await.unwrap();
    let (first, second) =
        (save(&store, profile()).await.unwrap(), save(&store, b"small".to_vec()).await.unwrap());
    assert_eq!(first.unpacked, 12 << 20);
    let other = SnapshotStore::folder(&folder, "n2", Retention::default()).unwrap();
    assert!(load(&other, &first).await.unwrap() == profile());
    assert_eq!(load(&other, &second).await.unwrap(), b"small");
    let page = other.list(None, 1).await.unwrap();
    assert_eq!((page.snapshots, page.next.clone()), (vec![first.clone()], Some(first.id())));
    let page = other.list(page.next.as_ref(), 10).await.unwrap();
    assert_eq!((page.snapshots, page.next), (vec![second.clone()], None));
    other.remove(&first.id()).await.unwrap();
    assert_eq!(other.get(&first.id()).await, Err(StoreError::NotFound(first.id().to_string())));
    other.remove(&second.id()).await.unwrap();
    assert_eq!(files(&folder), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_save_that_fails_or_is_cut_leaves_no_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::folder(folder.path(), "n1", Retention::default()).unwrap();
    let id = SnapshotId::random(SystemTime::now());
    let fails = |mut sink: ArchiveSink| async move {
        let _ = blocking(move || sink.write_all(&profile())).await;
        Err(ProfileError::InUse)
    };
    let failed = store.save(&id, about(), &CancellationToken::new(), fails).await;
    assert_eq!(failed, Err(StoreError::Profile(ProfileError::InUse)));
    let stop = CancellationToken::new();
    let writes = |mut sink: ArchiveSink| {
        stop.cancel();
        // Goes on until it is told that nobody wants it any more.
        async move {
            let written = blocking::<()>(move || {
                loop {
                    sink.write_all(&[7; 4096])?;
                }
            });
            let told = written.await.unwrap_err().kind();
            assert_eq!(told, io::ErrorKind::BrokenPipe);
            Ok(())
        }
    };
    let cut = store.save(&id, about(), &stop, writes).await;
    assert_eq!(cut, Err(StoreError::Cut));
    assert_eq!(store.list(None, 10).await.unwrap().snapshots, []);
}

#[tokio::test]
async fn what_a_killed_daemon_left_is_invisible_and_swept_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::folder(folder.path(), "n1", Retention::default()).unwrap();
    let kept = save(&store, b"kept".to_vec()).await.unwrap();
    let torn = save(&store, b"torn".to_vec()).await.unwrap();
    let other = SnapshotStore::folder(folder.path(), "n2", Retention::default()).unwrap();
    let theirs = save(&other, b"theirs".to_vec()).await.unwrap();
    // Died before the manifest, in the middle of the archive, and in the middle of the manifest.
    for id in [torn.id(), theirs.id()] {
        fs::remove_file(folder.path().join(format!("manifests/{id}.json"))).unwrap();
    }
    fs::write(folder.path().join("archives/n1/half.tar.zst#1"), "half").unwrap();
    fs::write(folder.path().join("manifests/half.json#1"), "{").unwrap();
    assert_eq!(store.list(None, 10).await.unwrap().snapshots, std::slice::from_ref(&kept));
    assert_eq!(store.sweep().await, Ok(3));
    assert_eq!(load(&store, &kept).await.unwrap(), b"kept");
    assert_eq!(files(folder.path()).len(), 3, "what another node writes is its own");
}

#[tokio::test]
async fn an_archive_that_was_changed_is_damaged_wherever_the_change_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::folder(folder.path(), "n1", Retention::default()).unwrap();
    let manifest = save(&store, b"a profile that is worth something".to_vec()).await.unwrap();
    let path = folder.path().join(&manifest.archive);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, bad).unwrap();
        assert!(load(&store, &manifest).await.is_err(), "byte {at}");
    }
    fs::write(&path, [good.as_slice(), b"more"].concat()).unwrap();
    assert!(load(&store, &manifest).await.is_err(), "something was added");
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert!(load(&store, &manifest).await.is_err(), "something is missing");
    fs::remove_file(&path).unwrap();
    assert!(matches!(load(&store, &manifest).await, Err(StoreError::Damaged(_))));
}

#[tokio::test]
async fn an_archive_that_unpacks_to_more_than_was_said_is_not_read_to_its_end() {
    let store = SnapshotStore::on(Arc::new(InMemory::new()), "n1", Retention::default());
    let manifest = save(&store, vec![0; 64 << 20]).await.unwrap();
    assert!(manifest.bytes < 1 << 20, "zeros compress well");
    let mut lies = manifest;
    lies.unpacked = 1 << 20;
    let error = load(&store, &lies).await.unwrap_err();
    assert!(error.to_string().contains("larger than its manifest"), "{error}");
}

#[tokio::test]
async fn a_store_with_a_limit_is_full_in_time_and_drops_its_oldest() {
    let retention = Retention { max_bytes: 1000, ..Retention::default() };
    let store = SnapshotStore::on(Arc::new(InMemory::new()), "n1", retention);
    assert!(matches!(store.probe(1001).await, Err(StoreError::Full(_))));
    store.probe(1000).await.unwrap();
    assert!(save(&store, profile()).await.is_err(), "more than the whole limit");
    let mut random = fastrand::Rng::with_seed(9);
    let mut saved = Vec::new();
    for _ in 0..4 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(400).collect();
        saved.push(save(&store, bytes).await.unwrap().id());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(store.retain(SystemTime::now()).await.unwrap(), saved[..2]);
    let left = store.list(None, 10).await.unwrap().snapshots;
    assert_eq!(left.iter().map(Manifest::id).collect::<Vec<_>>(), saved[2..]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_makes_the_store_unavailable_and_tells_no_path() {
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::folder(folder.path(), "n1", Retention::default()).unwrap();
    fs::write(folder.path().join("probes"), "in the way").unwrap();
    let error = store.probe(1).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
}
