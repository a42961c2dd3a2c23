use std::fs;
use std::time::Duration;

use tokio::time::timeout;

use super::{About, Notice, about};

fn event(mask: u32, name: &[u8]) -> Vec<u8> {
    let mut padded = name.to_vec();
    padded.resize(name.len().next_multiple_of(16), 0);
    let mut bytes = Vec::new();
    for field in [1, mask, 0, u32::try_from(padded.len()).unwrap()] {
        bytes.extend_from_slice(&field.to_ne_bytes());
    }
    bytes.extend_from_slice(&padded);
    bytes
}

const MODIFY: u32 = 0x2;
const OVERFLOW: u32 = 0x4000;
const IGNORED: u32 = 0x8000;

#[test]
fn only_events_with_the_name_of_the_file_count() {
    let other = event(MODIFY, b"log.1");
    assert_eq!(about(&other, b"log"), About::Others);
    let both = [other, event(MODIFY, b"log")].concat();
    assert_eq!(about(&both, b"log"), About::Us);
    assert_eq!(about(&both[..both.len() - 16], b"log"), About::Others);
    assert_eq!(about(b"", b"log"), About::Others);
}

#[test]
fn lost_events_count_and_a_removed_watch_is_over() {
    assert_eq!(about(&event(OVERFLOW, b""), b"log"), About::Us);
    assert_eq!(about(&event(IGNORED, b""), b"log"), About::Over);
}

#[tokio::test]
async fn writing_and_renaming_wake_the_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut notice = Notice::of(&path);
    assert!(notice.is_some());
    let old = folder.path().join("log.1");
    let write = || fs::write(&path, "a");
    let rotate_back = || fs::rename(&path, &old).and_then(|()| fs::rename(&old, &path));
    let changes: [&dyn Fn() -> std::io::Result<()>; 2] = [&write, &rotate_back];
    for change in changes {
        change().unwrap();
        timeout(Duration::from_secs(5), Notice::changed(&mut notice)).await.unwrap();
    }
}

#[tokio::test]
async fn without_a_folder_there_is_no_notice() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("gone");
    assert!(Notice::of(&inside.join("log")).is_none());
    fs::create_dir(&inside).unwrap();
    let mut notice = Notice::of(&inside.join("log"));
    fs::remove_dir(&inside).unwrap();
    let waited = timeout(Duration::from_millis(200), Notice::changed(&mut notice)).await;
    assert!(waited.is_err());
    assert!(notice.is_none(), "the watch went with the folder");
}
