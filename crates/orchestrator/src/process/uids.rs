//! Users for sandboxes: one each, never shared, not even with another daemon of the same host.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::Uid;

use super::config::SetupError;

/// The users of a range.
#[derive(Debug)]
pub(crate) struct UidPool {
    range: RangeInclusive<u32>,
    locks: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    leased: HashSet<u32>,
    /// Where the next search begins: a user comes back as late as possible.
    next: u32,
}

/// A user that nobody else has until this is dropped. Drop it when no process of the user lives.
#[must_use = "dropping the lease gives the user to the next sandbox"]
#[derive(Debug)]
pub(crate) struct UidLease {
    uid: u32,
    state: Arc<Mutex<State>>,
    /// Holds the host-wide lock, which the kernel releases also when the daemon dies.
    _lock: File,
}

impl UidLease {
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }
}

impl Drop for UidLease {
    fn drop(&mut self) {
        lock(&self.state).leased.remove(&self.uid);
    }
}

impl UidPool {
    /// `seed` spreads the first choice over the range.
    pub(crate) fn new(
        range: RangeInclusive<u32>,
        locks: PathBuf,
        seed: u32,
    ) -> Result<Self, SetupError> {
        if *range.start() == 0 || *range.end() >= u32::MAX - 1 || range.is_empty() {
            return Err(SetupError::Setting {
                setting: "sandbox user ids",
                problem: format!(
                    "{}-{} is no range of users without root; the default is 60600-61183",
                    range.start(),
                    range.end()
                ),
            });
        }
        // Closed to others: whoever can open a lock file can also hold its lock for ever.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&locks);
        let closed = || fs::set_permissions(&locks, fs::Permissions::from_mode(0o700));
        made.and_then(|()| closed()).map_err(|e| {
            SetupError::Users(format!(
                "the folder of locks {} cannot be made: {e}",
                locks.display()
            ))
        })?;
        let size = range.end() - range.start() + 1;
        let next = range.start() + seed % size;
        let state = Arc::new(Mutex::new(State { leased: HashSet::new(), next }));
        Ok(Self { range, locks, state })
    }

    /// A user that is in nobody's hand: not leased here, not locked by another daemon, and not
    /// `busy`, which says whether a process of the user lives.
    ///
    /// # Errors
    /// When a lock file cannot be made, when all users are taken, or what `busy` says.
    pub(crate) fn lease(&self, busy: impl Fn(u32) -> io::Result<bool>) -> io::Result<UidLease> {
        let size = self.range.end() - self.range.start() + 1;
        for _ in 0..size {
            let uid = {
                let mut state = lock(&self.state);
                let uid = state.next;
                state.next = if uid == *self.range.end() { *self.range.start() } else { uid + 1 };
                if !state.leased.insert(uid) {
                    continue;
                }
                uid
            };
            let free = busy(uid).and_then(|busy| if busy { Ok(None) } else { self.lock_file(uid) });
            if let Ok(Some(lock)) = free {
                return Ok(self.leased(uid, lock));
            }
            self::lock(&self.state).leased.remove(&uid);
            free?;
        }
        Err(io::Error::other(format!(
            "all {size} sandbox users ({}-{}) are in use",
            self.range.start(),
            self.range.end()
        )))
    }

    /// This user, if nobody has it; `None` if somebody does, or if it is outside the range.
    pub(crate) fn lease_exactly(&self, uid: u32) -> io::Result<Option<UidLease>> {
        if !self.range.contains(&uid) || !lock(&self.state).leased.insert(uid) {
            return Ok(None);
        }
        let locked = self.lock_file(uid);
        if !matches!(locked, Ok(Some(_))) {
            lock(&self.state).leased.remove(&uid);
        }
        Ok(locked?.map(|lock| self.leased(uid, lock)))
    }

    fn leased(&self, uid: u32, lock: File) -> UidLease {
        UidLease { uid, state: Arc::clone(&self.state), _lock: lock }
    }

    fn lock_file(&self, uid: u32) -> io::Result<Option<File>> {
        let path = self.locks.join(uid.to_string());
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this user has a process, also one that nobody has waited for. The kernel looks through its
/// own list, which takes far less than reading `/proc`.
pub(crate) fn has_process(uid: u32) -> io::Result<bool> {
    match rustix::process::getpriority_user(Uid::from_raw(uid)) {
        Ok(_) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Whether a user namespace knows the whole range. `map` is the text of `/proc/self/uid_map`.
pub(crate) fn maps(map: &str, range: &RangeInclusive<u32>) -> bool {
    let mapped = |id: u64| {
        map.lines().any(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) => {
                    (inside..inside.saturating_add(count)).contains(&id)
                }
                _ => false,
            }
        })
    };
    range.clone().all(|id| mapped(u64::from(id)))
}

/// Checks that users can be changed at all: root inside a container may know few of them.
pub(crate) fn check_mapped(range: &RangeInclusive<u32>) -> Result<(), SetupError> {
    for path in ["/proc/self/uid_map", "/proc/self/gid_map"] {
        let map = fs::read_to_string(Path::new(path))
            .map_err(|e| SetupError::Users(format!("{path} cannot be read: {e}")))?;
        if !maps(&map, range) {
            return Err(SetupError::Users(format!(
                "the daemon is root in a container that does not know the users {}-{}. Run it as an \
                 ordinary user, map these users, or set a range that is mapped",
                range.start(),
                range.end()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
