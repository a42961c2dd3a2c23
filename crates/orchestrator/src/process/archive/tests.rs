use std::io::{Cursor, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::{Mutex, PoisonError};

use super::*;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn packed(place: &Path) -> Vec<u8> {
    let buffer = Buffer::default();
    pack(place, Box::new(buffer.clone())).unwrap();
    buffer.0.lock().unwrap().clone()
}

fn unpacked(place: &Path, bytes: Vec<u8>) -> Result<(), String> {
    unpack(place, Box::new(Cursor::new(bytes)), 1 << 20).map_err(|e| e.to_string())
}

#[test]
fn a_profile_comes_out_as_it_went_in_but_for_what_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("from");
    let long = format!("Default/Local Storage/{}/{}", "a".repeat(120), "b".repeat(120));
    fs::create_dir_all(from.join(&long)).unwrap();
    fs::create_dir_all(from.join("Default/Cache")).unwrap();
    fs::write(from.join("Default/Cookies"), "login=alice").unwrap();
    fs::write(from.join(&long).join("LOG"), "x".repeat(100_000)).unwrap();
    fs::write(from.join("Default/Cache/data_0"), "big").unwrap();
    symlink("host-1-2345", from.join("SingletonLock")).unwrap();
    symlink("/etc/passwd", from.join("Default/link")).unwrap();
    let _socket = UnixListener::bind(from.join("Default/socket")).unwrap();
    let to = folder.path().join("to");
    unpacked(&to, packed(&from)).unwrap();
    assert_eq!(fs::read_to_string(to.join("Default/Cookies")).unwrap(), "login=alice");
    assert_eq!(fs::read(to.join(&long).join("LOG")).unwrap().len(), 100_000);
    for gone in ["Default/Cache", "SingletonLock", "Default/link", "Default/socket"] {
        assert!(fs::symlink_metadata(to.join(gone)).is_err(), "{gone}");
    }
    assert!(unpacked(&to, packed(&from)).is_err(), "nothing is unpacked over something");
}

fn with(kind: EntryType, path: &str, mode: u32, bytes: &[u8]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    // The library itself refuses to write such names.
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    if kind == EntryType::Symlink || kind == EntryType::Link {
        header.set_link_name("elsewhere").unwrap();
    }
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
    archive.into_inner().unwrap()
}

#[test]
fn an_archive_that_could_do_harm_is_refused_and_nothing_is_written_outside() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("profiles/p");
    let harmful = [
        (EntryType::Regular, "/tmp/lockkeeper-never", 0o600),
        (EntryType::Regular, "../outside", 0o600),
        (EntryType::Regular, "a/../../outside", 0o600),
        (EntryType::Symlink, "link", 0o777),
        (EntryType::Link, "hard", 0o600),
        (EntryType::Char, "null", 0o600),
        (EntryType::Fifo, "pipe", 0o600),
        (EntryType::Regular, "root", 0o4755),
    ];
    for (kind, path, mode) in harmful {
        let bytes: &[u8] = if kind == EntryType::Regular { b"x" } else { b"" };
        let outcome = unpacked(&place, with(kind, path, mode, bytes));
        assert!(outcome.is_err(), "{kind:?} {path} {mode:o}");
        fs::remove_dir_all(&place).unwrap();
        let left = fs::read_dir(folder.path().join("profiles")).unwrap().count();
        assert_eq!(left, 0, "{path} left something beside the profile");
    }
    assert!(!Path::new("/tmp/lockkeeper-never").exists());
    let large = with(EntryType::Regular, "large", 0o600, &vec![0; 2 << 20]);
    assert!(unpacked(&place, large).unwrap_err().contains("more bytes"));
}

#[test]
fn an_archive_that_is_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = with(EntryType::Regular, "file", 0o600, &[7; 4000]);
    bytes.truncate(2000);
    assert!(unpacked(&folder.path().join("p"), bytes).is_err());
}
