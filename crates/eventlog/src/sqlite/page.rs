//! Reading a page: records in order, up to the next hole, and what is known of the hole before.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::shared::Shared;
use super::table::record_crc;
use crate::{Gap, GapCause, Page, ReadError, ReadLimit, Record};

/// A read ends after so long with what it has, so that no snapshot keeps the write-ahead log from
/// starting over.
const LONGEST: Duration = Duration::from_secs(1);

/// Reads a page in one read transaction.
pub(super) fn read_page(
    db: &Connection,
    log: &Shared,
    offset: u64,
    limit: ReadLimit,
) -> Result<Page, ReadError> {
    let snapshot = db.unchecked_transaction().map_err(Fault::from)?;
    let bounds = snapshot
        .prepare_cached("SELECT first, next FROM log WHERE id = ?")
        .and_then(|mut select| {
            select
                .query_row([log.id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
                .optional()
        })
        .map_err(Fault::from)?;
    let Some((first, head)) = bounds.map(|(a, b)| (a.cast_unsigned(), b.cast_unsigned())) else {
        return Err(ReadError::Closed);
    };
    let offset = offset.max(1);
    if offset > head {
        return Err(ReadError::Ahead { next: head });
    }
    let found = scan(&snapshot, log, offset.max(first), limit, head)?;
    let gap = match found.target > offset {
        true => Some(hole(&snapshot, log.id, offset, first, found.target - 1)?),
        false => None,
    };
    let page = match gap {
        // Another hole follows before the records.
        Some(gap) if gap.to + 1 < found.target => {
            Page { gap: Some(gap), records: Vec::new(), next: gap.to + 1, head }
        }
        gap => {
            let next = found.target + found.records.len() as u64;
            Page { gap, records: found.records, next, head }
        }
    };
    Ok(page)
}

/// Good records without a hole between them.
struct Found {
    /// The offset of the first of them; of what is still to be looked at, if there is none.
    target: u64,
    records: Vec<Record>,
}

fn scan(
    db: &Connection,
    log: &Shared,
    from: u64,
    limit: ReadLimit,
    head: u64,
) -> Result<Found, Fault> {
    let started = Instant::now();
    let most = limit.records.max(1);
    let mut select = db.prepare_cached(
        "SELECT offset, ts, crc, payload FROM record WHERE log = ? AND offset >= ? ORDER BY offset
         LIMIT ?",
    )?;
    let count = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = select.query(params![log.id, from.cast_signed(), count])?;
    let mut records: Vec<Record> = Vec::new();
    let (mut target, mut room, mut seen) = (from, limit.bytes, 0);
    while let Some(row) = rows.next()? {
        seen += 1;
        let offset = row.get::<_, i64>(0)?.cast_unsigned();
        let (ts, crc): (i64, u32) = (row.get(1)?, row.get(2)?);
        let payload = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        let good = record_crc(log.id, offset, ts, payload) == crc;
        if !good {
            log.damaged(offset);
        }
        let slow = seen % 256 == 0 && started.elapsed() > LONGEST;
        if records.is_empty() {
            target = if good { offset } else { offset + 1 };
            if !good {
                if slow {
                    return Ok(Found { target, records });
                }
                continue;
            }
        } else if !good || slow || offset != target + records.len() as u64 || payload.len() > room {
            return Ok(Found { target, records });
        }
        room = room.saturating_sub(payload.len());
        records.push(Record { offset, ts, payload: Bytes::copy_from_slice(payload) });
    }
    if records.is_empty() && seen < most {
        target = head;
    }
    Ok(Found { target, records })
}

/// The first hole of `from..=to`, which has no good record, and why it is there.
fn hole(db: &Connection, log: i64, from: u64, first: u64, to: u64) -> Result<Gap, Fault> {
    let mut select = db.prepare_cached(
        "SELECT first, last FROM gap WHERE log = ? AND last >= ? ORDER BY first LIMIT 1",
    )?;
    let recorded = select
        .query_row(params![log, from.cast_signed()], |row| {
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok((number(0)?, number(1)?))
        })
        .optional()?;
    Ok(match recorded {
        Some((start, last)) if start <= from => {
            Gap { from, to: last.min(to), cause: GapCause::Crash }
        }
        recorded => {
            let to = recorded.map_or(to, |(start, _)| to.min(start - 1));
            match from < first {
                true => Gap { from, to: to.min(first - 1), cause: GapCause::Retention },
                false => Gap { from, to, cause: GapCause::Corrupt },
            }
        }
    })
}
