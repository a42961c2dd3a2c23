//! Appends that are committed together.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::Receiver;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::OwnedSemaphorePermit;

use super::fault::Fault;
use super::queue::{Append, Queued, Request};
use super::table::{Count, Dedupe, OpenLog, insert_record};
use crate::{AppendError, Appended, DedupeId, RECORD_OVERHEAD};

/// Most records of a group of several batches.
const GROUP_RECORDS: usize = 1_024;
/// Most bytes of a group of several batches.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

type Room = [OwnedSemaphorePermit; 2];

/// Appends in the order in which they came.
#[derive(Debug)]
pub(super) struct Group {
    appends: Vec<(Append, Room)>,
    records: usize,
    bytes: usize,
}

impl Group {
    pub(super) fn of(append: Append, room: Room) -> Self {
        let (records, bytes) = (append.batch.records().len(), append.batch.bytes());
        Self { appends: vec![(append, room)], records, bytes }
    }

    /// Takes all appends that wait, up to the limits. Gives the request that comes after them.
    pub(super) fn fill(&mut self, queue: &Receiver<Queued>) -> Option<Queued> {
        loop {
            let queued = queue.try_recv().ok()?;
            let Queued { request: Request::Append(append), _room } = queued else {
                return Some(queued);
            };
            let records = self.records + append.batch.records().len();
            let bytes = self.bytes + append.batch.bytes();
            if records > GROUP_RECORDS || bytes > GROUP_BYTES {
                return Some(Queued { request: Request::Append(append), _room });
            }
            (self.records, self.bytes) = (records, bytes);
            self.appends.push((append, _room));
        }
    }

    /// The logs it is for, some more than once.
    pub(super) fn logs(&self) -> impl Iterator<Item = i64> {
        self.appends.iter().map(|(append, _)| append.log.id)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Acknowledges what was committed, in the order of offsets.
    pub(super) fn answer(self, stored: Stored) {
        for ((append, _room), outcome) in self.appends.into_iter().zip(stored.outcomes) {
            // Who dropped the append does not want to know.
            drop(append.reply.send(outcome.ok_or(AppendError::Closed)));
        }
    }

    /// Refuses all of it: nothing was stored.
    pub(super) fn fail(self, fault: &Fault) {
        for (append, _room) in self.appends {
            append.log.degrade(fault.cause());
            drop(append.reply.send(Err(fault.clone().into())));
        }
    }
}

/// What a group changed.
#[derive(Debug, Default)]
pub(super) struct Stored {
    counts: BTreeMap<i64, Count>,
    named: Vec<(i64, DedupeId, Appended)>,
    /// In the order of the appends; none where the log was closed before.
    outcomes: Vec<Option<Appended>>,
}

impl Stored {
    /// Takes over what was committed, shows it to readers, and gives the logs that it is in;
    /// their followers are to be woken.
    pub(super) fn apply(&self, group: &Group, logs: &mut BTreeMap<i64, OpenLog>) -> Vec<i64> {
        for ((append, _), outcome) in group.appends.iter().zip(&self.outcomes) {
            // One that was stored before stands below the end.
            if let (Some(appended), Some(log)) = (outcome, logs.get(&append.log.id))
                && appended.first >= log.count.next
            {
                log.shared.keep(appended.first, append.batch.records().iter());
            }
        }
        for &(id, name, appended) in &self.named {
            if let Some(log) = logs.get_mut(&id) {
                log.dedupe.remember(name, appended);
            }
        }
        for (id, &count) in &self.counts {
            if let Some(log) = logs.get_mut(id) {
                log.count = count;
                log.shared.show(count.first, count.next, count.bytes);
            }
        }
        self.counts.keys().copied().collect()
    }
}

/// Stores a group in one transaction.
pub(super) fn store(
    db: &Connection,
    logs: &BTreeMap<i64, OpenLog>,
    group: &Group,
) -> Result<Stored, Fault> {
    let change = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    let mut stored = Stored::default();
    let mut named: HashMap<(i64, DedupeId), Appended> = HashMap::new();
    let mut seqs: BTreeMap<i64, u64> = BTreeMap::new();
    for (append, _) in &group.appends {
        let id = append.log.id;
        let log = match logs.get(&id) {
            Some(log) if !append.log.is_closed() => log,
            Some(_) | None => {
                stored.outcomes.push(None);
                continue;
            }
        };
        let name = append.batch.dedupe_id();
        let before =
            name.and_then(|name| log.dedupe.find(name).or_else(|| named.get(&(id, name)).copied()));
        if before.is_some() {
            stored.outcomes.push(before);
            continue;
        }
        let count = stored.counts.entry(id).or_insert(log.count);
        let first = count.next;
        for record in append.batch.records() {
            insert_record(&change, id, count.next, record)?;
            count.next += 1;
            count.bytes += (record.payload.len() + RECORD_OVERHEAD) as u64;
            count.newest_ts = count.newest_ts.max(record.ts);
        }
        let appended = Appended { first, last: count.next - 1 };
        if let Some(name) = name {
            let seq = seqs.entry(id).or_insert(log.dedupe.seq);
            Dedupe::save(&change, id, *seq, name, appended)?;
            *seq += 1;
            named.insert((id, name), appended);
            stored.named.push((id, name, appended));
        }
        stored.outcomes.push(Some(appended));
    }
    for (id, &count) in &stored.counts {
        logs[id].save(&change, count)?;
    }
    change.commit()?;
    Ok(stored)
}
