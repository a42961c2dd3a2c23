use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::Config;
use crate::driver::{Capabilities, Flavour, ProfileId};
use crate::ids::{ExecutionId, SandboxId, random_lifecycle};
use crate::launch::Plan;
use crate::lifecycle::State;
use crate::registry::{BrowserRecord, Moment, Park, Policies, Record};

fn now() -> Moment {
    Moment { instant: Instant::now(), wall: SystemTime::now() }
}

fn plan(body: &str) -> Plan {
    let request = lockkeeper_api::CreateRequest::from_json(body.as_bytes()).unwrap();
    let can =
        Capabilities { flavours: Flavour::ALL.to_vec(), isolation: "none", limits_cpu: false };
    Plan::new(request, &Config::default(), &can).unwrap()
}

fn record(id: &str, now: Moment) -> Record {
    Record {
        seq: 7,
        id: id.parse().unwrap(),
        lifecycle: random_lifecycle(),
        execution: ExecutionId::random(),
        template: "default".into(),
        flavour: Flavour::Chromium,
        labels: [("team".to_owned(), "search".to_owned())].into(),
        ttl: Duration::from_secs(90),
        idle: Duration::ZERO,
        policies: Policies::default(),
        created: now,
        started: None,
        ready: Some(now),
        expires: None,
        warm: false,
        profile: Some(ProfileId::new("lcabc")),
        park: Some(Park { at: now, until: Some(now.wall + Duration::from_secs(60)), saved: true }),
        browser: BrowserRecord::default(),
    }
}

fn stored(id: &str) -> StoredRecord {
    let now = now();
    let plan = plan(r#"{"flavour": "chromium", "flags": ["--lang=de"], "env": {"TZ": "UTC"}}"#);
    let state = State::Paused { save_pending: false };
    let launch = Launch::of(&plan.launch_spec(random_lifecycle(), &Config::default()));
    StoredRecord::of(&record(id, now), &state, &launch, now)
}

fn id(text: &str) -> SandboxId {
    text.parse().unwrap()
}

/// Runs the writer for as long as `f` does, and lets it end in order.
async fn with_writer<F: Future<Output = ()>>(folder: &Path, f: impl FnOnce(Arc<Records>) -> F) {
    let records = Records::new(Some(folder.to_owned()));
    let end = CancellationToken::new();
    let writer = Arc::clone(&records).run(end.clone());
    let both = async {
        f(Arc::clone(&records)).await;
        end.cancel();
    };
    tokio::join!(writer, both);
}

#[test]
fn a_record_survives_its_file() {
    let stored = stored("a");
    let read = StoredRecord::from_json(&stored.to_json()).unwrap();
    assert_eq!(read, stored);
    let later = Moment { instant: Instant::now(), wall: SystemTime::now() };
    let record = read.record(later).unwrap();
    let launch = read.launch.spec(record.lifecycle.clone(), None, &Config::default());
    assert_eq!(launch.flags, ["--lang=de"]);
    assert_eq!(launch.env, [("TZ".to_owned(), "UTC".to_owned())]);
    assert_eq!(record.ttl, Duration::from_secs(90));
    assert_eq!(record.labels["team"], "search");
    let park = record.park.unwrap();
    let left = park.until.unwrap().duration_since(park.at.wall).unwrap();
    assert!(park.saved && left == Duration::from_secs(60), "{left:?}");
}

#[test]
fn a_record_of_another_form_is_refused() {
    let text =
        String::from_utf8(stored("a").to_json()).unwrap().replace("\"form\": 1", "\"form\": 2");
    let problem = StoredRecord::from_json(text.as_bytes()).unwrap_err();
    assert!(problem.contains("form 1"), "{problem}");
    assert!(StoredRecord::from_json(b"{").is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_durable_is_read_by_the_next_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("records");
    with_writer(&place, |records| async move {
        for name in ["a", "b", "c"] {
            records.put(&id(name), Some(stored(name).to_json()));
        }
        let gone = records.put(&id("b"), None);
        records.durable(&gone).await.unwrap();
        let known: Vec<_> = records.read().await.unwrap().into_iter().map(|r| r.id).collect();
        assert_eq!(known, ["a", "c"]);
    })
    .await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place), 0o700, "records have what creates were given");
    assert_eq!(mode(&place.join("a.json")), 0o600);
}

#[tokio::test(start_paused = true)]
async fn of_several_changes_the_latest_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    with_writer(&place, |records| async move {
        let first = records.put(&id("a"), None);
        let last = records.put(&id("a"), Some(stored("a").to_json()));
        records.durable(&first).await.unwrap();
        records.durable(&last).await.unwrap();
        assert_eq!(records.read().await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_said_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("records");
    fs::write(&place, "a file in the way").unwrap();
    let blocked = place.clone();
    with_writer(&place, |records| async move {
        let ticket = records.put(&id("a"), Some(stored("a").to_json()));
        let error = records.durable(&ticket).await.unwrap_err();
        assert!(error.to_string().contains("could not be written"), "{error}");
        assert!(records.read().await.is_err(), "what cannot be read is an error, not a void");
        fs::remove_file(&blocked).unwrap();
        let again = async {
            while records.durable(&ticket).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), again).await.expect("it is tried again");
        assert_eq!(records.read().await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_torn_write_is_swept_and_an_unreadable_record_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    fs::write(place.join("a.json"), stored("a").to_json()).unwrap();
    fs::write(place.join("b.new"), "{\"form\": 1, \"i").unwrap();
    let records = Records::new(Some(place.clone()));
    assert_eq!(records.read().await.unwrap().len(), 1);
    assert!(!place.join("b.new").exists());
    // A file that says to be another sandbox's would be lost when that one is written.
    fs::write(place.join("c.json"), stored("a").to_json()).unwrap();
    let error = records.read().await.unwrap_err().to_string();
    assert!(error.contains("c.json"), "{error}");
    fs::write(place.join("c.json"), "{").unwrap();
    assert!(records.read().await.is_err());
}

#[tokio::test]
async fn without_a_folder_nothing_is_kept() {
    let records = Records::new(None);
    let ticket = records.put(&id("a"), None);
    assert_eq!(records.durable(&ticket).await, Ok(()));
    assert_eq!(records.read().await, Ok(Vec::new()));
}
