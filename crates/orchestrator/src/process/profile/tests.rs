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

#[test]
fn many_can_try_the_disk_at_once() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    try_to_write(folder.path()).unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of it");
}

#[test]
fn a_folder_that_is_removed_meanwhile_is_measured_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (top, stop) = (folder.path().join("top"), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let deep = top.join("a/b/c");
                fs::create_dir_all(&deep).unwrap();
                for name in 0..20 {
                    fs::write(deep.join(name.to_string()), b"x").unwrap();
                }
                fs::remove_dir_all(&top).unwrap();
            }
        });
        for _ in 0..500 {
            size(folder.path()).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
