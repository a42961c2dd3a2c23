//! The thread that owns the only connection that writes.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use rusqlite::{Transaction, TransactionBehavior};

use super::fault::Fault;
use super::group::{self, Group};
use super::house::{self, House};
use super::queue::{Queued, Reply, Request};
use super::reader::{Pool, Readers};
use super::recover::{self, Opened};
use super::shared::Shared;
use super::table::{Dedupe, LogRow, OpenLog};
use super::{SqliteOptions, schema};
use crate::{Durability, Epoch, LogName, LogOptions, OpenError, StoreError};

/// How often the writer looks at the age of records, and tidies up, while nothing is asked.
const TICK: Duration = Duration::from_secs(1);

/// What the thread has.
struct Writer {
    opened: Opened,
    queue: Receiver<Queued>,
    /// The logs that are open.
    logs: BTreeMap<i64, OpenLog>,
    house: House,
    pool: Pool,
    /// Whether commits are made to outlive a loss of power.
    synced: bool,
}

/// Starts the thread. It opens the database, tells how that went, and works until the store is
/// closed or nobody can ask for anything any more.
pub(super) fn start(
    dir: PathBuf,
    options: SqliteOptions,
    queue: Receiver<Queued>,
    outcome: Reply<Result<Readers, OpenError>>,
) -> io::Result<()> {
    let work = move || match open(&dir, options, queue) {
        Ok(writer) => {
            // If nobody waits any more, nobody can ask either, and it ends.
            drop(outcome.send(Ok(writer.pool.jobs())));
            writer.run();
        }
        Err(error) => drop(outcome.send(Err(error))),
    };
    // Closing the store waits for the thread's last answer, which is given behind all its work.
    let _ends_by_itself = std::thread::Builder::new().name("eventlog-write".into()).spawn(work)?;
    Ok(())
}

fn open(
    dir: &std::path::Path,
    options: SqliteOptions,
    queue: Receiver<Queued>,
) -> Result<Writer, OpenError> {
    let opened = recover::open(dir, options)?;
    let house = House::load(&opened.db)?;
    let pool = Pool::start(&opened.path)?;
    Ok(Writer { opened, queue, logs: BTreeMap::new(), house, pool, synced: true })
}

impl Writer {
    fn run(mut self) {
        let mut carried: Option<Queued> = None;
        loop {
            let queued = match carried.take() {
                Some(queued) => Some(queued),
                None => match self.wait() {
                    Ok(queued) => queued,
                    Err(AllGone) => {
                        // There is nobody to tell.
                        self.shut().unwrap_or(());
                        return;
                    }
                },
            };
            if let Some(Queued { request, _room }) = queued {
                match request {
                    Request::Append(append) => {
                        let mut group = Group::of(append, _room);
                        carried = group.fill(&self.queue);
                        self.commit(group);
                    }
                    Request::Open { name, options, reply } => {
                        let opened = self.open_log(&name, options);
                        drop(reply.send(self.noted(opened).map_err(OpenError::from)));
                    }
                    Request::List { reply } => {
                        let rows = LogRow::all(&self.opened.db);
                        let names = rows.map(|rows| rows.into_iter().map(|row| row.name).collect());
                        drop(reply.send(names.map_err(StoreError::from)));
                    }
                    Request::Delete { name, reply } => {
                        let deleted = self.delete(&name);
                        drop(reply.send(self.noted(deleted).map_err(StoreError::from)));
                    }
                    Request::Trim { log, before, reply } => {
                        drop(reply.send(self.trim(&log, before)));
                    }
                    Request::CloseLog { log, reply } => {
                        self.close_log(&log);
                        reply.send(()).unwrap_or(());
                    }
                    Request::Close { reply } => {
                        let outcome = self.shut().map_err(StoreError::from);
                        drop(reply.send(outcome));
                        return;
                    }
                }
            }
            self.keep_house();
        }
    }

    fn close_log(&mut self, log: &Arc<Shared>) {
        log.close();
        // A handle that was closed before says nothing about the log's later opening.
        if self.logs.get(&log.id).is_some_and(|open| Arc::ptr_eq(&open.shared, log)) {
            self.logs.remove(&log.id);
        }
    }

    /// The next request; none if there is other work to do.
    fn wait(&mut self) -> Result<Option<Queued>, AllGone> {
        if self.house.has_work() {
            return match self.queue.try_recv() {
                Ok(queued) => Ok(Some(queued)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(AllGone),
            };
        }
        match self.queue.recv_timeout(TICK) {
            Ok(queued) => Ok(Some(queued)),
            Err(RecvTimeoutError::Timeout) => {
                // Tried again at the next tick.
                self.house.idle(&self.opened.db, &self.logs).unwrap_or(());
                Ok(None)
            }
            Err(RecvTimeoutError::Disconnected) => Err(AllGone),
        }
    }

    fn keep_house(&mut self) {
        // What fails here is tried again, and an append that meets the same fault reports it.
        if self.house.has_work() && self.sync(false).is_ok() {
            self.house.step(&self.opened.db, &mut self.logs);
        }
        self.house.look_at_wal(&self.opened.db, &self.pool).unwrap_or(());
    }

    fn commit(&mut self, group: Group) {
        let power = group.logs().any(|id| self.logs.get(&id).is_some_and(|log| log.power));
        let stored = match self.sync(power) {
            Ok(()) => group::store(&self.opened.db, &self.logs, &group),
            Err(fault) => Err(fault),
        };
        match self.noted(stored) {
            Ok(stored) => {
                self.house.wrote(group.bytes());
                let changed = stored.apply(&group, &mut self.logs);
                group.answer(stored);
                for log in changed.iter().filter_map(|id| self.logs.get(id)) {
                    log.shared.wake();
                    self.house.look_at(log);
                }
            }
            Err(fault) => {
                group.fail(&fault);
                if matches!(fault, Fault::Full(_)) {
                    // Tried again with the next append that is refused.
                    self.house.make_room(&self.opened.db, &self.logs).unwrap_or(());
                }
            }
        }
    }

    /// Damage that was met is looked for at the next open.
    fn noted<T>(&self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(Fault::Damaged(cause)) = &outcome {
            recover::leave_marker(&recover::marker(&self.opened.path), cause);
        }
        outcome
    }

    /// Sets whether the next commits outlive a loss of power.
    fn sync(&mut self, power: bool) -> Result<(), Fault> {
        if self.synced != power {
            let level = if power { "FULL" } else { "NORMAL" };
            self.opened.db.execute_batch(&format!("PRAGMA synchronous = {level}"))?;
            self.synced = power;
        }
        Ok(())
    }

    fn change(&self) -> Result<Transaction<'_>, Fault> {
        Ok(Transaction::new_unchecked(&self.opened.db, TransactionBehavior::Immediate)?)
    }

    fn open_log(&mut self, name: &LogName, options: LogOptions) -> Result<Arc<Shared>, Fault> {
        if let Some(log) = self.logs.values().find(|log| log.shared.name == *name) {
            return Ok(Arc::clone(&log.shared));
        }
        self.sync(true)?;
        let power = options.durability == Durability::Power;
        let change = self.change()?;
        let row = match LogRow::find(&change, name)? {
            Some(row) => {
                if row.power != power {
                    change.execute("UPDATE log SET power = ? WHERE id = ?", (power, row.id))?;
                }
                row
            }
            None => LogRow::insert(&change, name, &Epoch::random(), power)?,
        };
        let dedupe = Dedupe::load(&change, row.id)?;
        change.commit()?;
        self.house.wrote(0);
        let (id, count) = (row.id, row.count);
        // An earlier process may have ended before it swept.
        self.house.sweep(id, count.first);
        let recovery = self.opened.recovery(name);
        let seen = (count.first, count.next, count.bytes);
        let shared = Arc::new(Shared::new(id, row.name, row.epoch, recovery, seen));
        let retention = options.retention;
        let log = OpenLog {
            shared: Arc::clone(&shared),
            retention,
            power,
            count,
            dedupe,
            oldest_ts: None,
        };
        self.house.look_at(&log);
        self.logs.insert(id, log);
        Ok(shared)
    }

    fn delete(&mut self, name: &LogName) -> Result<bool, Fault> {
        self.sync(true)?;
        let change = self.change()?;
        let Some(LogRow { id, .. }) = LogRow::find(&change, name)? else { return Ok(false) };
        change.execute("DELETE FROM log WHERE id = ?", [id])?;
        change.execute("DELETE FROM gap WHERE log = ?", [id])?;
        change.execute("DELETE FROM dedupe WHERE log = ?", [id])?;
        change.execute("INSERT INTO doomed VALUES (?)", [id])?;
        change.commit()?;
        self.house.wrote(0);
        self.house.sweep(id, u64::MAX);
        self.opened.forget(name);
        if let Some(log) = self.logs.remove(&id) {
            log.shared.remove();
        }
        Ok(true)
    }

    fn trim(&mut self, shared: &Arc<Shared>, before: u64) -> Result<u64, StoreError> {
        if shared.is_closed() {
            return Err(StoreError::Closed);
        }
        self.sync(true)?;
        let log = self.logs.get_mut(&shared.id).ok_or(StoreError::Closed)?;
        let trimmed = house::trim(&self.opened.db, log, before);
        let first = log.count.first;
        self.noted(trimmed)?;
        self.house.wrote(0);
        self.house.sweep(shared.id, first);
        Ok(first)
    }

    /// Ends everything: the readers, the database, and the lock that keeps others out.
    fn shut(mut self) -> Result<(), Fault> {
        let synced = self.sync(true);
        self.logs.values().for_each(|log| log.shared.remove());
        self.pool.stop();
        let Opened { db, lock, .. } = self.opened;
        let marked = synced.and_then(|()| Ok(schema::mark(&db, None).map(drop)?));
        // What stays in the write-ahead log is durable, and read at the next open.
        schema::checkpoint(&db, "TRUNCATE").unwrap_or_default();
        let closed = db.close().map_err(|(_, error)| Fault::from(error));
        drop(lock);
        marked.and(closed)
    }
}

/// Nobody is left who could ask for anything.
struct AllGone;
