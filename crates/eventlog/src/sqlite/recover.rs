//! Opening what an earlier process left: who has it, whether it can be read, what may be lost.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, TransactionBehavior};

use super::fault::Fault;
use super::schema::{self, FORMAT, Refused};
use super::table::LogRow;
use super::{FILE_NAME, SqliteOptions, salvage};
use crate::{LogName, OpenError, Recovery};

/// Names the running boot of the system.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A database that is open, and what had to be done for it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) db: Connection,
    /// Held while the store is open.
    pub(super) lock: File,
    pub(super) path: PathBuf,
    recoveries: HashMap<LogName, Recovery>,
    /// What logs report that `recoveries` does not name.
    others: Option<Recovery>,
}

impl Opened {
    /// What a log has to report, once.
    pub(super) fn recovery(&mut self, name: &LogName) -> Option<Recovery> {
        self.recoveries.get(name).copied().or(self.others)
    }

    /// A log of that name was deleted: what is made under it later is new.
    pub(super) fn forget(&mut self, name: &LogName) {
        self.recoveries.remove(name);
    }
}

/// Opens the database of a directory.
pub(super) fn open(dir: &Path, options: SqliteOptions) -> Result<Opened, OpenError> {
    fs::create_dir_all(dir).map_err(Fault::from)?;
    let lock = fence(dir)?;
    let path = dir.join(FILE_NAME);
    let saved = with_suffix(&path, ".saved");
    // A crash right between the last two steps of a recovery: the copy is complete.
    if saved.exists() && !path.exists() {
        fs::rename(&saved, &path).map_err(Fault::from)?;
    }
    let (db, recoveries, others) = match read(&path, options) {
        Ok((db, recoveries)) => (db, recoveries, None),
        Err(Refused::Newer(found)) => {
            return Err(OpenError::NewerFormat { found, known: FORMAT });
        }
        Err(Refused::Fault(Fault::Damaged(_))) => {
            let known = salvage::copy(&path, &saved, options);
            set_aside(&path).map_err(Fault::from)?;
            if known.is_some() {
                fs::rename(&saved, &path).map_err(Fault::from)?;
            }
            let (db, _) = read(&path, options).map_err(|refused| match refused {
                Refused::Newer(found) => OpenError::NewerFormat { found, known: FORMAT },
                Refused::Fault(fault) => fault.into(),
            })?;
            match known {
                Some(known) => (db, known, None),
                None => {
                    let unknown = Recovery::Replaced { lost_from: None, lost_to: None };
                    (db, HashMap::new(), Some(unknown))
                }
            }
        }
        Err(Refused::Fault(fault)) => return Err(fault.into()),
    };
    Ok(Opened { db, lock, path, recoveries, others })
}

/// Keeps other processes out. The lock goes with the process, however that ends.
fn fence(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("eventlog.lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(Fault::from)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(Fault::from)?;
            write!(file, "{}", std::process::id()).map_err(Fault::from)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the message.
            file.read_to_string(&mut owner).unwrap_or_default();
            Err(OpenError::Fenced { cause: format!("process {owner} has {}", path.display()) })
        }
        Err(TryLockError::Error(error)) => Err(Fault::from(error).into()),
    }
}

type Readable = (Connection, HashMap<LogName, Recovery>);

/// Opens the file, checks what has to be right before anything is written, and jumps where numbers
/// may be lost.
fn read(path: &Path, options: SqliteOptions) -> Result<Readable, Refused> {
    let mut db = schema::open_writer(path, options)?;
    schema::check_small(&db)?;
    let marker = marker(path);
    if marker.exists() {
        schema::check_whole(&db)?;
    }
    let logs = LogRow::all(&db)?;
    let boot = fs::read_to_string(BOOT_ID)?;
    let boot = boot.trim();
    let mut jumped = HashMap::new();
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = schema::mark(&change, Some(boot))?;
    if before.is_some_and(|before| before != boot) {
        for log in logs.iter().filter(|log| !log.power) {
            let (from, to) = log.jump(&change)?;
            jumped.insert(log.name.clone(), Recovery::Jumped { from, to });
        }
    }
    change.commit()?;
    if marker.exists() {
        fs::remove_file(marker)?;
    }
    Ok((db, jumped))
}

/// Moves the files of a database out of the way, to be looked at by a person.
fn set_aside(path: &Path) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let aside = with_suffix(path, &format!(".damaged-{now}"));
    for suffix in ["", "-wal"] {
        match fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _moved_or_not_there => {}
        }
    }
    for of_no_use in [with_suffix(path, "-shm"), marker(path)] {
        match fs::remove_file(of_no_use) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _gone => {}
        }
    }
    Ok(())
}

/// The file whose presence asks the next open to check the whole database.
pub(super) fn marker(path: &Path) -> PathBuf {
    with_suffix(path, ".damaged")
}

/// Asks the next open to check the whole database.
pub(super) fn leave_marker(marker: &Path, cause: &str) {
    // Without it the next open does not look as closely: the damage is met again.
    fs::write(marker, cause).unwrap_or_default();
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
