//! The task of one listener: does what the machine says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::feed::{Batch, Connection, FeedError};
use crate::http::{Body, Client};
use crate::sse::{Budget, Decoder, Item};

use super::{Board, Counts, Input, Machine, Reason, Setup, State};

/// Stands for "no deadline": a timer that does not fire in the life of a process.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// One listener, from its start to its end.
pub(crate) struct Task {
    pub(crate) client: Client,
    pub(crate) setup: Arc<Setup>,
    pub(crate) generation: u64,
    pub(crate) board: Arc<Board>,
    pub(crate) cancel: CancellationToken,
    pub(crate) budget: Budget,
    /// A place among those that connect at once at the start of the process; given back after the
    /// first attempt.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// What one listener keeps between connections.
struct Run {
    task: Task,
    machine: Machine,
    counts: Counts,
    last_event: Option<Instant>,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Task {
    /// Listens until it gives up or is cancelled.
    ///
    /// # Cancel safety
    /// Dropping it closes the socket, like the token.
    pub(crate) async fn run(self) {
        let machine = Machine::new(self.setup.rules);
        let mut run = Run { task: self, machine, counts: Counts::default(), last_event: None };
        let status = run.task.board.status();
        run.task.setup.feed.status(&status);
        loop {
            match *run.machine.state() {
                State::Connecting { .. } => run.connect().await,
                State::Waiting { until, .. } => run.wait(until).await,
                // Only `connect` has the body that this state needs, and stays in it to its end.
                State::Streaming { .. } | State::GaveUp(_) | State::Cancelled => return,
            }
        }
    }
}

impl Run {
    /// One attempt, and the stream it led to.
    async fn connect(&mut self) {
        self.counts.attempts += 1;
        let resume = self.task.setup.feed.resume_id();
        // Boxed: it is large, and gone while the stream is read.
        let open = Box::pin(self.task.client.open(&self.task.setup.target, resume.clone()));
        let opened = self.task.cancel.run_until_cancelled(open).await;
        self.task.place = None;
        match opened {
            None => self.handle(Input::Cancel),
            Some(Err(failure)) => self.handle(Input::Failed(failure)),
            Some(Ok(body)) => {
                self.counts.connections += 1;
                self.handle(Input::Opened);
                self.stream(body, resume).await;
            }
        }
    }

    /// Waits for the next attempt.
    async fn wait(&mut self, until: Instant) {
        let input = tokio::select! {
            biased;
            () = self.task.cancel.cancelled() => Input::Cancel,
            () = self.task.board.kicked() => Input::Kick,
            () = sleep_until(until.into()) => Input::Timer,
        };
        self.handle(input);
    }

    /// Reads a stream to its end.
    async fn stream(&mut self, mut body: Body, resume: Option<ByteString>) {
        let connection =
            Connection { generation: self.task.generation, number: self.counts.connections };
        let cancel = self.task.cancel.clone();
        let mut decoder = Decoder::new(self.task.setup.limits, self.task.budget.clone())
            .with_last_event_id(resume);
        let timer = sleep_until(self.deadline());
        tokio::pin!(timer);
        loop {
            let input = tokio::select! {
                biased;
                () = cancel.cancelled() => Input::Cancel,
                chunk = body.chunk() => match chunk {
                    Ok(Some(chunk)) => self.read(chunk, &mut body, &mut decoder, connection).await,
                    Ok(None) => Input::Ended(Reason::Ended),
                    Err(error) => Input::Ended(error.reason()),
                },
                () = &mut timer => Input::Timer,
            };
            self.machine.handle(input, now(), fastrand::u32(..));
            if !matches!(self.machine.state(), State::Streaming { .. }) {
                break;
            }
            self.show();
            let deadline = self.deadline();
            if timer.is_elapsed() || deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
        }
        // The socket is closed before anybody hears of it.
        drop(body);
        drop(decoder);
        let reason = match self.machine.state() {
            State::Cancelled => Reason::SessionClosed,
            _ => self.machine.reason().unwrap_or(Reason::Ended),
        };
        self.show();
        self.task.setup.feed.cut(connection, &reason);
    }

    /// Decodes what has come, all of it, and hands it over in one go.
    async fn read(
        &mut self,
        first: Bytes,
        body: &mut Body,
        decoder: &mut Decoder,
        connection: Connection,
    ) -> Input {
        let mut items = Vec::new();
        let mut ended = None;
        let mut next = Some(first);
        while let Some(chunk) = next {
            self.counts.bytes += chunk.len() as u64;
            decoder.feed(chunk);
            while let Some(item) = decoder.next_item() {
                self.take(item, &mut items);
            }
            next = match body.ready_chunk() {
                Ok(chunk) => chunk,
                Err(error) => {
                    ended = Some(Input::Ended(error.reason()));
                    None
                }
            };
        }
        if !items.is_empty() {
            let last_event_id = decoder.last_event_id().cloned();
            let accept = self.task.setup.feed.accept(Batch { connection, items, last_event_id });
            match self.task.cancel.run_until_cancelled(accept).await {
                None => return Input::Cancel,
                Some(Ok(())) => {}
                Some(Err(FeedError::Stalled)) => return Input::Ended(Reason::LogStalled),
                Some(Err(FeedError::Closed)) => return Input::Ended(Reason::SessionClosed),
            }
        }
        ended.unwrap_or(Input::Bytes { skipped: decoder.skipped() })
    }

    fn take(&mut self, item: Item, items: &mut Vec<Item>) {
        match item {
            Item::Retry(asked) => {
                self.machine.handle(Input::Retry(asked), now(), 0);
                return;
            }
            Item::Comment { .. } => {}
            Item::Event(_) | Item::Oversize { .. } => {
                let now = now();
                self.last_event = Some(now);
                self.machine.handle(Input::Event, now, 0);
                match item {
                    Item::Oversize { .. } => self.counts.losses += 1,
                    _ => self.counts.events += 1,
                }
            }
        }
        items.push(item);
    }

    fn handle(&mut self, input: Input) {
        self.machine.handle(input, now(), fastrand::u32(..));
        self.show();
    }

    fn deadline(&self) -> tokio::time::Instant {
        self.machine.deadline().map_or_else(|| tokio::time::Instant::now() + NEVER, Into::into)
    }

    /// Shows where it stands, and tells the session if that has changed.
    fn show(&self) {
        let Self { task, machine, counts, last_event } = self;
        let Some(status) = task.board.show(machine, *counts, *last_event, now()) else { return };
        tracing::debug!(
            generation = status.generation,
            state = status.state.kind(),
            failures = status.failures,
            reason = status.reason.map(tracing::field::display),
            "listener"
        );
        task.setup.feed.status(&status);
    }
}
