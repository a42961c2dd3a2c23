use super::*;

#[test]
fn a_record_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Record::read(dir.path()).unwrap(), None);
    let record = Record {
        boot: "b".into(),
        uid: Some(60_600),
        cgroups: vec!["/sys/fs/cgroup/x".into()],
        browser: Some(Identity { pid: 7, start: 9 }),
    };
    record.write(dir.path()).unwrap();
    assert_eq!(Record::read(dir.path()).unwrap(), Some(record));
}

#[test]
fn a_spoilt_record_is_an_error_and_not_an_absent_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), "{").unwrap();
    assert!(Record::read(dir.path()).is_err());
}
