//! The end of the last process of a group, told by the kernel.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::PathBuf;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Leaf, about, gone};

impl Leaf {
    /// The unified hierarchy's word on whether anything inside lives.
    fn events(&self) -> Option<PathBuf> {
        self.unified.as_ref().map(|dir| dir.join("cgroup.events"))
    }

    /// Returns when nothing inside lives: true, or false where the kernel does not tell (in the old
    /// hierarchies). What has ended and was not waited for does not count.
    ///
    /// # Errors
    /// When the kernel's word cannot be read or waited for.
    ///
    /// # Cancel safety
    /// Leaves nothing behind when dropped.
    #[expect(
        deprecated,
        reason = "the replacement is `unsafe` for types that might swap their descriptor; a `File` \
                  cannot"
    )]
    pub(crate) async fn emptied(&self) -> io::Result<bool> {
        let Some(path) = self.events() else { return Ok(false) };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if gone(&e) => return Ok(true),
            Err(e) => return Err(about(&path, &e)),
        };
        // Most are empty at once, or never were anything else.
        if is_empty(&file)? {
            return Ok(true);
        }
        // A change of the file is urgent data of it: cgroups(7), "cgroup.events".
        let file = AsyncFd::with_interest(file, Interest::PRIORITY)?;
        loop {
            let mut changed = file.ready(Interest::PRIORITY).await?;
            // Before it is read: a change while it is read is told again.
            changed.clear_ready();
            if is_empty(file.get_ref())? {
                return Ok(true);
            }
        }
    }
}

fn is_empty(mut file: &File) -> io::Result<bool> {
    let mut text = String::with_capacity(64);
    file.rewind()?;
    match file.read_to_string(&mut text) {
        Ok(_) => {
            parse_empty(&text).ok_or_else(|| io::Error::other("cgroup.events has no `populated`"))
        }
        Err(e) if gone(&e) => Ok(true),
        Err(e) => Err(e),
    }
}

/// The `populated` line of `cgroup.events`.
fn parse_empty(text: &str) -> Option<bool> {
    match text.lines().find_map(|line| line.strip_prefix("populated "))?.trim() {
        "0" => Some(true),
        "1" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
