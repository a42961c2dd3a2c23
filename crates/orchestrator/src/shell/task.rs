//! The life of one sandbox: one task, from its place in the queue to its tombstone, through all its
//! incarnations.

use std::convert::Infallible;
use std::sync::Arc;

use draingate::OwnedPass;
use telemetry::events::OomKill;
use telemetry::words::StopReason;
use tokio::sync::mpsc;
use upstream::Publisher;

use super::handles::{Handles, LifeStep};
use super::start::{StartFor, Starting};
use super::{Shared, events, now};
use crate::browsers::{Browsers, Told};
use crate::driver::DriverEvent;
use crate::lifecycle::{Event, State, Stop};

/// How many reports of a driver may wait; then the driver waits.
pub(super) const EVENTS: usize = 64;

pub(super) struct Life {
    pub(super) shared: Arc<Shared>,
    pub(super) handles: Arc<Handles>,
    pub(super) publisher: Publisher,
    pub(super) browsers: Browsers,
    pub(super) events: mpsc::Receiver<DriverEvent>,
    pub(super) sink: Option<mpsc::Sender<DriverEvent>>,
}

/// One incarnation, on its way to the task that lives it.
#[derive(Debug)]
pub(super) struct Incarnation {
    pub(super) handles: Arc<Handles>,
    publisher: Publisher,
    /// The request that asks for it; a drain waits for it until the start is over.
    admitted: Option<OwnedPass>,
}

impl Incarnation {
    pub(super) fn new(handles: Arc<Handles>, publisher: Publisher) -> Self {
        Self { handles, publisher, admitted: None }
    }

    pub(super) fn admitted(self, pass: OwnedPass) -> Self {
        Self { admitted: Some(pass), ..self }
    }
}

impl Life {
    pub(super) fn new(shared: Arc<Shared>, first: Incarnation) -> Self {
        let (sink, events) = mpsc::channel(EVENTS);
        let Incarnation { handles, publisher, admitted: _ } = first;
        let browsers = Browsers::new();
        Self { shared, handles, publisher, browsers, events, sink: Some(sink) }
    }

    /// Goes on as the next incarnation; what it was let in by.
    pub(super) fn become_next(&mut self, next: Incarnation) -> Option<OwnedPass> {
        let (sink, events) = mpsc::channel(EVENTS);
        (self.handles, self.publisher) = (next.handles, next.publisher);
        (self.browsers, self.events, self.sink) = (Browsers::new(), events, Some(sink));
        next.admitted
    }

    /// Goes on with a browser that waited in the pool and whose sandbox is running. `missed` was
    /// heard before anybody knew whose it would be.
    pub(super) async fn adopted(mut self, missed: Vec<Told>) {
        self.note_browser();
        missed.into_iter().for_each(|told| self.pass_on(told));
        self.live(None, Starting::Instance).await;
    }

    /// Lives until the end, or until the daemon gives up waiting for it.
    pub(super) async fn run(self, admitted: Option<OwnedPass>) {
        let abandon = self.shared.abandon.clone();
        tokio::select! {
            () = abandon.cancelled() => {}
            () = Box::pin(self.live(admitted, Starting::None)) => {}
        }
    }

    /// `starting`: what exists at the driver.
    async fn live(mut self, mut admitted: Option<OwnedPass>, mut starting: Starting) {
        loop {
            match self.state() {
                State::Requested | State::Resuming { queued: true } => {
                    self.left(|state| {
                        matches!(state, State::Requested | State::Resuming { queued: true })
                    })
                    .await;
                }
                State::Starting | State::Resuming { queued: false } => {
                    self.handles.step(LifeStep::Start);
                    starting = self.start(StartFor::Client).await;
                    // The start is over, whatever became of it: a drain no longer waits for the
                    // request.
                    drop(admitted.take());
                }
                State::Running => {
                    self.handles.step(LifeStep::Serve);
                    self.serve().await;
                }
                State::Pausing { .. } | State::Checkpointing { .. } => {
                    starting = self.park(starting).await;
                }
                State::Paused { .. } => {
                    drop(admitted.take());
                    admitted = self.parked(starting).await;
                    starting = Starting::None;
                }
                State::Stopping(stop) => {
                    drop(admitted.take());
                    return self.stop(&stop, starting).await;
                }
                State::Stopped(_) => return,
            }
        }
    }

    pub(super) fn state(&self) -> State {
        self.handles.progress.borrow().state.clone()
    }

    /// Waits until the state is another one.
    async fn left(&self, here: impl Fn(&State) -> bool) {
        let mut progress = self.handles.progress.subscribe();
        // The sender lives in `handles`.
        let _ = progress.wait_for(|progress| !here(&progress.state)).await;
    }

    /// Passes reports on until it is to be ended.
    async fn serve(&mut self) {
        let mut progress = self.handles.progress.subscribe();
        while progress.borrow_and_update().state == State::Running {
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => {
                        let stop = Stop::new(
                            StopReason::BrowserCrashed,
                            "the driver stopped reporting on the browser",
                        );
                        self.apply(&Event::BrowserGone(stop));
                    }
                },
                _ = progress.changed() => {}
            }
        }
    }

    pub(super) fn apply(&self, event: &Event) {
        self.shared.apply(&self.handles.lifecycle, event);
    }

    /// Takes a report of the driver.
    pub(super) fn handle(&mut self, event: DriverEvent) {
        let sessions = self.handles.session_count();
        let told = self.browsers.handle(event, now().instant, sessions);
        self.note_browser();
        told.into_iter().for_each(|told| self.pass_on(told));
    }

    fn note_browser(&self) {
        let record = self.browsers.record().clone();
        let lifecycle = &self.handles.lifecycle;
        let mut differs = false;
        self.shared.change(|registry, _| {
            let known = registry.by_lifecycle(lifecycle);
            differs = known.is_some_and(|sandbox| sandbox.record.browser.shows_other_than(&record));
            registry.note_browser(lifecycle, record);
            Vec::new()
        });
        if differs {
            self.shared.journal_present(&mut self.shared.lock(), lifecycle);
        }
    }

    fn pass_on(&mut self, told: Told) {
        let (shared, handles) = (&self.shared, &self.handles);
        match told {
            Told::Fact(fact) => {
                self.publisher.apply(fact);
            }
            Told::Started(started) => events::browser_started(shared, handles, started),
            Told::Restarted(restarted) => events::browser_restarted(shared, handles, &restarted),
            Told::OutOfMemory(scope, killed) => {
                let event = OomKill { scope, killed };
                shared.telemetry.publish(Some(handles.sandbox.as_str()), event);
            }
            Told::Exited(exited) => events::browser_exited(shared, handles, &exited),
            Told::Relaunching => self.apply(&Event::BrowserRelaunching),
            Told::RunnerReady(ready) => self.runner_ready(ready),
            Told::RunnerExited(exited) => self.runner_exited(&exited),
            Told::Gone(stop) => self.apply(&Event::BrowserGone(stop)),
        }
    }

    /// Passes reports on for ever; for the side of another wait.
    pub(super) async fn pump(&mut self) -> Infallible {
        while let Some(event) = self.events.recv().await {
            self.handle(event);
        }
        std::future::pending().await
    }
}
