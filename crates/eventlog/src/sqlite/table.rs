//! A log as the writer has it: its row, its named batches, and how records are put below it.

use std::collections::{HashMap, VecDeque};
use std::str::FromStr;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::CRASH_JUMP;
use super::fault::Fault;
use super::shared::Shared;
use crate::{Appended, DEDUPE_BATCHES, DedupeId, Epoch, LogName, NewRecord, Retention};

/// The row of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogRow {
    pub(super) id: i64,
    pub(super) name: LogName,
    pub(super) epoch: Epoch,
    pub(super) power: bool,
    pub(super) count: Count,
}

/// What changes in the row of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) bytes: u64,
    pub(super) newest_ts: i64,
}

impl Count {
    pub(super) const NEW: Self = Self { first: 1, next: 1, bytes: 0, newest_ts: i64::MIN };

    fn sum(self, name: &LogName, epoch: &Epoch) -> u32 {
        let numbers = [self.first, self.next, self.bytes, self.newest_ts.cast_unsigned()];
        let named = crc32c::crc32c_append(crc32c::crc32c(name.as_str().as_bytes()), b"\0");
        let epoch = crc32c::crc32c_append(named, epoch.as_str().as_bytes());
        numbers.iter().fold(epoch, |sum, n| crc32c::crc32c_append(sum, &n.to_le_bytes()))
    }

    /// Writes it into the row of a log.
    pub(super) fn save(
        self,
        db: &Connection,
        id: i64,
        name: &LogName,
        epoch: &Epoch,
    ) -> rusqlite::Result<()> {
        let sum = self.sum(name, epoch);
        db.prepare_cached(
            "UPDATE log SET first = ?, next = ?, bytes = ?, newest_ts = ?, sum = ? WHERE id = ?",
        )?
        .execute(params![
            self.first.cast_signed(),
            self.next.cast_signed(),
            self.bytes.cast_signed(),
            self.newest_ts,
            sum,
            id
        ])?;
        Ok(())
    }
}

const COLUMNS: &str = "id, name, epoch, power, first, next, bytes, newest_ts, sum";

impl LogRow {
    /// Adds the row of a new log.
    pub(super) fn insert(
        db: &Connection,
        name: &LogName,
        epoch: &Epoch,
        power: bool,
    ) -> rusqlite::Result<Self> {
        let count = Count::NEW;
        db.execute(
            "INSERT INTO log (name, epoch, power, first, next, bytes, newest_ts, sum)
             VALUES (?, ?, ?, 1, 1, 0, ?, ?)",
            params![name.as_str(), epoch.as_str(), power, count.newest_ts, count.sum(name, epoch)],
        )?;
        let id = db.last_insert_rowid();
        Ok(Self { id, name: name.clone(), epoch: epoch.clone(), power, count })
    }

    /// The row of a name.
    pub(super) fn find(db: &Connection, name: &LogName) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM log WHERE name = ?");
        db.query_row(&sql, [name.as_str()], |row| Ok(Self::read(row))).optional()?.transpose()
    }

    /// Every row, by name.
    pub(super) fn all(db: &Connection) -> Result<Vec<Self>, Fault> {
        let mut select = db.prepare(&format!("SELECT {COLUMNS} FROM log ORDER BY name"))?;
        let rows = select.query_map([], |row| Ok(Self::read(row)))?;
        rows.map(|row| row?).collect()
    }

    /// Leaves out numbers that a reader may have seen before power was lost.
    pub(super) fn jump(&self, db: &Connection) -> rusqlite::Result<(u64, u64)> {
        let (from, to) = (self.count.next, self.count.next + CRASH_JUMP - 1);
        db.execute(
            "INSERT INTO gap VALUES (?, ?, ?, 'crash')",
            [self.id, from.cast_signed(), to.cast_signed()],
        )?;
        let empty = self.count.first == self.count.next;
        let first = if empty { to + 1 } else { self.count.first };
        let count = Count { first, next: to + 1, ..self.count };
        count.save(db, self.id, &self.name, &self.epoch)?;
        Ok((from, to))
    }

    /// A row that was changed by other hands than ours is damage.
    fn read(row: &Row<'_>) -> Result<Self, Fault> {
        let damaged = |what: &str| Fault::Damaged(format!("the row of a log has a bad {what}"));
        let name = LogName::new(row.get_ref(1)?.as_str().map_err(|_| damaged("name"))?)
            .map_err(|_| damaged("name"))?;
        let epoch = row.get_ref(2)?.as_str().map_err(|_| damaged("epoch"))?;
        let epoch = Epoch::from_str(epoch).map_err(|_| damaged("epoch"))?;
        let number = |column: usize| {
            row.get::<_, i64>(column).map(i64::cast_unsigned).map_err(|_| damaged("number"))
        };
        let count = Count {
            first: number(4)?,
            next: number(5)?,
            bytes: number(6)?,
            newest_ts: number(7)?.cast_signed(),
        };
        if row.get::<_, u32>(8).ok() != Some(count.sum(&name, &epoch)) {
            return Err(damaged("checksum"));
        }
        Ok(Self { id: row.get(0)?, name, epoch, power: row.get(3)?, count })
    }
}

/// CRC-32C of a record and of where it belongs.
pub(super) fn record_crc(log: i64, offset: u64, ts: i64, payload: &[u8]) -> u32 {
    let place = [log.to_le_bytes(), offset.to_le_bytes(), ts.to_le_bytes()];
    crc32c::crc32c_append(crc32c::crc32c(place.as_flattened()), payload)
}

/// Puts a record below a log.
pub(super) fn insert_record(
    db: &Connection,
    log: i64,
    offset: u64,
    record: &NewRecord,
) -> rusqlite::Result<()> {
    let crc = record_crc(log, offset, record.ts, &record.payload);
    db.prepare_cached("INSERT INTO record VALUES (?, ?, ?, ?, ?)")?.execute(params![
        log,
        offset.cast_signed(),
        record.ts,
        crc,
        &record.payload[..]
    ])?;
    Ok(())
}

/// The named batches that a log remembers, in the order in which they were stored.
#[derive(Debug, Default)]
pub(super) struct Dedupe {
    known: HashMap<DedupeId, Appended>,
    order: VecDeque<DedupeId>,
    /// The number of the next one.
    pub(super) seq: u64,
}

impl Dedupe {
    pub(super) fn load(db: &Connection, log: i64) -> Result<Self, Fault> {
        let sql = "SELECT seq, id, first, last FROM dedupe WHERE log = ? ORDER BY seq";
        let mut select = db.prepare_cached(sql)?;
        let mut rows = select.query([log])?;
        let mut dedupe = Self::default();
        while let Some(row) = rows.next()? {
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            let id = DedupeId(u128::from_le_bytes(row.get(1)?));
            dedupe.seq = number(0)?;
            dedupe.remember(id, Appended { first: number(2)?, last: number(3)? });
        }
        Ok(dedupe)
    }

    pub(super) fn find(&self, id: DedupeId) -> Option<Appended> {
        self.known.get(&id).copied()
    }

    /// Keeps a batch that was stored, and forgets the oldest one over the limit.
    pub(super) fn remember(&mut self, id: DedupeId, appended: Appended) {
        self.seq += 1;
        self.known.insert(id, appended);
        self.order.push_back(id);
        if self.order.len() > DEDUPE_BATCHES
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Writes what [`Dedupe::remember`] will keep; a slot is used again after 1,024 batches.
    pub(super) fn save(
        db: &Connection,
        log: i64,
        seq: u64,
        id: DedupeId,
        appended: Appended,
    ) -> rusqlite::Result<()> {
        let slot = (seq % DEDUPE_BATCHES as u64).cast_signed();
        db.prepare_cached("INSERT OR REPLACE INTO dedupe VALUES (?, ?, ?, ?, ?, ?)")?.execute(
            params![
                log,
                slot,
                seq.cast_signed(),
                id.0.to_le_bytes(),
                appended.first.cast_signed(),
                appended.last.cast_signed()
            ],
        )?;
        Ok(())
    }
}

/// A log that is open, as the writer has it.
#[derive(Debug)]
pub(super) struct OpenLog {
    pub(super) shared: Arc<Shared>,
    pub(super) retention: Retention,
    pub(super) power: bool,
    pub(super) count: Count,
    pub(super) dedupe: Dedupe,
    /// The `ts` of the oldest record, when it is known.
    pub(super) oldest_ts: Option<i64>,
}

impl OpenLog {
    /// Writes another count into its row.
    pub(super) fn save(&self, db: &Connection, count: Count) -> rusqlite::Result<()> {
        count.save(db, self.shared.id, &self.shared.name, &self.shared.epoch)
    }
}
