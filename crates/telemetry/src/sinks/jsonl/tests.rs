use super::*;

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_line_that_a_crash_cut_off_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/events.jsonl");
    let settings = JsonLines::new(&path);
    drop(append(&settings, None, b"one\ntwo\n").unwrap());
    for torn in ["{\"epoch\":\"ab", &"x".repeat(200_000)] {
        OpenOptions::new().append(true).open(&path).unwrap().write_all(torn.as_bytes()).unwrap();
        drop(append(&settings, None, b"").unwrap());
        assert_eq!(text(&path), "one\ntwo\n");
    }
    fs::write(&path, "no line at all").unwrap();
    drop(append(&settings, None, b"one\n").unwrap());
    assert_eq!(text(&path), "one\n");
}

#[test]
fn a_full_file_is_turned_over_and_the_oldest_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let settings = JsonLines { rotate_at: 8, keep: 2, ..JsonLines::new(&path) };
    let mut open = None;
    for line in ["one\n", "two\n", "three\n", "four-is-long\n", "five\n"] {
        open = Some(append(&settings, open, line.as_bytes()).unwrap());
    }
    assert_eq!(text(&path), "five\n");
    assert_eq!(text(&folder.path().join("events.jsonl.1")), "four-is-long\n");
    assert_eq!(text(&folder.path().join("events.jsonl.2")), "three\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn without_files_to_keep_a_full_one_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let settings = JsonLines { rotate_at: 4, keep: 0, sync: true, ..JsonLines::new(&path) };
    let open = append(&settings, None, b"one\n").unwrap();
    drop(append(&settings, Some(open), b"two\n").unwrap());
    assert_eq!(text(&path), "two\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
