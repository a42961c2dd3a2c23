//! Sandboxes made from snapshots, and how long snapshots are kept.

use std::sync::Arc;

use lockkeeper_api::SandboxState;
use orchestrator::snapshots::{Retention, SnapshotStore, StoreError};
use orchestrator::{Config, CreateError, SnapshotError};

use crate::checkpoint::{on_disk, on_node, world};
use crate::world::{World, config, request, secs};

#[tokio::test(start_paused = true)]
async fn another_node_makes_sandboxes_from_a_snapshot_as_often_as_it_likes() {
    let (first, folder) = world().await;
    let body = r#"{"id": "a", "flavour": "chromium"}"#;
    first.node.create(request(body)).await.unwrap();
    let snapshot = first.checkpoint("a").await.unwrap().snapshot;
    let elsewhere = tempfile::tempdir().unwrap();
    let second = World::with(on_node("n2", elsewhere.path(), folder.path())).await;
    for id in ["b", "c"] {
        second.from(id, &snapshot).await.unwrap();
        let made = second.node.get(id).unwrap();
        assert_eq!(made.record().flavour.as_str(), "chromium", "the snapshot's own");
    }
    assert_eq!(second.driver.counts().profiles, 2, "each has a copy");
    second.node.delete_snapshot(&snapshot.id()).await.unwrap();
    assert_eq!(second.state("b"), Some(SandboxState::Running));
    let gone = second.from("d", &snapshot).await;
    assert!(
        matches!(gone, Err(CreateError::Snapshot(SnapshotError::Store(StoreError::NotFound(_))))),
        "{gone:?}"
    );
    for id in ["b", "c"] {
        second.delete(id).await;
    }
    second.nothing_left().await;
    assert_eq!(second.driver.counts().profiles, 0);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_does_not_fit_or_is_damaged_makes_no_sandbox() {
    let (world, folder) = world().await;
    world.create("a").await.unwrap();
    let snapshot = world.checkpoint("a").await.unwrap().snapshot;
    let flavour =
        if snapshot.about.flavour.as_str() == "chromium" { "headless-shell" } else { "chromium" };
    let body = format!(r#"{{"snapshot_id": "{}", "flavour": "{flavour}"}}"#, snapshot.id());
    let error = world.node.create(request(&body)).await.unwrap_err();
    assert!(matches!(error, CreateError::Misfit(_)), "{error}");
    let error = world.node.create(request(r#"{"snapshot_id": "../x"}"#)).await.unwrap_err();
    assert_eq!(error.kind(), "bad_request");
    let starts = world.driver.counts().starts;
    // The fake browser is of version 156.
    let manifest = folder.path().join(format!("snapshots/manifests/{}.json", snapshot.id()));
    let good = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, good.replace("/156.", "/157.")).unwrap();
    let error = world.from("b", &snapshot).await.unwrap_err();
    assert!(matches!(&error, CreateError::Misfit(text) if text.contains("157")), "{error}");
    std::fs::write(&manifest, &good).unwrap();
    world.reaches("b", SandboxState::Stopped).await;
    let archives = folder.path().join("snapshots/archives/n1");
    let archive = std::fs::read_dir(archives).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&archive).unwrap();
    let last = bytes.len() - 6;
    bytes[last] ^= 1;
    std::fs::write(&archive, bytes).unwrap();
    let error = world.from("c", &snapshot).await.unwrap_err();
    assert!(matches!(error, CreateError::StartFailed(_)), "{error}");
    world.delete("a").await;
    world.nothing_left().await;
    assert_eq!(world.driver.counts().profiles, 0, "nothing of it is kept");
    assert_eq!(world.driver.counts().starts, starts + 1, "a damaged one runs no browser");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_long_enough_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let retention = Retention { max_bytes: 100 << 20, ..Retention::default() };
    let store = SnapshotStore::on(Arc::new(object_store::memory::InMemory::new()), "n1", retention);
    let config = Config { snapshots: Some(store), ..on_disk(folder.path()) };
    let world = World::with(config).await;
    world.create("a").await.unwrap();
    world.checkpoint("a").await.unwrap();
    assert_eq!(world.stored().await.len(), 1, "there is room for it");
    let old = Retention { ttl: std::time::Duration::from_millis(1), ..Retention::default() };
    let store = SnapshotStore::folder(&folder.path().join("snapshots"), "n1", old).unwrap();
    let world = World::with(Config { snapshots: Some(store), ..config_of(&folder) }).await;
    world.create("b").await.unwrap();
    world.checkpoint("b").await.unwrap();
    // After a checkpoint, and every ten minutes, it is looked for what is too old.
    let until = tokio::time::Instant::now() + secs(3600);
    while !world.stored().await.is_empty() {
        assert!(tokio::time::Instant::now() < until, "it is still there");
        tokio::time::sleep(secs(30)).await;
    }
}

fn config_of(folder: &tempfile::TempDir) -> Config {
    Config { records: Some(folder.path().join("others")), ..config() }
}
