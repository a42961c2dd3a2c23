//! Notices of the kernel that a file has changed, so that a change is read before the next tick.
//! They are a shortcut only: where none can be had, the tick finds everything.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::net::unix::pipe::Receiver;
use tokio::time::sleep;

/// A busy writer makes a notice for every line: after one, this long passes before the file is
/// looked at.
const GATHER: Duration = Duration::from_millis(20);
/// Header of one event: watch, mask, cookie and length of the name, 32 bits each (inotify(7)).
const HEADER: usize = 16;

/// Watches the folder of a file, since the file itself is replaced by a rotation.
pub(crate) struct Notice {
    /// Reads the inotify descriptor. It is no pipe, but it is read like one.
    events: Receiver,
    name: Vec<u8>,
}

impl Notice {
    /// `None` if the kernel gives no notice for this place, or not now.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name().map(OsStr::as_bytes)?.to_vec();
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        let changes =
            WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, folder, changes).ok()?;
        Some(Self { events: Receiver::from_owned_fd_unchecked(inotify).ok()?, name })
    }

    /// Waits until the file may have changed; for ever without a watch.
    ///
    /// # Cancel safety
    /// A dropped wait may lose a notice; the caller looks at the file after each wait anyway.
    pub(crate) async fn changed(notice: &mut Option<Self>) {
        if let Some(watch) = notice {
            if watch.wait().await {
                sleep(GATHER).await;
                return;
            }
            // The folder is gone, and with it the watch.
            *notice = None;
        }
        std::future::pending().await
    }

    /// `false` when no notice can come any more.
    async fn wait(&self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            if self.events.readable().await.is_err() {
                return false;
            }
            match self.events.try_read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => match about(&buffer[..read], &self.name) {
                    About::Us => return true,
                    About::Others => {}
                    About::Over => return false,
                },
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum About {
    Us,
    Others,
    /// The watch has been removed.
    Over,
}

/// Whether any event in `bytes` is about the file `name`. A lost event may be about it too.
fn about(mut bytes: &[u8], name: &[u8]) -> About {
    let field = |bytes: &[u8], at: usize| {
        let field = bytes.get(at..at + 4).and_then(|field| field.try_into().ok());
        u32::from_ne_bytes(field.unwrap_or_default())
    };
    let mut found = About::Others;
    while bytes.len() >= HEADER {
        let mask = ReadFlags::from_bits_retain(field(bytes, 4));
        let len = usize::try_from(field(bytes, 12)).unwrap_or(usize::MAX);
        let rest = &bytes[HEADER..];
        let (padded, rest) = rest.split_at(len.min(rest.len()));
        bytes = rest;
        if mask.contains(ReadFlags::IGNORED) {
            return About::Over;
        }
        let end = padded.iter().position(|&b| b == 0).unwrap_or(padded.len());
        if mask.contains(ReadFlags::QUEUE_OVERFLOW) || padded[..end] == *name {
            found = About::Us;
        }
    }
    found
}

#[cfg(test)]
mod tests;
