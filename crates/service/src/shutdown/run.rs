//! Walks the plan: runs each step's work, watches signals, services and the clock meanwhile.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use telemetry::fields;
use telemetry::words::DrainOutcome;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::beats::{EXTEND_BY, EXTEND_EVERY, progress_pause};
use super::closers::{Closer, CloserReports, close_all};
use super::notify::{Notice, Notifier};
use super::observe::{DrainMetrics, ShutdownFact, ShutdownObserver, Trigger, log, status_line};
use super::phases::{Blocker, DrainPhases, DrainProgress, Faults, ForceCause};
use super::plan::{Event, Next, Plan};
use super::report::{Failure, ShutdownReport};
use super::settings::ShutdownSettings;
use super::step::Step;
use super::work::{Work, apart, inline, next_end};
use crate::ExitStatus;
use crate::service::{
    ABORT_BOUND, Criticals, LastRite, Request, ShutdownState, failure_at_the_end,
};
use crate::signals::{Heard, SignalSource};

/// Everyone who is told.
pub(crate) struct Voice {
    pub(crate) metrics: DrainMetrics,
    pub(crate) notifier: Arc<dyn Notifier>,
    pub(crate) observers: Vec<Box<dyn ShutdownObserver>>,
    pub(crate) state: Arc<watch::Sender<ShutdownState>>,
}

impl Voice {
    fn tell(&mut self, fact: &ShutdownFact) {
        log(fact);
        self.metrics.observe(fact);
        self.notifier.notify(&[Notice::Status(status_line(fact))]);
        for observer in &mut self.observers {
            observer.observe(fact);
        }
    }
}

/// What a shutdown needs from the service around it.
pub(crate) struct Shutdown<'a> {
    pub(crate) settings: ShutdownSettings,
    pub(crate) phases: Arc<dyn DrainPhases>,
    pub(crate) closers: Vec<Closer>,
    pub(crate) last_rites: Vec<LastRite>,
    pub(crate) criticals: &'a mut Criticals,
    pub(crate) signals: &'a mut dyn SignalSource,
    pub(crate) requests: watch::Receiver<Request>,
    pub(crate) voice: &'a mut Voice,
    pub(crate) failures: Vec<Failure>,
}

/// What only lives while it runs.
struct Running {
    plan: Plan,
    trigger: Trigger,
    began: Instant,
    step: Option<Step>,
    entered: Instant,
    steps: Vec<(Step, Duration)>,
    work: Option<Work>,
    kills: JoinSet<()>,
    faults: Faults,
    closed: CloserReports,
    close_until: Option<Instant>,
    left: (Vec<Blocker>, u64),
    at_once: bool,
    next_progress: Instant,
    next_extend: Instant,
    watchdog: Option<(Duration, Instant)>,
}

impl Shutdown<'_> {
    /// Runs the whole shutdown. The process can exit when it returns.
    pub(crate) async fn run(mut self, trigger: Trigger) -> ShutdownReport {
        let now = Instant::now();
        let worth_announcing = self.phases.worth_announcing();
        let plan = Plan::new(self.settings.clone(), worth_announcing, now.into_std());
        let mut run = Running {
            plan,
            trigger,
            began: now,
            step: None,
            entered: now,
            steps: Vec::new(),
            work: None,
            kills: JoinSet::new(),
            faults: Faults::new(),
            closed: CloserReports::default(),
            close_until: None,
            left: (Vec::new(), 0),
            at_once: false,
            next_progress: now,
            next_extend: now + EXTEND_EVERY,
            watchdog: self.voice.notifier.watchdog().map(|every| (every / 2, now + every / 2)),
        };
        self.voice.notifier.notify(&[Notice::Stopping, Notice::MoreTime(EXTEND_BY)]);
        if let Some(step) = run.plan.step() {
            let (budget, drain) = (self.settings.budget(), self.settings.drain);
            let progress = self.phases.progress();
            self.voice.tell(&ShutdownFact::Started { trigger, budget, drain, step, progress });
            self.enter(&mut run, step);
        }
        loop {
            let Some(event) = self.next_event(&mut run).await else { continue };
            match run.plan.handle(event, Instant::now().into_std()) {
                Next::Stay => {}
                Next::Enter(step) => {
                    run.leave();
                    self.enter(&mut run, step);
                }
                Next::KillAll => {
                    tracing::warn!("cleanup takes too long, killing every process");
                    let phases = Arc::clone(&self.phases);
                    run.kills.spawn(async move { phases.kill_all().await });
                }
                Next::AtOnce => {
                    run.leave();
                    self.end_at_once(&mut run);
                }
                Next::End => break,
            }
        }
        self.finish(run).await
    }

    /// What happened next; `None` for what the plan need not know.
    async fn next_event(&mut self, run: &mut Running) -> Option<Event> {
        let until = run.plan.until().map(Instant::from_std);
        let beat = run.next_beat();
        tokio::select! {
            biased;
            // First, so that work that ends at its deadline counts as ended.
            done = next_end(&mut run.work) => Some(self.work_ended(run, done)),
            heard = self.signals.next() => match heard {
                Heard::Second => Some(Event::Hurry(ForceCause::SecondSignal)),
                Heard::Third => Some(Event::AtOnce),
                Heard::Start | Heard::First | Heard::Repeat | Heard::Ignored => None,
            },
            Ok(()) = self.requests.changed() => match *self.requests.borrow_and_update() {
                Request::Force => Some(Event::Hurry(ForceCause::Api)),
                Request::None | Request::Begin => None,
            },
            end = self.criticals.next() => {
                let failure = match run.close_until {
                    Some(_) => failure_at_the_end(end),
                    None => Some(end.too_early()),
                };
                if let Some(failure) = failure {
                    tracing::error!({ fields::PART } = failure.name, "{failure}");
                    self.failures.push(failure);
                }
                None
            }
            () = sleep_until(until.unwrap_or(run.began)), if until.is_some() => Some(Event::Timeout),
            () = sleep_until(beat) => {
                self.beat(run);
                None
            }
        }
    }

    fn work_ended(&mut self, run: &mut Running, done: Result<(), String>) -> Event {
        match done {
            Ok(()) => Event::Done,
            Err(text) => {
                let name = run.plan.step().map_or("at_once", Step::as_str);
                tracing::error!({ fields::DRAIN_PHASE } = name, "{name} panicked: {text}");
                self.failures.push(Failure { name, text: format!("panicked: {text}") });
                Event::Broke
            }
        }
    }

    /// Begins a step's work.
    fn enter(&mut self, run: &mut Running, step: Step) {
        let now = Instant::now();
        (run.step, run.entered) = (Some(step), now);
        let (drain_by, forced) = (run.plan.drain_by().map(Instant::from_std), run.plan.forced());
        let trigger = run.trigger;
        self.voice.state.send_replace(ShutdownState::Ending { trigger, step, drain_by, forced });
        match (step, forced) {
            (Step::Closers, _) => self.drained(run),
            (Step::ForceStop, Some(cause)) => {
                let (elapsed, progress) = (run.began.elapsed(), self.phases.progress());
                self.voice.tell(&ShutdownFact::Forced { cause, elapsed, progress });
            }
            (step, _) => self.progress(run, step),
        }
        let phases = Arc::clone(&self.phases);
        let until = run.plan.until().map_or(now, Instant::from_std);
        run.work = Some(match step {
            Step::Announce => inline(async move {
                phases.announce(until);
                pending().await
            }),
            Step::ServerGate => inline(async move { phases.close_server_gate(drain_by) }),
            Step::WaitAdmitted => inline(async move { phases.wait_admitted().await }),
            Step::FactoryGate => inline(async move { phases.close_factory_gate() }),
            Step::WaitStarts => inline(async move { phases.wait_starts().await }),
            Step::Pool => inline(async move { phases.end_pool().await }),
            Step::WaitLive => inline(async move { phases.wait_live().await }),
            Step::WaitCleanup => inline(async move { phases.wait_cleanup().await }),
            Step::ForceStop => {
                let cause = forced.unwrap_or(ForceCause::Deadline);
                let faults = run.faults.clone();
                apart(async move {
                    phases.close_server_gate(Some(now));
                    phases.close_factory_gate();
                    phases.force_stop(cause, faults).await;
                })
            }
            Step::Closers => {
                run.close_until = Some(until);
                let (closers, close) = (std::mem::take(&mut self.closers), self.settings.close);
                apart(close_all(closers, close, run.closed.clone()))
            }
        });
    }

    /// The third signal: no cleanup, no waiting, only death and what must not be lost.
    fn end_at_once(&mut self, run: &mut Running) {
        run.at_once = true;
        tracing::warn!("ending at once, nothing is cleaned up");
        let phases = Arc::clone(&self.phases);
        let rites = std::mem::take(&mut self.last_rites);
        run.work = Some(apart(async move {
            phases.close_server_gate(Some(Instant::now()));
            phases.close_factory_gate();
            let mut all = JoinSet::new();
            all.spawn(async move { phases.kill_all().await });
            for rite in rites {
                all.spawn(rite.run);
            }
            while let Some(done) = all.join_next().await {
                if let Err(error) = done {
                    tracing::error!(error = %error, "at the end");
                }
            }
        }));
    }

    /// The daemon's work is over, one way or the other.
    fn drained(&mut self, run: &mut Running) {
        let forced = run.plan.forced();
        if forced.is_some() {
            run.left = what_is_left(self.phases.progress());
        }
        let errors = (self.failures.len() + run.faults.list().len()) as u64;
        let (failed, left) = (!self.failures.is_empty(), run.left.1 > 0);
        let outcome = match (failed || left, forced) {
            (true, _) => DrainOutcome::Failed,
            (false, Some(_)) => DrainOutcome::Forced,
            (false, None) => DrainOutcome::Clean,
        };
        let exit = ExitStatus::decide(failed, left);
        let (elapsed, totals) = (run.began.elapsed(), self.phases.totals());
        self.voice.tell(&ShutdownFact::Drained { outcome, exit, elapsed, totals, errors });
    }

    fn progress(&mut self, run: &mut Running, step: Step) {
        let (elapsed, progress) = (run.began.elapsed(), self.phases.progress());
        run.next_progress = Instant::now() + progress_pause(elapsed);
        self.voice.tell(&ShutdownFact::Progress { step, elapsed, progress });
    }

    fn beat(&mut self, run: &mut Running) {
        let now = Instant::now();
        if now >= run.next_extend {
            run.next_extend = now + EXTEND_EVERY;
            self.voice.notifier.notify(&[Notice::MoreTime(EXTEND_BY)]);
        }
        if let Some((every, at)) = &mut run.watchdog
            && now >= *at
        {
            *at = now + *every;
            self.voice.notifier.notify(&[Notice::Alive]);
        }
        if now >= run.next_progress {
            match run.plan.step() {
                Some(Step::Closers) | None => run.next_progress = now + EXTEND_EVERY,
                Some(step) => self.progress(run, step),
            }
        }
    }

    async fn finish(mut self, mut run: Running) -> ShutdownReport {
        run.leave();
        if run.at_once {
            run.left = what_is_left(self.phases.progress());
        }
        let until = run.close_until.filter(|_| !run.at_once).unwrap_or_else(Instant::now);
        let mut stuck = self.criticals.finish(until, &mut self.failures).await;
        if run.at_once {
            // They were not told to end, so that they have not is no news.
            stuck.clear();
        }
        run.kills.abort_all();
        let gone = async { while run.kills.join_next().await.is_some() {} };
        let _ = timeout(ABORT_BOUND, gone).await;
        let (left, left_count) = run.left;
        ShutdownReport {
            trigger: run.trigger,
            steps: run.steps,
            forced: run.plan.forced(),
            at_once: run.at_once,
            faults: run.faults.list(),
            left,
            left_count,
            failures: self.failures,
            stuck,
            closers: run.closed.list(),
            took: run.began.elapsed(),
        }
    }
}

impl Running {
    /// Cuts the current step's work and notes how long the step took.
    fn leave(&mut self) {
        self.work = None;
        if let Some(step) = self.step.take() {
            self.steps.push((step, self.entered.elapsed()));
        }
    }

    fn next_beat(&self) -> Instant {
        let beat = self.next_progress.min(self.next_extend);
        self.watchdog.map_or(beat, |(_, at)| beat.min(at))
    }
}

fn what_is_left(progress: DrainProgress) -> (Vec<Blocker>, u64) {
    if progress.is_clear() {
        return (Vec::new(), 0);
    }
    let named = progress.blockers.len() as u64;
    let counted = progress.live + progress.starting + progress.saves;
    (progress.blockers, named.max(counted).max(1))
}
