//! Taking over what a damaged database still gives: of each log its records up to the first that
//! cannot be read. They get into a database of their own, which takes the place of the damaged one
//! only when it is complete, so that a crash in between costs nothing.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteOptions;
use super::fault::Fault;
use super::schema::{self, Refused};
use super::table::{Count, LogRow, insert_record, record_crc};
use crate::{Epoch, LogName, NewRecord, RECORD_OVERHEAD, Recovery};

/// What a log has to report after its database was damaged.
pub(super) type Recoveries = HashMap<LogName, Recovery>;

/// Most records of one commit.
const STEP: usize = 1_024;
/// The commit ends with the record that passes this: what is in memory at once.
const STEP_BYTES: usize = 4 * 1024 * 1024;

/// Copies what can be read of the database at `old` into a new one at `new`. None if not even the
/// list of logs can be read, or the copy cannot be written; then nothing is at `new`.
pub(super) fn copy(old: &Path, new: &Path, options: SqliteOptions) -> Option<Recoveries> {
    let from = schema::open_reader(old).ok()?;
    // The damaged file is kept for a person: closing it must not move its write-ahead log into it.
    from.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).ok()?;
    let rows = LogRow::all(&from).ok()?;
    remove(new);
    let copied = fill(&from, rows, new, options);
    if copied.is_err() {
        remove(new);
    }
    copied.ok()
}

fn fill(
    from: &Connection,
    rows: Vec<LogRow>,
    new: &Path,
    options: SqliteOptions,
) -> Result<Recoveries, Refused> {
    let into = schema::open_writer(new, options)?;
    let recoveries = rows
        .into_iter()
        .map(|row| {
            let recovery = copy_log(from, &row, &into)?;
            Ok((row.name, recovery))
        })
        .collect::<Result<_, Fault>>()?;
    // One file is easier to put into place than two.
    schema::checkpoint(&into, "TRUNCATE")?;
    into.close().map_err(|(_, error)| Fault::from(error))?;
    Ok(recoveries)
}

/// Copies a log under a new epoch. Offsets stay what they were, so that the report of what is lost
/// means something to whoever kept an offset.
fn copy_log(from: &Connection, old: &LogRow, into: &Connection) -> Result<Recovery, Fault> {
    let epoch = Epoch::random();
    let mut count = Count { first: old.count.first, next: old.count.first, ..Count::NEW };
    let made = LogRow::insert(into, &old.name, &epoch, old.power)?;
    count.save(into, made.id, &old.name, &epoch)?;
    loop {
        let part = readable(from, old, count.next);
        if part.is_empty() {
            break;
        }
        let change = into.unchecked_transaction()?;
        for (offset, record) in part {
            if offset > count.next {
                let (first, last) = (count.next.cast_signed(), offset.cast_signed() - 1);
                change
                    .execute("INSERT INTO gap VALUES (?, ?, ?, 'crash')", [made.id, first, last])?;
            }
            insert_record(&change, made.id, offset, &record)?;
            count.next = offset + 1;
            count.bytes += (record.payload.len() + RECORD_OVERHEAD) as u64;
            count.newest_ts = count.newest_ts.max(record.ts);
        }
        count.save(&change, made.id, &old.name, &epoch)?;
        change.commit()?;
    }
    let lost = count.next < old.count.next;
    Ok(Recovery::Replaced {
        lost_from: lost.then_some(count.next),
        lost_to: lost.then_some(old.count.next - 1),
    })
}

/// The next records of a log that can be read, each right behind the one before or behind a gap
/// that the database knows of. Empty at the end, and where damage begins.
fn readable(from: &Connection, log: &LogRow, mut next: u64) -> Vec<(u64, NewRecord)> {
    let (mut part, mut bytes) = (Vec::new(), 0);
    while part.len() < STEP && bytes < STEP_BYTES && next < log.count.next {
        let Ok(Some((offset, record))) = record_from(from, log.id, next) else { break };
        let known = offset == next || knows_gap(from, log.id, next, offset - 1);
        if !known || offset >= log.count.next {
            break;
        }
        next = offset + 1;
        bytes += record.payload.len();
        part.push((offset, record));
    }
    part
}

/// The first record at or behind an offset; none if there is none or its bytes changed.
fn record_from(
    db: &Connection,
    log: i64,
    offset: u64,
) -> rusqlite::Result<Option<(u64, NewRecord)>> {
    let read = |row: &Row<'_>| {
        let (offset, ts, crc): (i64, i64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (offset, payload) = (offset.cast_unsigned(), row.get_ref(3)?.as_blob()?);
        let good = record_crc(log, offset, ts, payload) == crc;
        Ok(good.then(|| (offset, NewRecord { ts, payload: payload.to_vec().into() })))
    };
    let found = db
        .prepare_cached(
            "SELECT offset, ts, crc, payload FROM record WHERE log = ? AND offset >= ?
             ORDER BY offset LIMIT 1",
        )?
        .query_row(params![log, offset.cast_signed()], read)
        .optional()?;
    Ok(found.flatten())
}

/// Whether these offsets were left out on purpose.
fn knows_gap(db: &Connection, log: i64, first: u64, last: u64) -> bool {
    let sql = "SELECT count(*) FROM gap WHERE log = ? AND first = ? AND last = ?";
    let place = [log, first.cast_signed(), last.cast_signed()];
    db.query_row(sql, place, |row| row.get(0)).is_ok_and(|found: i64| found == 1)
}

/// Removes an unfinished copy. One that cannot be removed fails the next step, which tells why.
fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(super::recover::with_suffix(path, suffix)).unwrap_or_default();
    }
}
