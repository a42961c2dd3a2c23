//! The process table: `/proc`, read whole or one process at a time.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::environment::MARK;

/// One process, as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proc {
    pub(crate) pid: i32,
    pub(crate) ppid: i32,
    pub(crate) session: i32,
    /// Real user id.
    pub(crate) uid: u32,
    /// Dead, but not yet waited for.
    pub(crate) zombie: bool,
    /// Clock ticks from boot to its start; with the pid it names a process for one boot.
    pub(crate) start: u64,
    /// Value of our mark in its environment, where that could be read.
    pub(crate) mark: Option<String>,
}

/// What `/proc/<pid>/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) ppid: i32,
    pub(crate) session: i32,
    pub(crate) zombie: bool,
    pub(crate) start: u64,
}

/// Parses `/proc/<pid>/stat`. The program's name may hold spaces and brackets: what follows the
/// last closing one counts.
pub(crate) fn parse_stat(text: &str) -> Option<Stat> {
    let rest = &text[text.rfind(')')? + 1..];
    let mut fields = rest.split_ascii_whitespace();
    // proc_pid_stat(5) numbers fields from 1; the state is number 3.
    let state = fields.next()?;
    let ppid = fields.next()?.parse().ok()?;
    let _group = fields.next()?;
    let session = fields.next()?.parse().ok()?;
    let start = fields.nth(22 - 7)?.parse().ok()?;
    Some(Stat { ppid, session, zombie: matches!(state, "Z" | "X" | "x"), start })
}

/// The real user id in `/proc/<pid>/status`. The owner of the folder does not tell: the kernel gives
/// the folders of processes that may not be dumped, such as renderers, to root.
pub(crate) fn parse_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The value of our mark in `/proc/<pid>/environ`.
pub(crate) fn parse_mark(environ: &[u8]) -> Option<String> {
    environ.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}

/// Whose environments a scan reads for the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// Nobody's: users or control groups tell whose a process is.
    Skip,
    /// Those of processes that run as this user. Others cannot be ours, or cannot be read.
    OfUser(u32),
}

/// Reads one process; `None` if there is none any more.
pub(crate) fn read(pid: i32, marks: Marks) -> io::Result<Option<Proc>> {
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let Some(status) = vanished(slurp(&dir.join("status")))? else { return Ok(None) };
    let Some(stat) = vanished(slurp(&dir.join("stat")))? else { return Ok(None) };
    let (Some(uid), Some(stat)) = (parse_uid(&status), parse_stat(&stat)) else {
        return Err(io::Error::other(format!("/proc/{pid} has an unknown form")));
    };
    let mark = match marks {
        Marks::OfUser(user) if user == uid && !stat.zombie => {
            fs::read(dir.join("environ")).ok().as_deref().and_then(parse_mark)
        }
        Marks::OfUser(_) | Marks::Skip => None,
    };
    let Stat { ppid, session, zombie, start } = stat;
    Ok(Some(Proc { pid, ppid, session, uid, zombie, start, mark }))
}

/// The text of a file in `/proc`. Such a file has no size, and reading one of unknown size begins
/// with few bytes; these are never longer than a page, so that two reads do.
fn slurp(path: &Path) -> io::Result<String> {
    let mut text = String::with_capacity(4096);
    // A file whose size is not asked for: it is always 0.
    fs::File::open(path)?.take(u64::MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Start time of a process, in clock ticks from boot; `None` if there is no such process.
pub(crate) fn start_of(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat).map(|stat| stat.start)
}

/// Reads every process.
///
/// # Errors
/// When the list, or a process that is still there, cannot be read.
pub(crate) fn scan(marks: Marks) -> io::Result<Vec<Proc>> {
    let mut all = Vec::with_capacity(512);
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        all.extend(read(pid, marks)?);
    }
    Ok(all)
}

/// Children of this process, by all of its threads; `None` where the kernel has no such list.
pub(crate) fn own_children() -> io::Result<Option<Vec<i32>>> {
    let mut children = None::<Vec<i32>>;
    for task in fs::read_dir("/proc/self/task")? {
        match fs::read_to_string(task?.path().join("children")) {
            Ok(list) => {
                let pids = list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
                children.get_or_insert_default().extend(pids);
            }
            // A thread that has ended meanwhile, or a kernel without the list.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(children)
}

/// The id of this boot; it says whether a recorded pid can still mean the same process.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// A process that ended while it was read is no error.
fn vanished<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
