//! The reader against a file system in memory, where every interleaving can be played.

mod property;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use super::{Disk, Tail, Woken};
use crate::announce::{AnnounceScanner, PrefixForm};
use crate::follow::{FileId, MAX_LINE};
use crate::testing::line;
use crate::url::UrlPolicy;

/// Files by inode, and what the name of the log leads to.
#[derive(Default)]
pub(super) struct SimDisk {
    files: RefCell<HashMap<u64, Vec<u8>>>,
    name: Option<u64>,
    next: u64,
}

impl SimDisk {
    /// Creates the log under its name, in place of what was there.
    pub(super) fn create(&mut self) {
        self.next += 1;
        self.files.borrow_mut().insert(self.next, Vec::new());
        self.name = Some(self.next);
    }

    /// Moves the log to another name.
    pub(super) fn rename_away(&mut self) {
        self.name = None;
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.name.is_none() {
            self.create();
        }
        self.current().extend_from_slice(bytes);
    }

    pub(super) fn truncate(&mut self, left: usize) {
        if self.name.is_some() {
            self.current().truncate(left);
        }
    }

    fn current(&self) -> std::cell::RefMut<'_, Vec<u8>> {
        let name = self.name.expect("the log exists");
        std::cell::RefMut::map(self.files.borrow_mut(), |files| files.get_mut(&name).unwrap())
    }
}

impl Disk for SimDisk {
    type File = u64;

    fn identify(&self) -> io::Result<FileId> {
        let inode = self.name.ok_or(io::ErrorKind::NotFound)?;
        Ok(FileId { device: 1, inode })
    }

    fn open(&self) -> io::Result<(u64, FileId)> {
        let id = self.identify()?;
        Ok((id.inode, id))
    }

    fn size(&self, file: &u64) -> io::Result<u64> {
        Ok(self.files.borrow()[file].len() as u64)
    }

    fn read_at(&self, file: &u64, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let files = self.files.borrow();
        let rest = files[file].get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let read = rest.len().min(buf.len());
        buf[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

pub(super) fn tail() -> Tail<u64> {
    Tail::new(AnnounceScanner::new(UrlPolicy::default(), PrefixForm::None))
}

fn guid(woken: &Woken) -> Option<&str> {
    woken.announced.first().map(|url| url.guid())
}

#[test]
fn of_many_announcements_in_a_log_only_the_last_counts() {
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    for n in 0..2000 {
        disk.append(line(9222, &n.to_string()).as_bytes());
        disk.append(b"[1:2:0101/000000.1:WARNING:x.cc(1)] noise\n");
    }
    assert_eq!(guid(&tail.wake(&disk)), Some("1999"));
    assert_eq!(guid(&tail.wake(&disk)), None, "it is told once");
}

#[test]
fn a_missing_file_is_an_error_until_it_comes() {
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    let woken = tail.wake(&disk);
    assert_eq!(woken.error.map(|error| error.kind()), Some(io::ErrorKind::NotFound));
    assert!(!tail.is_open());
    disk.append(line(1, "a").as_bytes());
    let woken = tail.wake(&disk);
    assert_eq!((guid(&woken), woken.error.is_none()), (Some("a"), true));
}

#[test]
fn an_open_file_stays_in_use_until_another_one_appears() {
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    disk.append(b"start\n");
    tail.wake(&disk);
    let old = disk.name.unwrap();
    disk.rename_away();
    // The writer still has it open.
    disk.files.borrow_mut().get_mut(&old).unwrap().extend_from_slice(line(1, "a").as_bytes());
    let woken = tail.wake(&disk);
    assert_eq!((guid(&woken), woken.error.is_none()), (Some("a"), true));
    disk.append(line(1, "b").as_bytes());
    assert_eq!(guid(&tail.wake(&disk)), Some("b"));
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    disk.append(b"start\n");
    tail.wake(&disk);
    disk.append(line(1, "old").as_bytes());
    disk.rename_away();
    disk.create();
    assert_eq!(guid(&tail.wake(&disk)), Some("old"));
    disk.append(line(1, "new").as_bytes());
    assert_eq!(guid(&tail.wake(&disk)), Some("new"));
}

#[test]
fn a_cut_file_is_read_from_its_start_whatever_its_size() {
    for regrown in [0, 10, 500, 5000] {
        let (mut disk, mut tail) = (SimDisk::default(), tail());
        disk.append("old text\n".repeat(50).as_bytes());
        tail.wake(&disk);
        disk.truncate(0);
        disk.append(line(1, "a").as_bytes());
        disk.append("n".repeat(regrown).as_bytes());
        assert_eq!(guid(&tail.wake(&disk)), Some("a"), "grown by {regrown}");
    }
}

#[test]
fn a_cut_file_whose_writer_kept_its_position_is_read_after_the_hole() {
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    disk.append("old text\n".repeat(20_000).as_bytes());
    tail.wake(&disk);
    let position = disk.current().len();
    disk.truncate(0);
    disk.append(&vec![0; position]);
    disk.append(line(1, "a").as_bytes());
    let woken = tail.wake(&disk);
    assert_eq!((guid(&woken), woken.long_lines), (Some("a"), 0));
}

#[test]
fn a_line_may_come_in_any_number_of_pieces() {
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    let text = line(1, "a").replace('\n', "\r\n");
    let mut found = Vec::new();
    for byte in text.bytes() {
        disk.append(&[byte]);
        found.extend(tail.wake(&disk).announced);
    }
    assert_eq!(found.len(), 1);
}

#[test]
fn a_line_of_a_mebibyte_is_counted_and_the_next_one_is_read() {
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    disk.append(&vec![b'x'; 16 * MAX_LINE]);
    disk.append(b"\n");
    disk.append(line(1, "a").as_bytes());
    let woken = tail.wake(&disk);
    assert_eq!((guid(&woken), woken.long_lines), (Some("a"), 1));
    assert_eq!(tail.wake(&disk).long_lines, 0);
}

#[test]
fn refused_announcements_are_counted_by_cause_and_change_nothing() {
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    for n in 0..100 {
        let text = format!("DevTools listening on ws://evil-{n}.example:1/devtools/browser/a\n");
        disk.append(text.as_bytes());
        disk.append(b"DevTools listening on ws://127.0.0.1:0/devtools/browser/a\n");
    }
    let woken = tail.wake(&disk);
    assert_eq!(guid(&woken), None);
    let counted: Vec<_> =
        woken.refused.iter().map(|(refused, n)| (refused.host.as_str(), *n)).collect();
    assert_eq!(counted, [("evil-99.example", 100), ("127.0.0.1", 100)]);
}

#[test]
fn a_reader_that_starts_again_from_a_checkpoint_goes_on_where_it_was() {
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    disk.append(line(1, "a").as_bytes());
    disk.append(b"DevTools listen");
    tail.wake(&disk);
    let checkpoint = tail.clone();
    disk.append(b"ing on ws://127.0.0.1:1/devtools/browser/b\n");
    assert_eq!(guid(&tail.wake(&disk)), Some("b"));
    // What was read after the checkpoint is read again; what was before is not.
    let mut again = checkpoint;
    assert_eq!(guid(&again.wake(&disk)), Some("b"));
    assert_eq!(guid(&again.wake(&disk)), None);
}

#[test]
fn a_torn_line_is_no_reason_to_forget_the_announcement_before_it() {
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    disk.append(b"start\n");
    tail.wake(&disk);
    disk.append(line(1, "b").as_bytes());
    disk.append(b"page says: ");
    disk.rename_away();
    disk.append(line(1, "c").as_bytes());
    let woken = tail.wake(&disk);
    let guids: Vec<_> = woken.announced.iter().map(|url| url.guid()).collect();
    assert_eq!(guids, ["c", "b"]);
    disk.append(line(1, "d").as_bytes());
    let woken = tail.wake(&disk);
    assert_eq!((guid(&woken), woken.announced.len()), (Some("d"), 1));
}
