use std::os::unix::fs::PermissionsExt;

use super::*;

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_without_a_manifest_or_closed_to_others_is_named() {
    let outer = tempfile::tempdir().unwrap();
    set(outer.path(), 0o755);
    let folder = outer.path().join("extension");
    fs::create_dir(&folder).unwrap();
    set(&folder, 0o755);
    let missing = ExtensionError::NoManifest { folder: folder.clone() };
    assert_eq!(check(&folder, false), Err(missing.clone()));
    assert!(check(&outer.path().join("nothing"), true).is_err());

    let manifest = folder.join("manifest.json");
    fs::write(&manifest, "{}").unwrap();
    set(&manifest, 0o644);
    assert_eq!(check(&folder, true), Ok(()));
    for (part, mode) in [(&manifest, 0o640), (&folder, 0o751)] {
        let before = fs::metadata(part).unwrap().mode();
        set(part, mode);
        let closed = ExtensionError::Closed { folder: folder.clone(), closed: part.clone() };
        assert_eq!(check(&folder, true), Err(closed));
        assert_eq!(check(&folder, false), Ok(()), "the daemon's own user reads it");
        set(part, before);
    }
    set(outer.path(), 0o700);
    let closed = outer.path().to_owned();
    assert_eq!(check(&folder, true), Err(ExtensionError::Closed { folder, closed }));
}
