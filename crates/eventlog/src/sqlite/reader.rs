//! The threads that read. Each has a connection; a job is done by whichever is free.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::fault::Fault;
use super::page::read_page;
use super::queue::Reply;
use super::shared::Shared;
use super::{recover, schema};
use crate::{Page, ReadError, ReadLimit};

/// Threads, and connections, that read.
const READERS: usize = 4;
/// Most reads that wait for one of them; further ones wait outside.
const QUEUE_READS: usize = 1_024;

/// What a reader is asked to do.
#[derive(Debug)]
pub(super) enum ReadJob {
    Page {
        log: Arc<Shared>,
        offset: u64,
        limit: ReadLimit,
        reply: Reply<Result<Page, ReadError>>,
    },
    /// Move what stands in the write-ahead log into the database, beside the writer.
    Checkpoint {
        running: Arc<AtomicBool>,
    },
    /// End this thread.
    Stop,
}

/// Where jobs for the readers go.
pub(super) type Readers = mpsc::Sender<ReadJob>;

type Jobs = Arc<Mutex<mpsc::Receiver<ReadJob>>>;

/// The threads, for whoever has to wait for their end.
#[derive(Debug)]
pub(super) struct Pool {
    jobs: Readers,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts the threads. Their connections are open when this returns.
    pub(super) fn start(path: &Path) -> Result<Self, Fault> {
        let (jobs, queue) = mpsc::channel(QUEUE_READS);
        let queue: Jobs = Arc::new(Mutex::new(queue));
        let mut threads = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            threads.push(start(schema::open_reader(path)?, path, Arc::clone(&queue))?);
        }
        Ok(Self { jobs, threads })
    }

    pub(super) fn jobs(&self) -> Readers {
        self.jobs.clone()
    }

    /// Asks for a checkpoint unless one is running or every reader is busy.
    pub(super) fn checkpoint(&self, running: &Arc<AtomicBool>) {
        if !running.swap(true, Ordering::AcqRel) {
            let job = ReadJob::Checkpoint { running: Arc::clone(running) };
            if self.jobs.try_send(job).is_err() {
                running.store(false, Ordering::Release);
            }
        }
    }

    /// Ends the threads behind the jobs that wait, and closes their connections.
    pub(super) fn stop(self) {
        for _ in &self.threads {
            // Fails only when all of them are gone already.
            if self.jobs.blocking_send(ReadJob::Stop).is_err() {
                break;
            }
        }
        for thread in self.threads {
            // A reader that panicked has nothing left to close.
            thread.join().unwrap_or(());
        }
    }
}

fn start(db: Connection, path: &Path, jobs: Jobs) -> io::Result<JoinHandle<()>> {
    let marker = recover::marker(path);
    std::thread::Builder::new().name("eventlog-read".into()).spawn(move || {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            match job {
                Some(ReadJob::Page { log, offset, limit, reply }) => {
                    if reply.is_closed() {
                        continue;
                    }
                    let page = read_page(&db, &log, offset, limit);
                    if let Err(ReadError::Corrupt { cause }) = &page {
                        recover::leave_marker(&marker, cause);
                    }
                    // Whoever asked may have gone meanwhile.
                    drop(reply.send(page));
                }
                Some(ReadJob::Checkpoint { running }) => {
                    // The writer looks at what is left, and tries itself if this failed.
                    schema::checkpoint(&db, "PASSIVE").unwrap_or_default();
                    running.store(false, Ordering::Release);
                }
                Some(ReadJob::Stop) | None => return,
            }
        }
    })
}
