//! Opening a session: its base, then the records behind it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytestring::ByteString;
use eventlog::{Log, ReadLimit, Store};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Session, now};
use crate::SessionKey;
use crate::log::{Assembler, FeedName, Kind, Stored};
use crate::session::bases::{Bases, BasesError, unlimited};
use crate::session::event::EventType;
use crate::session::folder::Folder;
use crate::session::lane::{Lane, Rules};
use crate::session::names::{bases_of, log_of};
use crate::session::observe::{Observe, Teller};
use crate::session::pile::{Limits, Pile};
use crate::session::shared::Shared;
use crate::session::tail::Tail;
use crate::session::writer::{COMMANDS, Folds, Meter, Waiting, Writer};

/// What is read at once when a log is opened.
const PAGE: ReadLimit = ReadLimit { records: 1_024, bytes: 1 << 20 };

/// What a session is opened with.
pub struct Setup {
    /// Which one it is.
    pub key: SessionKey,
    /// Where its log is.
    pub store: Arc<dyn Store>,
    /// Its thread, if it was told one.
    pub thread: Option<String>,
    /// When runs end that do not end by themselves.
    pub rules: Rules,
    /// How much of it is kept, and when it is folded.
    pub limits: Limits,
    /// Woken each time a run of a client or the runner has finished; the session then says so.
    pub finished: Arc<Notify>,
    /// Folds that may run at once, of all sessions together.
    pub folds: Arc<Semaphore>,
    /// Where it tells of itself.
    pub observe: Observe,
}

impl Session {
    /// Reads a session's base and what its log has behind it, and starts its writer, owned by
    /// `tasks`.
    ///
    /// # Errors
    /// The log cannot be opened or read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing has started then.
    pub async fn open(setup: Setup, tasks: &TaskTracker) -> Result<Self, BasesError> {
        let Setup { key, store, thread, rules, limits, finished, folds, observe } = setup;
        let log = store.open(&log_of(&key), unlimited()).await?;
        let bases = Arc::new(Bases::new(store, bases_of(&key), log.epoch()));
        let prefix = eventlog::Epoch::random();
        let mut lane = Lane::new(key.session(), prefix.as_str(), thread, rules);
        let folder = Folder {
            bases: Arc::clone(&bases),
            log: Arc::clone(&log),
            name: key.session().to_owned(),
            permits: folds,
            most: limits.most / 2,
        };
        let teller = Arc::new(Teller::new(observe, &key));
        let mut read = Read::new(Meter::new(Arc::clone(&teller)));
        // A log that still has its first record is whole, whatever was folded of it.
        if log.status().first > 1 {
            read.base(&folder, &mut lane).await?;
        }
        let next = read.records(&log, &mut lane).await?;
        // The writer is told of runs that finish from now on.
        lane.take_finished();
        let mut drafts = Vec::new();
        lane.replayed(now(), &mut drafts);
        let tail = Arc::new(Tail::new(log.epoch().clone(), next));
        let shared = Arc::new(Shared::new(key, tail, teller, read.resume));
        shared.last_ms.store(read.last_ms, Ordering::Relaxed);
        shared.finished_ms.store(read.finished_ms.unwrap_or(i64::MIN), Ordering::Relaxed);
        shared.publish(&lane, 0);
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let stop = CancellationToken::new();
        let writer = Writer {
            lane,
            log: Arc::clone(&log),
            shared: Arc::clone(&shared),
            stop: stop.clone(),
            finished,
            parked: Waiting::default(),
            meter: read.meter,
            folds: Folds {
                folder,
                limits,
                pile: read.pile,
                running: JoinSet::new(),
                not_before: None,
            },
        };
        tasks.spawn(writer.run(receiver, drafts));
        Ok(Self { shared, log, bases, commands, stop })
    }
}

/// What has been read.
struct Read {
    meter: Meter,
    next: u64,
    resume: Option<ByteString>,
    last_ms: i64,
    /// When the last run of a client or the runner finished, if that was the last thing it did.
    finished_ms: Option<i64>,
    pile: Pile,
}

impl Read {
    fn new(meter: Meter) -> Self {
        let pile = Pile::default();
        Self { meter, next: 0, resume: None, last_ms: 0, finished_ms: None, pile }
    }

    async fn base(&mut self, folder: &Folder, lane: &mut Lane) -> Result<(), BasesError> {
        folder.bases.find().await?;
        let Some(seal) = folder.bases.seal() else { return Ok(()) };
        match folder.bases.read(&seal).await {
            Ok(base) => {
                self.resume = base.header.resume.as_deref().map(ByteString::from);
                self.last_ms = base.events.last().map_or(0, |stored| stored.envelope.ts_ms);
                lane.restore(&base, now());
            }
            // What it covers is told as missing; the rest is there.
            Err(error @ (BasesError::Damaged | BasesError::Base(_))) => {
                tracing::error!(error = %error, session = folder.name, "a base cannot be read");
            }
            Err(error) => return Err(error),
        }
        self.next = seal.covers + 1;
        // A process that died between the seal and this left it to be done.
        if let Err(error) = folder.drop_folded(&seal).await {
            tracing::warn!(error = %error, "what was folded was not dropped");
        }
        Ok(())
    }

    /// Reads what is behind the base; gives the next offset.
    async fn records(&mut self, log: &Arc<dyn Log>, lane: &mut Lane) -> Result<u64, BasesError> {
        let mut assembler = Assembler::default();
        let mut next = self.next.max(log.status().first);
        loop {
            let page = log.read_from(next, PAGE).await?;
            next = page.next;
            if page.records.is_empty() && page.next >= page.head {
                return Ok(next);
            }
            for record in page.records {
                self.pile.add(record.offset, record.payload.len() as u64);
                let Ok(Some(stored)) = assembler.take(record.offset, record.payload) else {
                    continue;
                };
                self.record(&stored, lane);
            }
        }
    }

    fn record(&mut self, stored: &Stored, lane: &mut Lane) {
        let envelope = &stored.envelope;
        self.last_ms = envelope.ts_ms;
        if envelope.feed == Some(FeedName::Listen) {
            self.resume = envelope.upstream_id.as_deref().map(ByteString::from);
        }
        self.meter.read(stored);
        let before = lane.has_finished();
        lane.replay(stored, now());
        self.finished_ms = match (before, lane.has_finished()) {
            (false, true) => Some(envelope.ts_ms),
            (true, true) => self.finished_ms,
            (_, false) => None,
        };
        let name = envelope.event_type.as_deref().unwrap_or_default();
        if envelope.kind == Kind::Event && EventType::named(name).is_terminal() {
            self.pile.close();
        }
    }
}
