use proptest::prelude::*;

use super::*;

fn file(path: &str, bytes: u64) -> Entry<'_> {
    Entry { path: Path::new(path), kind: EntryKind::File { bytes }, mode: 0o600 }
}

#[test]
fn locks_caches_and_crash_dumps_are_left_out_and_what_pages_stored_is_kept() {
    let out = [
        "SingletonLock",
        "DevToolsActivePort",
        "Default/Cache/Cache_Data/data_0",
        "Default/GPUCache/index",
        "Crashpad/pending/x.dmp",
        "../elsewhere",
        "/etc/passwd",
    ];
    assert!(out.iter().all(|path| !is_kept(Path::new(path))));
    let kept = [
        "Local State",
        "Default/Cookies",
        "Default/Local Storage/leveldb/000003.log",
        "Default/IndexedDB/http_shop_0.indexeddb.leveldb/LOG",
        "Default/Service Worker/CacheStorage/x/index.txt",
        "Default/Storage/Cache/of-a-site",
    ];
    assert!(kept.iter().all(|path| is_kept(Path::new(path))));
}

#[test]
fn an_entry_that_could_do_harm_is_refused() {
    let check = |entry: &Entry<'_>| check_entry(entry, &mut Limits::new(1000));
    assert_eq!(check(&file("Default/Cookies", 1000)), Ok(()));
    assert_eq!(check(&file("Default/Cookies", 1001)), Err(EntryRefused::Bytes));
    for path in ["/etc/passwd", "../x", "a/../../x", "", "."] {
        assert_eq!(check(&file(path, 1)), Err(EntryRefused::Outside), "{path:?}");
    }
    let link = Entry { kind: EntryKind::Other, ..file("a", 0) };
    assert_eq!(check(&link), Err(EntryRefused::Kind));
    for mode in [0o4755, 0o2755, 0o1777] {
        assert_eq!(check(&Entry { mode, ..file("a", 0) }), Err(EntryRefused::Mode));
    }
}

#[test]
fn many_small_entries_are_a_bomb_too() {
    let mut left = Limits { bytes: 10, entries: 2 };
    assert_eq!(check_entry(&file("a", 4), &mut left), Ok(()));
    assert_eq!(check_entry(&file("b", 4), &mut left), Ok(()));
    assert_eq!(check_entry(&file("c", 0), &mut left), Err(EntryRefused::Count));
}

proptest! {
    #[test]
    fn what_passes_stays_inside_and_under_the_limit(
        parts in proptest::collection::vec("[a-z./ ]{0,8}|\\.\\.|\\.", 0..6),
        sizes in proptest::collection::vec(0_u64..500, 1..8),
        mode in 0_u32..0o10000,
    ) {
        let path = parts.join("/");
        let (mut left, mut sum) = (Limits::new(1000), 0);
        for bytes in sizes {
            let entry = Entry { mode, ..file(&path, bytes) };
            if check_entry(&entry, &mut left).is_ok() {
                sum += bytes;
                let joined = Path::new("/profile").join(entry.path);
                prop_assert!(joined.starts_with("/profile"));
                prop_assert!(!joined.components().any(|part| part == Component::ParentDir));
                prop_assert_eq!(mode & 0o7000, 0);
            }
        }
        prop_assert!(sum <= 1000);
    }
}
