use super::*;

#[test]
fn a_second_holder_is_refused_and_told_the_first_ones_pid() {
    let dir = tempfile::tempdir().expect("tempdir");
    let first = StateLock::acquire(dir.path()).expect("free");
    let refused = StateLock::acquire(dir.path()).expect_err("held");
    assert_eq!(
        refused,
        LockError::Held { folder: dir.path().to_owned(), pid: Some(std::process::id()) }
    );
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    drop(first);
    drop(StateLock::acquire(dir.path()).expect("free again"));
}

#[test]
fn a_lock_file_that_a_dead_process_left_is_no_lock() {
    let dir = tempfile::tempdir().expect("tempdir");
    std::fs::write(dir.path().join("lock"), "4194304999\n").expect("write");
    let lock = StateLock::acquire(dir.path()).expect("nobody holds it");
    let text = std::fs::read_to_string(dir.path().join("lock")).expect("read");
    assert_eq!(text.trim(), std::process::id().to_string(), "the old pid is replaced");
    drop(lock);
}

#[test]
fn the_folder_is_made_and_a_failure_to_make_it_names_it() {
    let dir = tempfile::tempdir().expect("tempdir");
    let folder = dir.path().join("a/b");
    drop(StateLock::acquire(&folder).expect("made"));
    assert!(folder.is_dir());
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("write");
    let error = StateLock::acquire(&file.join("state")).expect_err("below a file");
    assert_eq!(error.kind(), "state_unusable");
    assert!(error.to_string().contains("file/state"), "{error}");
}
