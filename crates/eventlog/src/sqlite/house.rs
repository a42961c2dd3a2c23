//! The writer's work in the background, in steps between groups of appends: retention, the records
//! of trimmed and deleted logs, and the size of the write-ahead log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::fault::Fault;
use super::reader::Pool;
use super::schema::{self, WAL_PAGES};
use super::table::{Count, OpenLog};
use crate::{RECORD_OVERHEAD, Retention, micros, span};

/// Most records that one step drops.
const STEP: u32 = 2_048;
/// A log may be over its bytes by this part of them, so that records are dropped many at a time.
const SLACK_PART: u64 = 50;
/// The write-ahead log is looked at when about so many bytes were written to it.
const LOOK_BYTES: usize = 1024 * 1024;
/// What a transaction writes beside records: the row of the log, and pages that fill up.
const COMMIT_BYTES: usize = 32 * 1024;

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct House {
    /// Logs that may have records to drop.
    due: BTreeSet<i64>,
    /// Records to remove: of a log, before an offset. Nobody sees them any more.
    sweeps: VecDeque<(i64, u64)>,
    /// About what was written to the write-ahead log since it was looked at.
    written: usize,
    /// Whether the write-ahead log holds anything.
    dirty: bool,
    running: Arc<AtomicBool>,
    /// Whether the last step failed: the next one waits for the next commit or tick.
    stuck: bool,
    /// Whether a checkpoint beside the writer went before.
    prepared: bool,
}

impl OpenLog {
    /// Whether records are to be dropped, as far as can be told without looking.
    fn may_be_over(&self, now: i64) -> bool {
        let Retention { max_bytes, .. } = self.retention;
        let Count { first, next, bytes, .. } = self.count;
        let too_old = self.oldest_ts.is_none_or(|ts| ts < self.cutoff(now));
        first < next.saturating_sub(1) && (bytes > max_bytes + max_bytes / SLACK_PART || too_old)
    }

    fn cutoff(&self, now: i64) -> i64 {
        now.max(self.count.newest_ts).saturating_sub(span(self.retention.max_age))
    }
}

impl House {
    /// Takes up what an earlier process left of deleted logs.
    pub(super) fn load(db: &Connection) -> Result<Self, Fault> {
        let mut select = db.prepare("SELECT log FROM doomed")?;
        let doomed = select.query_map([], |row| Ok((row.get(0)?, u64::MAX)))?;
        let sweeps = doomed.collect::<Result<_, _>>()?;
        Ok(Self { sweeps, dirty: true, ..Self::default() })
    }

    /// Whether a step is waiting.
    pub(super) fn has_work(&self) -> bool {
        !self.stuck && (!self.due.is_empty() || !self.sweeps.is_empty())
    }

    /// Looks whether a log has records to drop.
    pub(super) fn look_at(&mut self, log: &OpenLog) {
        if log.may_be_over(micros(SystemTime::now())) {
            self.due.insert(log.shared.id);
        }
    }

    /// Removes the records of a log before an offset, later.
    pub(super) fn sweep(&mut self, log: i64, before: u64) {
        self.sweeps.push_back((log, before));
    }

    /// Takes note of a commit.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += bytes + COMMIT_BYTES;
        self.dirty = true;
        self.stuck = false;
    }

    /// One step.
    pub(super) fn step(&mut self, db: &Connection, logs: &mut BTreeMap<i64, OpenLog>) {
        let done = if let Some(&id) = self.due.first() {
            let dropped = logs.get_mut(&id).map_or(Ok(0), |log| drop_oldest(db, log));
            let done = dropped.map(|dropped| dropped < STEP);
            if matches!(done, Ok(true)) {
                self.due.remove(&id);
            }
            done
        } else if let Some(&(log, before)) = self.sweeps.front() {
            let done = sweep(db, log, before);
            if matches!(done, Ok(true)) {
                self.sweeps.pop_front();
            }
            done
        } else {
            return;
        };
        self.wrote(0);
        self.stuck = done.is_err();
    }

    /// Keeps the write-ahead log small. Most of the work is done beside the writer, which does the
    /// rest: while it goes on writing, only it can bring the log to its end.
    pub(super) fn look_at_wal(&mut self, db: &Connection, pool: &Pool) -> Result<(), Fault> {
        if self.written < LOOK_BYTES || self.running.load(Ordering::Acquire) {
            return Ok(());
        }
        self.written = 0;
        let pages = schema::wal_pages(db)?;
        if pages >= 4 * WAL_PAGES {
            schema::checkpoint(db, "RESTART")?;
        } else if pages < WAL_PAGES {
            self.prepared = false;
        } else if std::mem::replace(&mut self.prepared, true) {
            schema::checkpoint(db, "PASSIVE")?;
            self.prepared = false;
        } else {
            pool.checkpoint(&self.running);
        }
        Ok(())
    }

    /// The disk is full: gives back what the write-ahead log takes, and looks for records to drop.
    pub(super) fn make_room(
        &mut self,
        db: &Connection,
        logs: &BTreeMap<i64, OpenLog>,
    ) -> Result<(), Fault> {
        logs.values().for_each(|log| self.look_at(log));
        if self.dirty {
            self.dirty = schema::checkpoint(db, "TRUNCATE")? > 0;
        }
        Ok(())
    }

    /// Nothing was asked for a while.
    pub(super) fn idle(
        &mut self,
        db: &Connection,
        logs: &BTreeMap<i64, OpenLog>,
    ) -> Result<(), Fault> {
        self.stuck = false;
        logs.values().for_each(|log| self.look_at(log));
        if self.dirty && !self.has_work() {
            self.dirty = schema::checkpoint(db, "TRUNCATE")? > 0;
        }
        Ok(())
    }
}

/// Drops the oldest records of a log while it is over its limits, and gives how many went.
fn drop_oldest(db: &Connection, log: &mut OpenLog) -> Result<u32, Fault> {
    let id = log.shared.id;
    let cutoff = log.cutoff(micros(SystemTime::now()));
    let change = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    let mut count = log.count;
    let (mut dropped, mut oldest) = (0_u32, None);
    {
        let mut select = change.prepare_cached(
            "SELECT offset, ts, length(payload) FROM record WHERE log = ? AND offset >= ?
             ORDER BY offset LIMIT ?",
        )?;
        let mut rows = select.query(params![id, count.first.cast_signed(), STEP + 1])?;
        let mut before: Option<(i64, u64)> = None;
        while let Some(row) = rows.next()? {
            let here = (row.get(1)?, row.get::<_, u32>(2)?.into());
            // There is a record behind it, so it is not the newest.
            if let Some((ts, bytes)) = before.replace(here) {
                if count.bytes <= log.retention.max_bytes && ts >= cutoff {
                    oldest = Some(ts);
                    break;
                }
                count.bytes = count.bytes.saturating_sub(bytes + RECORD_OVERHEAD as u64);
                count.first = row.get::<_, i64>(0)?.cast_unsigned();
                dropped += 1;
            }
        }
        oldest = oldest.or(before.map(|(ts, _)| ts));
    }
    if dropped > 0 {
        let first = count.first.cast_signed();
        change
            .prepare_cached("DELETE FROM record WHERE log = ? AND offset < ?")?
            .execute(params![id, first])?;
        forget_gaps(&change, id, count.first)?;
        log.save(&change, count)?;
        change.commit()?;
        log.count = count;
        log.shared.dropped(count.first, count.bytes, dropped.into());
    }
    log.oldest_ts = oldest;
    Ok(dropped)
}

/// Moves the beginning of a log up to an offset. The records before it stay until they are swept.
pub(super) fn trim(db: &Connection, log: &mut OpenLog, before: u64) -> Result<(), Fault> {
    let id = log.shared.id;
    if before <= log.count.first {
        return Ok(());
    }
    let change = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    let before = before.min(log.count.next).cast_signed();
    let first: Option<i64> = change
        .prepare_cached(
            "SELECT offset FROM record WHERE log = ? AND offset >= ? ORDER BY offset LIMIT 1",
        )?
        .query_row(params![id, before], |row| row.get(0))
        .optional()?;
    let first = first.map_or(log.count.next, i64::cast_unsigned);
    let (records, bytes): (i64, i64) = change
        .prepare_cached(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM record
             WHERE log = ? AND offset >= ? AND offset < ?",
        )?
        .query_row(params![id, log.count.first.cast_signed(), first.cast_signed()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let records = records.cast_unsigned();
    let bytes = bytes.cast_unsigned() + records * RECORD_OVERHEAD as u64;
    let count = Count { first, bytes: log.count.bytes.saturating_sub(bytes), ..log.count };
    forget_gaps(&change, id, first)?;
    log.save(&change, count)?;
    change.commit()?;
    (log.count, log.oldest_ts) = (count, None);
    log.shared.dropped(count.first, count.bytes, records);
    Ok(())
}

/// A gap that lies before the beginning of its log, with records behind it, is no longer told from
/// what was dropped.
fn forget_gaps(db: &Connection, log: i64, first: u64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM gap WHERE log = ? AND last < ?")?
        .execute(params![log, first.cast_signed()])?;
    Ok(())
}

/// Removes records of a log before an offset, at most [`STEP`]; says whether that was all.
fn sweep(db: &Connection, log: i64, before: u64) -> Result<bool, Fault> {
    let change = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let bound: Option<i64> = change
        .prepare_cached("SELECT offset FROM record WHERE log = ? ORDER BY offset LIMIT 1 OFFSET ?")?
        .query_row(params![log, STEP], |row| row.get(0))
        .optional()?;
    let done = bound.is_none_or(|bound| bound >= before);
    change
        .prepare_cached("DELETE FROM record WHERE log = ? AND offset < ?")?
        .execute(params![log, bound.unwrap_or(before).min(before)])?;
    if done {
        change.prepare_cached("DELETE FROM doomed WHERE log = ?")?.execute([log])?;
    }
    change.commit()?;
    Ok(done)
}
