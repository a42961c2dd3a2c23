use super::*;
use std::os::unix::fs::symlink;

fn lifecycle() -> LifecycleId {
    LifecycleId::new("abc123")
}

fn made(root: &Path) -> SandboxDirs {
    let dirs = StateDir::open(root, false).unwrap().dirs(&lifecycle());
    dirs.make_root(None).unwrap();
    dirs.make_inner(None).unwrap();
    dirs
}

#[test]
fn the_id_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = StateDir::open(dir.path(), false).unwrap();
    let second = StateDir::open(dir.path(), false).unwrap();
    assert_eq!(first.id(), second.id());
    assert_eq!(first.id().len(), 16);
}

#[test]
fn a_spoilt_id_is_an_error_and_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("driver-id"), "x").unwrap();
    assert!(matches!(StateDir::open(dir.path(), false), Err(SetupError::StateDir { .. })));
}

#[test]
fn inner_folders_are_for_their_user_only() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = made(dir.path());
    for inner in [&dirs.profile, &dirs.tmp, &dirs.home] {
        assert_eq!(fs::metadata(inner).unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
fn removal_takes_links_and_leaves_what_they_lead_to() {
    let dir = tempfile::tempdir().unwrap();
    let treasure = dir.path().join("treasure");
    fs::create_dir(&treasure).unwrap();
    fs::write(treasure.join("file"), "x").unwrap();
    let dirs = made(dir.path());
    symlink(&treasure, dirs.profile.join("link")).unwrap();
    symlink(treasure.join("file"), dirs.tmp.join("link")).unwrap();
    fs::remove_dir(&dirs.home).unwrap();
    symlink(&treasure, &dirs.home).unwrap();
    dirs.remove().unwrap();
    assert!(!dirs.root.exists());
    assert_eq!(fs::read_to_string(treasure.join("file")).unwrap(), "x");
    dirs.remove().unwrap();
}

#[test]
fn locks_of_a_dead_browser_go_and_its_other_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = made(dir.path());
    symlink("host-123", dirs.profile.join("SingletonLock")).unwrap();
    fs::write(dirs.profile.join("DevToolsActivePort"), "1").unwrap();
    fs::write(dirs.profile.join("Cookies"), "1").unwrap();
    dirs.clear_locks().unwrap();
    let left: Vec<_> =
        fs::read_dir(&dirs.profile).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["Cookies"]);
}

#[test]
fn only_names_that_can_be_lifecycles_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path(), false).unwrap();
    for name in ["abc123", "lost+found", "UPPER"] {
        fs::create_dir(dir.path().join("sandboxes").join(name)).unwrap();
    }
    assert_eq!(state.lifecycles().unwrap(), [lifecycle()]);
    for name in ["", "..", "a/b", "a.b"] {
        assert!(!is_lifecycle(name), "{name:?}");
    }
}

#[test]
fn a_folder_that_shuts_sandbox_users_out_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error = StateDir::open(dir.path(), true).unwrap_err();
    let SetupError::Unreachable { blocked } = &error else { panic!("{error}") };
    assert_eq!(Path::new(blocked), dir.path().canonicalize().unwrap());
    assert!(error.to_string().contains("chmod o+x"));
}

#[test]
fn what_cannot_be_removed_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let state = StateDir::open(dir.path(), false).unwrap();
    state.set_aside(&lifecycle()).unwrap();
    assert!(state.lifecycles().unwrap().is_empty());
    assert!(dir.path().join("set-aside/abc123/profile").is_dir());
}
