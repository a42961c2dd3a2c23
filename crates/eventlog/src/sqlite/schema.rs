//! The database: its tables, how connections to it are made, and what is checked at open.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::SqliteOptions;
use super::fault::Fault;

/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
/// Records of up to a quarter of a page share pages; longer ones take pages of their own.
const PAGE_BYTES: u64 = 8_192;
/// How long a call waits for a lock of another connection of this store.
const BUSY: Duration = Duration::from_secs(1);
/// When what is in the write-ahead log is moved into the database.
const WAL_BYTES: u64 = 16 * 1024 * 1024;
/// The same, in pages.
pub(super) const WAL_PAGES: u64 = WAL_BYTES / PAGE_BYTES;

/// `log.sum` and `record.crc` are CRC-32C of what stands in the row. `log.power` says whether what
/// the log acknowledged outlives a loss of power. `meta.boot` names the boot of the system under
/// which the store is open; it is null after a clean close. `doomed` lists deleted logs whose
/// records are still to be removed.
const TABLES: &str = "
CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), boot TEXT) STRICT;
INSERT INTO meta VALUES (1, NULL);
CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL,
    power INTEGER NOT NULL, first INTEGER NOT NULL, next INTEGER NOT NULL,
    bytes INTEGER NOT NULL, newest_ts INTEGER NOT NULL, sum INTEGER NOT NULL
) STRICT;
CREATE TABLE record (
    log INTEGER NOT NULL, offset INTEGER NOT NULL, ts INTEGER NOT NULL, crc INTEGER NOT NULL,
    payload BLOB NOT NULL, PRIMARY KEY (log, offset)
) STRICT, WITHOUT ROWID;
CREATE TABLE gap (
    log INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, cause TEXT NOT NULL,
    PRIMARY KEY (log, first)
) STRICT, WITHOUT ROWID;
CREATE TABLE dedupe (
    log INTEGER NOT NULL, slot INTEGER NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (log, slot)
) STRICT, WITHOUT ROWID;
CREATE TABLE doomed (log INTEGER PRIMARY KEY) STRICT;
";

/// Why the database was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A newer program wrote it.
    Newer(u32),
    /// Something failed.
    Fault(Fault),
}

impl<E: Into<Fault>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// Opens the connection that writes, and makes the tables of a new database.
pub(super) fn open_writer(path: &Path, options: SqliteOptions) -> Result<Connection, Refused> {
    let mut db = Connection::open(path)?;
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(64);
    let format: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if format > FORMAT {
        return Err(Refused::Newer(format));
    }
    // Checkpoints are the store's own work, so that no append pays for a large one.
    db.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {WAL_BYTES};
         PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;"
    ))?;
    if let Some(bytes) = options.max_file_bytes {
        db.execute_batch(&format!("PRAGMA max_page_count = {}", (bytes / PAGE_BYTES).max(1)))?;
    }
    if format == 0 {
        let tables: u32 =
            db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 {
            return Err(Fault::Damaged("it has tables but no format".into()).into());
        }
        let create = db.transaction()?;
        create.execute_batch(TABLES)?;
        create.pragma_update(None, "user_version", FORMAT)?;
        create.commit()?;
    }
    Ok(db)
}

/// Opens a connection that reads. It can move the write-ahead log into the database too.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    db.execute_batch(
        "PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -4096;",
    )?;
    Ok(db)
}

/// Whether the small tables hold together, without which no log can be opened.
pub(super) fn check_small(db: &Connection) -> Result<(), Fault> {
    ["meta", "sqlite_sequence", "log", "gap", "dedupe", "doomed"]
        .iter()
        .try_for_each(|table| check(db, &format!("PRAGMA integrity_check({table})")))
}

/// Whether the whole file holds together. Reads all of it.
pub(super) fn check_whole(db: &Connection) -> Result<(), Fault> {
    check(db, "PRAGMA quick_check(1)")
}

fn check(db: &Connection, pragma: &str) -> Result<(), Fault> {
    let found: String = db.query_row(pragma, [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(Fault::Damaged(found)) }
}

/// Marks the database as open under a boot, or as closed, and gives the mark before.
pub(super) fn mark(db: &Connection, boot: Option<&str>) -> rusqlite::Result<Option<String>> {
    let before = db.query_row("SELECT boot FROM meta", [], |row| row.get(0))?;
    db.execute("UPDATE meta SET boot = ?", [boot])?;
    Ok(before)
}

/// Pages that the write-ahead log holds; none if all of them are in the database too, because then
/// it starts over.
pub(super) fn wal_pages(db: &Connection) -> rusqlite::Result<u64> {
    checkpoint(db, "NOOP")
}

/// Moves the write-ahead log into the database as far as readers let it, and gives the pages that
/// it holds afterwards, as [`wal_pages`] does.
pub(super) fn checkpoint(db: &Connection, how: &str) -> rusqlite::Result<u64> {
    let sql = format!("PRAGMA wal_checkpoint({how})");
    let (held, moved): (i64, i64) = db.query_row(&sql, [], |row| Ok((row.get(1)?, row.get(2)?)))?;
    Ok(if moved < held { held.cast_unsigned() } else { 0 })
}
