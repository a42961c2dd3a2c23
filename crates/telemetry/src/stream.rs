//! The live stream: events as server-sent events, from a place on, for as long as it is read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventlog::{Epoch, ReadError, ReadLimit};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::feed::{Chunk, Feed, News};
use crate::metrics::{EventMetrics, GaugeGuard};
use crate::query::{Filter, GapTold, Place};
use crate::words::GapWord;

#[cfg(test)]
mod tests;

/// What is read and written at once: at most so many records, and so many bytes or one record.
const BATCH: ReadLimit = ReadLimit { records: 1_024, bytes: 256 * 1024 };
/// How long to wait before a log that could not be read is tried again.
const READ_AGAIN: Duration = Duration::from_millis(250);

/// How a stream works.
#[derive(Clone)]
pub(crate) struct StreamSettings {
    pub(crate) keep_alive: Duration,
    pub(crate) stall: Duration,
}

/// A stream's bytes. They are made when they are asked for: a reader that does not read costs no
/// memory but this.
pub(crate) fn stream(
    feed: Arc<Feed>,
    place: Place,
    filter: Filter,
    settings: StreamSettings,
    metrics: EventMetrics,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let news = feed.watch();
    let start_now = place == Place::Now;
    let start = place.find(feed.epoch(), feed.first(), news.borrow().next);
    let mut reader = Reader {
        _open: metrics.client(),
        next: start.next,
        opening: Vec::new(),
        unsent: None,
        passed: false,
        told_bad: false,
        written: Instant::now(),
        finished: false,
        news,
        feed,
        filter,
        settings,
        metrics,
    };
    if let Some(gap) = start.gap {
        reader.open_with_gap(gap);
    } else if start_now {
        // Whoever is cut off before the first event comes back to this place.
        reader.opening = cursor_line(reader.feed.epoch(), start.next - 1);
    }
    unfold(reader, |mut reader| async move {
        let bytes = reader.next().await?;
        Some((bytes, reader))
    })
}

struct Reader {
    feed: Arc<Feed>,
    filter: Filter,
    settings: StreamSettings,
    metrics: EventMetrics,
    _open: GaugeGuard,
    news: watch::Receiver<News>,
    /// The next offset to read.
    next: u64,
    /// What is sent before anything else.
    opening: Vec<u8>,
    /// When something was handed over that may not have been sent yet.
    unsent: Option<Instant>,
    /// Whether events passed that were not wanted since the reader was told a cursor.
    passed: bool,
    /// Whether the reader was told that the log takes no events.
    told_bad: bool,
    written: Instant,
    finished: bool,
}

impl Reader {
    /// The next bytes; `None` = the stream ends.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.finished {
            return None;
        }
        if self.unsent.is_some_and(|at| at.elapsed() > self.settings.stall) {
            self.finished = true;
            let why = "the reader took nothing for too long";
            return Some(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
        }
        let bytes = self.bytes().await;
        self.written = Instant::now();
        self.unsent = Some(self.written);
        Some(Ok(bytes.into()))
    }

    async fn bytes(&mut self) -> Vec<u8> {
        if !self.opening.is_empty() {
            return std::mem::take(&mut self.opening);
        }
        loop {
            // Seen before the read, so what comes in between wakes the wait below.
            let news = *self.news.borrow_and_update();
            let mut wait = self.settings.keep_alive;
            match self.feed.read(self.next, BATCH).await {
                Ok(chunk) => {
                    let (moved, bytes) = self.take(chunk);
                    if !bytes.is_empty() {
                        return bytes;
                    }
                    if moved {
                        // What was read is not wanted; others may want the processor.
                        tokio::task::yield_now().await;
                        continue;
                    }
                    if news.ended {
                        self.finished = true;
                        return b": draining\n\n".to_vec();
                    }
                }
                Err(ReadError::Ahead { next }) => {
                    self.next = next;
                    self.metrics.gap(GapWord::Ahead);
                    let gap = GapTold { from: None, to: next - 1, cause: GapWord::Ahead };
                    return gap_event(self.feed.epoch(), gap);
                }
                Err(ReadError::Closed | ReadError::Corrupt { .. }) => {
                    self.finished = true;
                    return b": log closed\n\n".to_vec();
                }
                Err(ReadError::Unavailable { .. }) => wait = READ_AGAIN,
            }
            if let Some(bytes) = self.idle(news, wait).await {
                return bytes;
            }
        }
    }

    /// What a part of the events has for this reader, and whether there was anything in it.
    fn take(&mut self, chunk: Chunk) -> (bool, Vec<u8>) {
        let moved = chunk.next != self.next;
        self.next = chunk.next;
        let mut bytes = Vec::new();
        if let Some(gap) = chunk.gap {
            let gap = GapTold::from(gap);
            self.metrics.gap(gap.cause);
            bytes = gap_event(self.feed.epoch(), gap);
        }
        let wanted = chunk.events.iter().filter(|event| self.filter.wants(event));
        let size: usize = wanted.clone().map(|event| event.frame().len()).sum();
        bytes.reserve(size);
        wanted.for_each(|event| bytes.extend_from_slice(event.frame()));
        self.passed = bytes.is_empty() && (self.passed || moved);
        (moved, bytes)
    }

    /// Waits for news, and gives what a silent stream has to say when it is time.
    async fn idle(&mut self, news: News, wait: Duration) -> Option<Vec<u8>> {
        if !news.log_good && !self.told_bad {
            self.told_bad = true;
            return Some(b": log unavailable\n\n".to_vec());
        }
        self.told_bad = !news.log_good;
        let silent_until = self.written + self.settings.keep_alive;
        tokio::select! {
            biased;
            changed = self.news.changed() => {
                // The feed lives as long as this reader, so it is never closed.
                if changed.is_ok() {
                    return None;
                }
            }
            () = tokio::time::sleep_until(silent_until) => {}
            () = tokio::time::sleep(wait) => return None,
        }
        Some(if std::mem::take(&mut self.passed) {
            cursor_line(self.feed.epoch(), self.next - 1)
        } else if news.log_good {
            b":\n\n".to_vec()
        } else {
            b": log unavailable\n\n".to_vec()
        })
    }

    fn open_with_gap(&mut self, gap: GapTold) {
        self.metrics.gap(gap.cause);
        self.opening = gap_event(self.feed.epoch(), gap);
    }
}

/// Moves the reader's cursor and dispatches nothing.
fn cursor_line(epoch: &Epoch, offset: u64) -> Vec<u8> {
    format!("id: {epoch}-{offset}\n\n").into_bytes()
}

/// Offsets that this reader will not see.
fn gap_event(epoch: &Epoch, gap: GapTold) -> Vec<u8> {
    #[derive(Serialize)]
    struct Data<'a> {
        epoch: &'a str,
        #[serde(flatten)]
        gap: GapTold,
    }
    let id = format!("event: gap\nid: {epoch}-{}\ndata: ", gap.to);
    let mut bytes = id.into_bytes();
    let data = Data { epoch: epoch.as_str(), gap };
    // Numbers and known words: writing them to memory cannot fail.
    let _ = serde_json::to_writer(&mut bytes, &data);
    bytes.extend_from_slice(b"\n\n");
    bytes
}
