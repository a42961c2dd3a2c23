use std::os::unix::fs::symlink;

use super::*;

#[test]
fn links_are_counted_and_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("profile"), folder.path().join("outside"));
    fs::create_dir_all(inside.join("Default")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("big"), vec![1; 1 << 20]).unwrap();
    symlink(&outside, inside.join("Default/link")).unwrap();
    symlink("/nowhere", inside.join("dangling")).unwrap();
    fs::write(inside.join("Default/Cookies"), vec![1; 8192]).unwrap();
    let mut seen = Vec::new();
    each(&inside, &mut |path, _| {
        seen.push(path.strip_prefix(&inside).unwrap().to_owned());
        Ok(())
    })
    .unwrap();
    seen.sort();
    let names: Vec<_> = seen.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(names, ["", "Default", "Default/Cookies", "Default/link", "dangling"]);
    let bytes = size(&inside).unwrap();
    assert!((8192..1 << 20).contains(&bytes), "{bytes}");
}

#[test]
fn a_profile_that_is_not_there_cannot_be_opened_and_needs_no_shutting() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert_eq!(open(&missing, None).unwrap_err().kind(), io::ErrorKind::NotFound);
    shut(&missing).unwrap();
    assert_eq!(size(&missing).unwrap(), 0);
}
