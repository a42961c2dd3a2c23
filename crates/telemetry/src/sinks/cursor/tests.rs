use super::*;

#[test]
fn a_cursor_is_read_back_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/jsonl.cursor");
    assert_eq!(load(&path).unwrap(), None);
    for text in ["abcdefgh-0", "abcdefgh-17"] {
        save(&path, &text.parse().unwrap()).unwrap();
        assert_eq!(load(&path).unwrap().unwrap().to_string(), text);
    }
    let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing beside it: {left:?}");
}

#[test]
fn a_file_that_is_no_cursor_counts_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jsonl.cursor");
    fs::write(&path, "junk").unwrap();
    assert_eq!(load(&path).unwrap(), None);
    assert!(load(folder.path()).is_err(), "a folder cannot be read");
}
