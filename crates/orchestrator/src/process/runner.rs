//! The life of one runner: one task that starts, watches, restarts and ends it.
//!
//! It is an instance of its own beside the browser's, with a user, a control group and folders of its
//! own: whatever ends everything of the browser leaves it alone, and the other way round.

use std::net::{Ipv4Addr, TcpListener};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use upstream::Cause;

use super::cleanup::{Ending, Patience};
use super::config::Limits;
use super::ending::terminate;
use super::engine::Engine;
use super::instance::{Farewell, Instance, Orders};
use super::launch::{Browser, Home, Program, tail};
use super::log_ring::LogRing;
use super::outbox::Outbox;
use super::relaunch::{Decision, Policy};
use super::spawner::Says;
use super::supervise::{End, chance, deliver_for_ever, ordered};
use crate::driver::{DriverEvent, LaunchSpec, LifecycleId, RunnerSpec, StartError, StopReport};

mod ready;

/// What tells a runner's instance from its browser's.
const SUFFIX: &str = "-runner";

/// The instance of the runner of another instance.
pub(crate) fn instance_of(lifecycle: &LifecycleId) -> LifecycleId {
    LifecycleId::new(format!("{lifecycle}{SUFFIX}"))
}

/// What the task needs.
#[derive(Debug)]
pub(crate) struct Runner {
    engine: Arc<Engine>,
    instance: Arc<Instance>,
    spec: RunnerSpec,
    limits: Limits,
    /// The limit that nothing but this task holds it to.
    watched: Option<u64>,
    orders: watch::Receiver<Orders>,
    outbox: Outbox,
    log: Arc<Mutex<LogRing>>,
    policy: Policy,
}

/// What one process of it came to.
enum Over {
    /// It was told to end.
    Ordered(End),
    /// It ended by itself, was not ready in time, or could not be made.
    Ended { cause: Cause, uptime: Duration, why: String },
}

type Started = oneshot::Sender<Result<(), StartError>>;

impl Runner {
    pub(crate) fn new(
        engine: Arc<Engine>,
        instance: Arc<Instance>,
        beside: &LaunchSpec,
        spec: RunnerSpec,
        outbox: Outbox,
    ) -> Self {
        // Whether it ended with code 0 or otherwise makes no difference.
        let policy = Policy::new(spec.on_exit, spec.on_exit, beside.crash_max, beside.crash_window);
        let (orders, log) = (instance.orders(), Arc::clone(&instance.log));
        let limits = engine.limits_of(beside);
        let watched = engine.watched_memory(beside);
        Self { engine, instance, spec, limits, watched, orders, outbox, log, policy }
    }

    /// Runs it from its start until nothing of it is left. `started` hears when it is ready, or, if
    /// it is not required, at once.
    pub(crate) async fn run(mut self, started: Started) {
        let _farewell = Farewell(Arc::clone(&self.instance));
        let lifecycle = self.instance.lifecycle.clone();
        let home = match Home::make(&self.engine, &lifecycle, self.limits, None).await {
            Ok(home) => home,
            Err(e) => {
                self.ending().depart(1, StopReport::default());
                let _ = started.send(Err(StartError::Runner(format!("cannot be started: {e}"))));
                return;
            }
        };
        let _ = self.instance.owner.set(Arc::clone(&home.owner));
        let nursery = self.engine.hunter.spawner.nursery();
        nursery.adopt_for(lifecycle, Arc::clone(&home.owner));
        let mut started = Some(started);
        if !self.spec.required {
            answer(&mut started, Ok(()));
        }
        let (end, failed) = self.keep(&home, &mut started).await;
        let Some(started) = started else {
            return self.ending().clean_up(home, end, Patience::AsLongAsItTakes).await;
        };
        self.ending().clean_up(home, end, Patience::Little).await;
        let _ = started.send(Err(failed.map_or(StartError::Cancelled, StartError::Runner)));
    }

    /// Keeps one running until its end is ordered, or until the first has failed while somebody
    /// waits for it; why it has.
    async fn keep(&mut self, home: &Home, started: &mut Option<Started>) -> (End, Option<String>) {
        let (mut end, mut delay) = (End::default(), Duration::ZERO);
        loop {
            let pause = async {
                tokio::time::sleep(delay).await;
                self.outbox.delivered().await;
            };
            tokio::select! {
                biased;
                () = ordered(&mut self.orders) => return (end, None),
                () = pause => {}
            }
            let (cause, uptime, why) = match self.live(home, started).await {
                Over::Ordered(end) => return (end, None),
                Over::Ended { cause, uptime, why } => (cause, uptime, why),
            };
            end.exit = Some(cause);
            let orders = *self.orders.borrow();
            if orders.ends() {
                self.push_exit(cause, orders.killed, uptime, None);
                return (end, None);
            }
            tracing::warn!(lifecycle = %self.instance.lifecycle, %cause, "a runner {why}");
            if started.is_some() {
                return (end, Some(why));
            }
            match self.policy.handle_end(Instant::now().into_std(), cause, chance()) {
                Decision::Relaunch(next) => {
                    self.push_exit(cause, false, uptime, Some(next));
                    delay = next;
                }
                Decision::Gone(_) => {
                    self.push_exit(cause, false, uptime, None);
                    tokio::select! {
                        biased;
                        () = ordered(&mut self.orders) => {}
                        () = deliver_for_ever(&mut self.outbox) => {}
                    }
                    return (end, None);
                }
            }
        }
    }

    /// One process, from its start to its end.
    async fn live(&mut self, home: &Home, started: &mut Option<Started>) -> Over {
        let spawned = Instant::now();
        let not_made = |e: std::io::Error| Over::Ended {
            cause: Cause::UnknownExit,
            uptime: spawned.elapsed(),
            why: format!("cannot be started: {e}"),
        };
        let port = match free_port() {
            Ok(port) => port,
            Err(e) => return not_made(e),
        };
        let mut env = self.spec.env.clone();
        env.push(("PORT".to_owned(), port.to_string()));
        let program = Program {
            path: self.spec.program.clone().into(),
            args: self.spec.args.iter().map(Into::into).collect(),
            env,
            says: Says::Everything,
        };
        let killed_before = oom_kills(home);
        self.instance.alive.send_replace(true);
        let process = match self.engine.begin(home, program, self.limits, &self.log).await {
            // It announces nothing: it is told where to listen.
            Ok((process, _)) => process,
            Err(e) => {
                self.instance.alive.send_replace(false);
                return not_made(e);
            }
        };
        if let Err(e) = self.engine.recorded(&self.instance.lifecycle, home, &process).await {
            tracing::warn!(lifecycle = %self.instance.lifecycle, error = %e, "record of a runner");
        }
        let path = self.spec.ready_path.clone();
        let mut ready = pin!(ready::answers(port, &path));
        let (engine, watched) = (Arc::clone(&self.engine), self.watched);
        let mut watch = pin!(async {
            match watched {
                Some(limit) => engine.hunter.over(&home.owner, limit).await,
                None => std::future::pending().await,
            }
        });
        let mut over = false;
        let (deadline, mut is_ready) = (spawned + self.spec.start_timeout, false);
        let ended = loop {
            tokio::select! {
                biased;
                cause = process.child.ended() => break Some(cause),
                () = ordered(&mut self.orders) => {
                    return Over::Ordered(self.stop(home, process).await);
                }
                () = &mut ready, if !is_ready => {
                    is_ready = true;
                    let url = format!("http://127.0.0.1:{port}");
                    let pid = u32::try_from(process.child.pid()).ok();
                    let start_time = spawned.elapsed();
                    self.outbox.push(DriverEvent::RunnerReady { url, pid, start_time });
                    answer(started, Ok(()));
                }
                () = tokio::time::sleep_until(deadline), if !is_ready => break None,
                used = &mut watch, if !over => {
                    tracing::warn!(lifecycle = %self.instance.lifecycle, used, "over its memory limit");
                    over = true;
                    process.child.signal(Signal::KILL);
                }
                () = deliver_for_ever(&mut self.outbox) => {}
            }
        };
        let uptime = spawned.elapsed();
        self.bury(home, process).await;
        let (what, log) = (self.spec.ready_path.as_str(), tail(&self.log));
        match ended {
            Some(cause) => {
                let killed = cause == (Cause::Signalled { signal: Signal::KILL.as_raw() });
                let oom = over || killed && oom_kills(home) > killed_before;
                let cause = if oom { Cause::OomKilled } else { cause };
                Over::Ended {
                    cause,
                    uptime,
                    why: format!("ended ({cause}); its last words: {log}"),
                }
            }
            None => Over::Ended {
                cause: Cause::StartTimeout,
                uptime,
                why: format!(
                    "did not answer GET {what} on its PORT with 2xx within {:?}; its last words: \
                     {log}",
                    self.spec.start_timeout
                ),
            },
        }
    }

    /// SIGTERM, the grace, then force.
    async fn stop(&mut self, home: &Home, process: Browser) -> End {
        let began = Instant::now();
        if !self.orders.borrow().killed {
            terminate(&process);
        }
        let cause = loop {
            let grace = self.orders.borrow_and_update().grace(self.engine.stop_grace);
            tokio::select! {
                biased;
                cause = process.child.ended() => break Some(cause),
                () = tokio::time::sleep_until(began + grace) => break None,
                // Another order may shorten the grace.
                _ = self.orders.changed() => {}
            }
        };
        let (grace, uptime) = (began.elapsed(), process.spawned.elapsed());
        let exit = cause.unwrap_or(self.bury(home, process).await);
        self.push_exit(exit, true, uptime, None);
        End { exit: Some(exit), grace, began: Some(began) }
    }

    async fn bury(&self, home: &Home, process: Browser) -> Cause {
        let cause = self.engine.bury(home, process).await;
        self.instance.alive.send_replace(false);
        cause
    }

    fn push_exit(
        &mut self,
        cause: Cause,
        expected: bool,
        uptime: Duration,
        restart_in: Option<Duration>,
    ) {
        self.outbox.push(DriverEvent::RunnerExited { cause, expected, uptime, restart_in });
    }

    fn ending(&mut self) -> Ending<'_> {
        let Self { engine, instance, orders, outbox, .. } = self;
        Ending { engine, instance, orders, outbox }
    }
}

fn answer(started: &mut Option<Started>, outcome: Result<(), StartError>) {
    if let Some(started) = started.take() {
        // Whoever waited may have gone.
        let _ = started.send(outcome);
    }
}

fn oom_kills(home: &Home) -> u64 {
    home.owner.leaf().map_or(0, super::cgroup::Leaf::oom_kills)
}

/// A port that was free a moment ago. Who finds it taken ends, and is started again on another.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
