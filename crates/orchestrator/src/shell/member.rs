//! The life of a browser that waits for a create: one task, until it is handed out or ended.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::FutureExt;
use telemetry::fields;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use upstream::{Publisher, Upstream};

use super::force::ForceError;
use super::handles::{Handles, LifeStep};
use super::pool::PROBE_LIMIT;
use super::stop::{CLEANUP_TRIES, cleanup_wait, stop_by_driver};
use super::task::{EVENTS, Life};
use super::{Shared, now};
use crate::browsers::{Browsers, Started, Told};
use crate::driver::{DriverEvent, LaunchSpec, OnExit, StartError, StopHow};
use crate::ids::LifecycleId;
use crate::registry::BrowserRecord;

/// What stands for the sandbox of a member in lists of those that hang.
pub(super) const NO_SANDBOX: &str = "(pool)";

/// How a member is reached from outside its task.
pub(super) struct MemberHandle {
    pub(super) lifecycle: LifecycleId,
    upstream: Upstream,
    browser: OnceLock<(BrowserRecord, Started)>,
    end: CancellationToken,
    asked: Notify,
    owner: Mutex<Option<oneshot::Sender<Arc<Handles>>>>,
}

impl MemberHandle {
    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Its browser, once it answers.
    pub(super) fn browser(&self) -> (BrowserRecord, Option<Started>) {
        match self.browser.get() {
            Some((record, started)) => (record.clone(), Some(started.clone())),
            None => (BrowserRecord::default(), None),
        }
    }

    /// Tells it to go.
    pub(super) fn end(&self) {
        self.end.cancel();
    }

    /// Tells it to find out whether its browser still answers.
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Gives it to a sandbox; its task goes on as that sandbox's.
    pub(super) fn hand_over(&self, handles: Arc<Handles>) {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The task listens as long as the pool can hand it out.
        let heard = owner.is_some_and(|owner| owner.send(handles).is_ok());
        debug_assert!(heard, "handed out once, while its task lives");
    }
}

pub(super) struct Member {
    shared: Arc<Shared>,
    handle: Arc<MemberHandle>,
    launch: LaunchSpec,
    publisher: Publisher,
    browsers: Browsers,
    events: mpsc::Receiver<DriverEvent>,
    sink: Option<mpsc::Sender<DriverEvent>>,
    owner: oneshot::Receiver<Arc<Handles>>,
    /// What happened to its browser since it answered: only its end, or what follows from it.
    missed: Vec<Told>,
}

/// What exists at the driver when a member ends.
enum Remains {
    Nothing,
    Instance,
    /// The start was cancelled and still has not returned.
    Pending(StartCall),
}

type StartCall = Pin<Box<dyn Future<Output = std::thread::Result<Result<(), StartError>>> + Send>>;

/// How the wait of a member ended.
enum Next {
    Owner(Arc<Handles>),
    End,
}

impl Member {
    pub(super) fn new(shared: Arc<Shared>, launch: LaunchSpec) -> (Self, Arc<MemberHandle>) {
        let (sink, events) = mpsc::channel(EVENTS);
        let (give, owner) = oneshot::channel();
        let publisher = Publisher::new(launch.on_crash == OnExit::Relaunch);
        let handle = Arc::new(MemberHandle {
            lifecycle: launch.lifecycle.clone(),
            upstream: publisher.upstream(),
            browser: OnceLock::new(),
            end: CancellationToken::new(),
            asked: Notify::new(),
            owner: Mutex::new(Some(give)),
        });
        let member = Self {
            shared,
            handle: Arc::clone(&handle),
            launch,
            publisher,
            browsers: Browsers::new(),
            events,
            sink: Some(sink),
            owner,
            missed: Vec::new(),
        };
        (member, handle)
    }

    /// Lives until the end, its own or that of the sandbox that got it, or until the daemon gives
    /// up waiting for it.
    pub(super) async fn run(self) {
        let abandon = self.shared.abandon.clone();
        tokio::select! {
            () = abandon.cancelled() => {}
            () = Box::pin(self.live()) => {}
        }
    }

    async fn live(mut self) {
        let remains = match self.start().await {
            Ok(()) => match self.wait().await {
                Next::Owner(handles) => {
                    let Self { shared, publisher, browsers, events, missed, .. } = self;
                    let life = Life { shared, handles, publisher, browsers, events, sink: None };
                    return life.adopted(missed).await;
                }
                Next::End => Remains::Instance,
            },
            Err(remains) => remains,
        };
        self.clean_up(remains).await;
    }

    /// Starts its browser and joins those that can be handed out.
    async fn start(&mut self) -> Result<(), Remains> {
        let shared = Arc::clone(&self.shared);
        let (remains, failure) = match shared.factory_gate.enter_owned() {
            Ok(_inside) => self.begin().await,
            Err(_) => (Remains::Nothing, None),
        };
        if let Some(failure) = &failure {
            tracing::warn!(
                { fields::LIFECYCLE_ID } = %self.handle.lifecycle,
                error = failure,
                "a browser for the pool did not start"
            );
        }
        let mut core = shared.lock();
        let now = now();
        let changes = core.registry.member_started(&self.handle.lifecycle, now);
        shared.tell(&mut core, &changes);
        let started =
            matches!(remains, Remains::Instance) && failure.is_none() && self.missed.is_empty();
        if started && core.pool.ready(&self.handle.lifecycle, now.instant) {
            shared.settled(&mut core);
            return Ok(());
        }
        core.pool.failed(&self.handle.lifecycle, now.instant);
        shared.settled(&mut core);
        Err(remains)
    }

    /// What exists after the driver's call, and what went wrong with it.
    async fn begin(&mut self) -> (Remains, Option<String>) {
        let (cancel, end) = (CancellationToken::new(), self.handle.end.clone());
        let mut call = self.call(cancel.clone());
        let mut late = Box::pin(async {
            end.cancelled().await;
            cancel.cancel();
            tokio::time::sleep(self.shared.config.cancel_grace).await;
        });
        let outcome = loop {
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => note(event, &mut self.browsers, &self.publisher, &self.handle, &mut self.missed),
                outcome = &mut call => break outcome,
                () = &mut late => {
                    drop(late);
                    return (Remains::Pending(call), None);
                }
            }
        };
        drop(late);
        self.hear();
        match outcome {
            Ok(Ok(())) => (Remains::Instance, None),
            Ok(Err(StartError::Cancelled)) => (Remains::Nothing, None),
            Ok(Err(error)) => (Remains::Nothing, Some(error.to_string())),
            Err(_) => (Remains::Instance, Some("the driver panicked".to_owned())),
        }
    }

    fn call(&mut self, cancel: CancellationToken) -> StartCall {
        let (driver, launch) = (Arc::clone(&self.shared.driver), self.launch.clone());
        let sink = self.sink.take();
        let call = async move {
            match sink {
                Some(sink) => driver.start(launch, sink, cancel).await,
                None => Err(StartError::Cancelled),
            }
        };
        Box::pin(AssertUnwindSafe(call).catch_unwind())
    }

    /// Waits until it is handed out or has to go.
    async fn wait(&mut self) -> Next {
        let end = self.handle.end.clone();
        loop {
            if !self.missed.is_empty() && self.fail("its browser ended") {
                return Next::End;
            }
            tokio::select! {
                biased;
                // First: whoever hands it out has decided so under the lock.
                owner = &mut self.owner => match owner {
                    Ok(handles) => return Next::Owner(handles),
                    Err(_) => return Next::End,
                },
                () = end.cancelled() => return Next::End,
                Some(event) = self.events.recv() => self.take(event),
                fault = probe(&self.shared, &self.handle) => match fault {
                    None => self.shared.lock().pool.answered(&self.handle.lifecycle),
                    Some(fault) => if self.fail(&fault) {
                        return Next::End;
                    },
                },
            }
        }
    }

    /// Leaves the pool; false if it was handed out or told to go before, which comes next then.
    fn fail(&self, why: &str) -> bool {
        let lifecycle = &self.handle.lifecycle;
        let mut core = self.shared.lock();
        let left = core.pool.failed(lifecycle, now().instant);
        if left {
            tracing::warn!({ fields::LIFECYCLE_ID } = %lifecycle, why, "a browser leaves the pool");
            self.shared.settled(&mut core);
        }
        left
    }

    fn hear(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.take(event);
        }
    }

    fn take(&mut self, event: DriverEvent) {
        note(event, &mut self.browsers, &self.publisher, &self.handle, &mut self.missed);
    }

    /// Ends what there is of it and gives its place back.
    async fn clean_up(&mut self, remains: Remains) {
        let mut errors = match remains {
            Remains::Nothing => Vec::new(),
            Remains::Instance => self.stop().await,
            Remains::Pending(call) => {
                let driven = async move {
                    let _ = call.await;
                    std::future::pending::<Infallible>().await
                };
                tokio::select! {
                    errors = self.stop() => errors,
                    never = driven => match never {},
                }
            }
        };
        let mut tries = 1;
        while !errors.is_empty() && tries < CLEANUP_TRIES {
            self.tell_errors(&errors);
            tokio::time::sleep(cleanup_wait(tries)).await;
            errors = self.stop().await;
            tries += 1;
        }
        if !errors.is_empty() {
            self.tell_errors(&errors);
            tracing::error!({ fields::LIFECYCLE_ID } = %self.handle.lifecycle, ?errors, "what a browser of the pool left is set aside");
        }
        let mut core = self.shared.lock();
        core.pool.gone(&self.handle.lifecycle);
        let changes = core.registry.release_member(&self.handle.lifecycle, now());
        self.shared.tell(&mut core, &changes);
    }

    /// One try; what could not be cleaned up.
    async fn stop(&mut self) -> Vec<String> {
        let shared = Arc::clone(&self.shared);
        let report = {
            let stop = stop_by_driver(&shared, &self.handle.lifecycle, StopHow::Fast);
            let events = &mut self.events;
            tokio::select! {
                report = stop => report,
                // Nobody is interested, but a driver may wait until its reports are read.
                never = read_out(events) => match never {},
            }
        };
        report.errors
    }

    fn tell_errors(&self, errors: &[String]) {
        let sink = self.shared.lock().drain.errors.clone();
        if let Some(sink) = sink {
            sink(ForceError {
                sandbox: NO_SANDBOX.to_owned(),
                lifecycle: self.handle.lifecycle.clone(),
                step: LifeStep::Retry,
                errors: errors.to_vec(),
            });
        }
    }
}

async fn read_out(events: &mut mpsc::Receiver<DriverEvent>) -> Infallible {
    while events.recv().await.is_some() {}
    std::future::pending().await
}

/// Waits until it is asked, and says what is wrong with the answer.
async fn probe(shared: &Shared, handle: &MemberHandle) -> Option<String> {
    handle.asked.notified().await;
    let answer = shared.driver.probe(handle.lifecycle.clone());
    match tokio::time::timeout(PROBE_LIMIT, AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(fault))) => Some(fault.to_string()),
        Ok(Err(_)) => Some("the driver panicked".to_owned()),
        Err(_) => Some(format!("no answer within {PROBE_LIMIT:?}")),
    }
}

/// Takes a report of the driver. There are no sessions yet, and nobody to tell.
fn note(
    event: DriverEvent,
    browsers: &mut Browsers,
    publisher: &Publisher,
    handle: &MemberHandle,
    missed: &mut Vec<Told>,
) {
    for told in browsers.handle(event, now().instant, 0) {
        match told {
            Told::Fact(fact) => {
                publisher.apply(fact);
            }
            Told::Started(started) => {
                let found = (browsers.record().clone(), started.clone());
                if handle.browser.set(found).is_err() {
                    missed.push(Told::Started(started));
                }
            }
            Told::Restarted(_)
            | Told::OutOfMemory(..)
            | Told::Exited(_)
            | Told::Relaunching
            // One of the pool has no runner.
            | Told::RunnerReady(_)
            | Told::RunnerExited(_)
            | Told::Gone(_) => missed.push(told),
        }
    }
}
