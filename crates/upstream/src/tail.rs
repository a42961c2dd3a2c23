//! One wake of a log reader: what the name leads to, what the open file still has, in which order.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;

use crate::announce::{AnnounceScanner, RefusedUrl, Scan};
use crate::follow::{FileId, Follower, Line, ReadBack, Torn};
use crate::url::WsUrl;

/// Bytes that are read at a time.
const CHUNK: usize = 64 * 1024;
/// How often one wake starts a file again from 0. A file that is cut faster than it can be read
/// is left to the next wake.
const MAX_RESTARTS: u32 = 3;

/// The file operations a wake needs. The real one is [`NamedFile`].
pub(crate) trait Disk {
    type File: Clone;
    /// What the name leads to now.
    fn identify(&self) -> io::Result<FileId>;
    fn open(&self) -> io::Result<(Self::File, FileId)>;
    fn size(&self, file: &Self::File) -> io::Result<u64>;
    /// Reads at a position, as much as there is up to the length of `buf`.
    fn read_at(&self, file: &Self::File, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// A log by its name.
#[derive(Clone, Debug)]
pub(crate) struct NamedFile(pub(crate) PathBuf);

impl Disk for NamedFile {
    type File = Arc<File>;

    fn identify(&self) -> io::Result<FileId> {
        let found = std::fs::metadata(&self.0)?;
        if !found.is_file() {
            // Opening a pipe would wait for its writer.
            return Err(io::Error::other("not a regular file"));
        }
        Ok(FileId { device: found.dev(), inode: found.ino() })
    }

    fn open(&self) -> io::Result<(Arc<File>, FileId)> {
        let file = OpenOptions::new().read(true).open(&self.0)?;
        let found = file.metadata()?;
        Ok((Arc::new(file), FileId { device: found.dev(), inode: found.ino() }))
    }

    fn size(&self, file: &Arc<File>) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn read_at(&self, file: &Arc<File>, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match file.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// A reader of announcements in a log. A clone is a checkpoint that shares the open file.
#[derive(Clone, Debug)]
pub(crate) struct Tail<F> {
    file: Option<(F, FileId)>,
    follower: Follower,
    scanner: AnnounceScanner,
}

/// What one wake found.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    /// The last acceptable announcement; the ones before it are history. If it was in a line that
    /// a rotation tore, it was perhaps never written: then the other readings of that line follow,
    /// and the announcement before it.
    pub(crate) announced: Vec<WsUrl>,
    /// How many of `announced` come from one torn line.
    torn: usize,
    /// Announcements that were not accepted: the last of each cause and how many.
    pub(crate) refused: Vec<(RefusedUrl, u64)>,
    /// Lines that were too long.
    pub(crate) long_lines: u64,
    /// Why the log could not be read (further).
    pub(crate) error: Option<io::Error>,
}

impl<F: Clone> Tail<F> {
    pub(crate) const fn new(scanner: AnnounceScanner) -> Self {
        Self { file: None, follower: Follower::new(), scanner }
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Reads everything that is there now.
    pub(crate) fn wake<D: Disk<File = F>>(&mut self, disk: &D) -> Woken {
        let mut woken = Woken::default();
        let long_before = self.follower.long_lines();
        woken.error = self.read_all(disk, &mut woken).err();
        woken.long_lines = self.follower.long_lines() - long_before;
        woken
    }

    fn read_all<D: Disk<File = F>>(&mut self, disk: &D, woken: &mut Woken) -> io::Result<()> {
        // The name is looked at first: what the writer put into the old file before the new one
        // appeared is then read below, before the old one is left.
        let named = disk.identify();
        if let Some((file, id)) = self.file.clone() {
            self.read_file(disk, &file, woken)?;
            // Without another file under the name, the open one stays in use.
            if named.is_err() || named.is_ok_and(|named| named == id) {
                return Ok(());
            }
        } else {
            named?;
        }
        let (file, id) = disk.open()?;
        if self.file.as_ref().is_some_and(|(_, old)| *old != id) {
            self.follower.handle_restart();
        }
        self.file = Some((file.clone(), id));
        self.read_file(disk, &file, woken)
    }

    fn read_file<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        file: &F,
        woken: &mut Woken,
    ) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let mut restarts = 0;
        // A writer that is faster than this reader must not keep it here.
        let mut end = disk.size(file)?;
        loop {
            let read = disk.read_at(file, &mut chunk, self.follower.offset())?;
            // Read back after the bytes were read: if the start and the bytes before them are
            // what they were, the new bytes belong to the same text.
            let back = self.read_back(disk, file)?;
            let size = disk.size(file)?;
            if self.follower.is_same(size, &back) {
                let Self { follower, scanner, .. } = self;
                follower.handle_bytes(&chunk[..read], |line| woken.look_at(scanner, line));
                if read == 0 || follower.offset() >= end {
                    return Ok(());
                }
            } else {
                if restarts == MAX_RESTARTS {
                    return Ok(());
                }
                restarts += 1;
                self.follower.handle_restart();
                end = size;
            }
        }
    }

    fn read_back<D: Disk<File = F>>(&self, disk: &D, file: &F) -> io::Result<ReadBack> {
        let mut back = ReadBack {
            head: vec![0; self.follower.head_len()],
            before: vec![0; self.follower.before_len()],
        };
        let read = disk.read_at(file, &mut back.head, 0)?;
        back.head.truncate(read);
        let start = self.follower.offset() - back.before.len() as u64;
        let read = disk.read_at(file, &mut back.before, start)?;
        back.before.truncate(read);
        Ok(back)
    }
}

impl Woken {
    fn look_at(&mut self, scanner: &mut AnnounceScanner, line: Line<'_>) {
        // Of the readings of a torn line only the last may change what the scanner remembers.
        let scan = match line.torn {
            Torn::Joined => scanner.clone().scan(line.bytes),
            Torn::Whole | Torn::Rest => scanner.scan(line.bytes),
        };
        match scan {
            Scan::Announced(url) => self.announce(url, line.torn != Torn::Whole),
            Scan::Refused(refused) if line.torn != Torn::Joined => {
                match self.refused.iter_mut().find(|(seen, _)| seen.why == refused.why) {
                    Some(seen) => *seen = (refused, seen.1 + 1),
                    None => self.refused.push((refused, 1)),
                }
            }
            Scan::Refused(_) | Scan::Nothing => {}
        }
    }

    fn announce(&mut self, url: WsUrl, torn: bool) {
        if torn {
            self.announced.insert(self.torn, url);
            self.torn += 1;
        } else {
            self.announced = vec![url];
            self.torn = 0;
        }
    }
}

#[cfg(test)]
mod tests;
