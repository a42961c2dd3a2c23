//! The life of one instance: one task that starts, watches, relaunches and ends its browser.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use upstream::Cause;

use super::cleanup::{Ending, Patience};
use super::engine::Engine;
use super::instance::{Farewell, Instance, Orders};
use super::launch::{Answering, Browser, Home, LaunchFailed};
use super::log_ring::LogRing;
use super::outbox::Outbox;
use super::relaunch::{Decision, Policy};
use super::restart::Restart;
use crate::driver::{DriverEvent, GoneWhy, LaunchSpec, StartError, StopReport};

/// How often the kernel's count of memory kills is read, so that a kill of a page long ago is not
/// taken for the cause of the browser's end.
const OOM_EVERY: Duration = Duration::from_secs(5);

/// A start that has failed is answered after this time also if something of it does not die: that
/// is the kernel's doing, and a stop of the same lifecycle waits for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What the task needs.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) engine: Arc<Engine>,
    pub(crate) instance: Arc<Instance>,
    pub(crate) spec: LaunchSpec,
    pub(crate) orders: watch::Receiver<Orders>,
    pub(crate) outbox: Outbox,
    log: Arc<Mutex<LogRing>>,
    policy: Policy,
    generation: u64,
    oom_kills: u64,
}

/// Where the instance stands between two events.
pub(crate) enum State {
    Running(Browser),
    Waiting(Duration),
    /// No browser runs, and none will be started.
    Still,
}

/// Why the wait for a browser is over.
enum Next {
    /// It ended by itself.
    Ended(Cause),
    /// It is to be ended.
    Ordered,
    /// It is to be replaced.
    Restart(Restart),
}

/// How an instance came to its end.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) exit: Option<Cause>,
    /// How long the browser was given.
    pub(crate) grace: Duration,
    /// When the end was ordered, if a browser ran then.
    pub(crate) began: Option<Instant>,
}

impl Supervisor {
    pub(crate) fn new(
        engine: Arc<Engine>,
        instance: Arc<Instance>,
        spec: LaunchSpec,
        outbox: Outbox,
    ) -> Self {
        let policy = Policy::new(spec.on_crash, spec.on_close, spec.crash_max, spec.crash_window);
        let (orders, log) = (instance.orders(), Arc::clone(&instance.log));
        Self { engine, instance, spec, orders, outbox, log, policy, generation: 0, oom_kills: 0 }
    }

    /// Runs the instance from its start until nothing of it is left.
    pub(crate) async fn run(
        mut self,
        started: oneshot::Sender<Result<(), StartError>>,
        cancel: CancellationToken,
    ) {
        let _farewell = Farewell(Arc::clone(&self.instance));
        let limits = self.engine.limits_of(&self.spec);
        let home = match Home::make(
            &self.engine,
            &self.spec.lifecycle,
            limits,
            self.spec.profile.as_ref(),
        )
        .await
        {
            Ok(home) => home,
            Err(e) => {
                self.ending().depart(1, StopReport::default());
                let _ = started.send(Err(e));
                return;
            }
        };
        let _ = self.instance.owner.set(Arc::clone(&home.owner));
        let nursery = self.engine.hunter.spawner.nursery();
        nursery.adopt_for(self.spec.lifecycle.clone(), Arc::clone(&home.owner));
        match self.launch(&home, cancel.cancelled()).await {
            Ok(browser) => {
                let _ = started.send(Ok(()));
                let end = self.supervise(&home, browser).await;
                self.ending().clean_up(home, end, Patience::AsLongAsItTakes).await;
            }
            Err(failed) => {
                let end = End { exit: Some(failed.cause), ..End::default() };
                let mut cleanup = pin!(self.ending().clean_up(home, end, Patience::Little));
                let late = tokio::time::timeout(ANSWER_WITHIN, &mut cleanup).await.is_err();
                let _ = started.send(Err(failed.error));
                if late {
                    cleanup.await;
                }
            }
        }
    }

    fn ending(&mut self) -> Ending<'_> {
        let Self { engine, instance, orders, outbox, .. } = self;
        Ending { engine, instance, orders, outbox }
    }

    /// The newest generation.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Starts the next generation.
    pub(crate) async fn launch(
        &mut self,
        home: &Home,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Browser, LaunchFailed> {
        self.generation += 1;
        self.oom_kills = oom_kills(home);
        self.outbox.push(DriverEvent::Starting { generation: self.generation });
        if self.generation > 1
            && let Err(e) = self.engine.hunter.kill(&home.owner).await
        {
            // Two browsers of one profile would spoil it.
            let error = StartError::Spawn(format!("of the last browser, {e}"));
            let (cause, uptime) = (Cause::UnknownExit, Duration::ZERO);
            return Err(LaunchFailed { error, cause, uptime });
        }
        self.instance.alive.send_replace(true);
        let mut orders = self.orders.clone();
        let interrupted = async {
            tokio::select! {
                () = cancelled => {}
                () = ordered(&mut orders) => {}
            }
        };
        let launched = self.engine.launch(&self.spec, home, &self.log, interrupted).await;
        match launched {
            Ok(Answering { browser, url, product, start_time }) => {
                // Learn who left the browser's session while they can still be asked.
                self.engine.hunter.tidy().await;
                let pid = u32::try_from(browser.child.pid()).ok();
                let generation = self.generation;
                self.instance.set_url(Some(url.clone()));
                self.outbox.push(DriverEvent::Ready { generation, url, product, pid, start_time });
                Ok(browser)
            }
            Err(failed) => {
                self.instance.alive.send_replace(false);
                Err(failed)
            }
        }
    }

    /// Keeps a browser running until the end is ordered.
    async fn supervise(&mut self, home: &Home, browser: Browser) -> End {
        let instance = Arc::clone(&self.instance);
        let mut state = State::Running(browser);
        let mut end = End::default();
        loop {
            state = match state {
                State::Running(browser) => match self.until_end(home, &browser).await {
                    Next::Ordered => {
                        end = self.stop_browser(home, browser, None).await;
                        State::Still
                    }
                    Next::Restart(restart) => self.restart(home, browser, restart).await,
                    Next::Ended(cause) => {
                        let uptime = browser.spawned.elapsed();
                        let next = self.handle_end(cause, false, uptime);
                        self.engine.bury(home, browser).await;
                        self.instance.alive.send_replace(false);
                        end.exit = Some(cause);
                        next
                    }
                },
                State::Waiting(delay) => {
                    // Nobody must be told of a generation before they know of the last one's end.
                    let pause = async {
                        tokio::time::sleep(delay).await;
                        self.outbox.delivered().await;
                    };
                    tokio::select! {
                        biased;
                        () = ordered(&mut self.orders) => State::Still,
                        restart = instance.desk.next() => self.start_as_asked(home, restart).await,
                        () = pause => match self.launch(home, std::future::pending()).await {
                            Ok(browser) => State::Running(browser),
                            Err(failed) => {
                                tracing::warn!(lifecycle = %self.spec.lifecycle,
                                    error = %failed.error, "a relaunch failed");
                                let cancelled = failed.error == StartError::Cancelled;
                                self.handle_end(failed.cause, cancelled, failed.uptime)
                            }
                        },
                    }
                }
                State::Still => {
                    self.instance.note_closed(end.exit.unwrap_or(Cause::UnknownExit));
                    // Nobody is left who could do what is asked for.
                    instance.desk.close();
                    tokio::select! {
                        biased;
                        _ = self.orders.wait_for(|orders| orders.stop.is_some()) => return end,
                        () = deliver_for_ever(&mut self.outbox) => State::Still,
                    }
                }
            }
        }
    }

    /// Waits for the browser's own end, or for an order.
    async fn until_end(&mut self, home: &Home, browser: &Browser) -> Next {
        let instance = Arc::clone(&self.instance);
        let mut sample = tokio::time::interval(OOM_EVERY);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let engine = Arc::clone(&self.engine);
        let watch = async {
            match engine.watched_memory(&self.spec) {
                Some(limit) => engine.hunter.over(&home.owner, limit).await,
                None => std::future::pending().await,
            }
        };
        let mut watch = pin!(watch);
        let (mut over, mut seen) = (false, self.oom_kills);
        loop {
            tokio::select! {
                biased;
                // An end that nobody ordered comes first: it is a fact already.
                cause = browser.child.ended() => {
                    let cause = if over { Cause::OomKilled } else { self.refine(home, cause) };
                    return Next::Ended(cause);
                }
                () = ordered(&mut self.orders) => return Next::Ordered,
                restart = instance.desk.next() => return Next::Restart(restart),
                () = deliver_for_ever(&mut self.outbox) => {}
                used = &mut watch, if !over => {
                    tracing::warn!(lifecycle = %self.spec.lifecycle, used, "over its memory limit");
                    over = true;
                    browser.child.signal(Signal::KILL);
                }
                _ = sample.tick(), if home.owner.leaf().is_some() => {
                    // A kill counts before the end of the process is known. So it is a page's once the
                    // browser has outlived it by a sample.
                    let killed = seen.saturating_sub(self.oom_kills);
                    if killed > 0 {
                        tracing::warn!(lifecycle = %self.spec.lifecycle, killed,
                            "the kernel ended pages for lack of memory");
                        self.outbox.push(DriverEvent::RendererOom { killed });
                        self.oom_kills = seen;
                    }
                    seen = oom_kills(home);
                }
            }
        }
    }

    /// The kernel's memory kill looks like any other SIGKILL, but it is counted.
    fn refine(&self, home: &Home, cause: Cause) -> Cause {
        let killed = cause == (Cause::Signalled { signal: Signal::KILL.as_raw() });
        if killed && oom_kills(home) > self.oom_kills { Cause::OomKilled } else { cause }
    }

    pub(crate) fn push_exit(
        &mut self,
        cause: Cause,
        expected: bool,
        uptime: Duration,
        relaunch_in: Option<Duration>,
    ) {
        let generation = self.generation;
        self.instance.set_url(None);
        let event = DriverEvent::BrowserExited { generation, cause, expected, uptime, relaunch_in };
        self.outbox.push(event);
    }

    /// A browser ended before this task told it to.
    pub(crate) fn handle_end(&mut self, cause: Cause, by_us: bool, uptime: Duration) -> State {
        let orders = *self.orders.borrow();
        if orders.ends() {
            // A kill works beside this task, so that end was ordered; a stop has only just come.
            self.push_exit(cause, by_us || orders.killed, uptime, None);
            return State::Still;
        }
        let now = Instant::now().into_std();
        match self.policy.handle_end(now, cause, chance()) {
            Decision::Relaunch(delay) => {
                self.push_exit(cause, false, uptime, Some(delay));
                State::Waiting(delay)
            }
            Decision::Gone(why) => {
                self.push_exit(cause, false, uptime, None);
                self.push_gone(cause, why);
                State::Still
            }
        }
    }

    fn push_gone(&mut self, cause: Cause, why: GoneWhy) {
        self.outbox.push(DriverEvent::Gone { cause, why });
    }
}

/// Waits until no browser may run any more.
pub(crate) async fn ordered(orders: &mut watch::Receiver<Orders>) {
    if orders.wait_for(Orders::ends).await.is_err() {
        // The sender lives in the instance, which this task holds.
        std::future::pending().await
    }
}

/// Delivers events in the background of a wait.
pub(crate) async fn deliver_for_ever(outbox: &mut Outbox) {
    outbox.delivered().await;
    std::future::pending().await
}

fn oom_kills(home: &Home) -> u64 {
    home.owner.leaf().map_or(0, super::cgroup::Leaf::oom_kills)
}

/// A random number of 0 to 1.
pub(crate) fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
