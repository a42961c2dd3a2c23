//! Pure: makes sense of what a driver reports of one instance.
//!
//! Reports may come twice, late or out of order; each end and each start is passed on once, in the
//! order that readers need.

use std::time::{Duration, Instant};

use telemetry::words::{OomScope, StopReason};
use upstream::{Cause, Fact};

use crate::driver::{DriverEvent, GoneWhy};
use crate::lifecycle::Stop;
use crate::registry::{BrowserRecord, ENDS, EndedBrowser};

/// What to pass on, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// To the readers of the upstream state.
    Fact(Fact),
    /// A browser answers for the first time.
    Started(Started),
    /// It replaces one that ended.
    Restarted(Restarted),
    /// The kernel, or the watch over memory, ended so many processes for lack of it.
    OutOfMemory(OomScope, u64),
    /// A browser ended.
    Exited(Exited),
    /// A browser will be started in place of the one that ended.
    Relaunching,
    /// Its runner is ready.
    RunnerReady(RunnerReady),
    /// Its runner ended.
    RunnerExited(RunnerExited),
    /// No browser will be started again.
    Gone(Stop),
}

/// A browser answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its number.
    pub generation: u64,
    /// From spawn to its first answer.
    pub start_time: Duration,
    /// What it says it is.
    pub product: String,
    /// Its process, where there is one.
    pub pid: Option<u32>,
}

/// A browser replaces one that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarted {
    /// Its number.
    pub generation: u64,
    /// The number of the one before.
    pub previous: u64,
    /// How that one ended.
    pub cause: Cause,
    /// How long there was none.
    pub down: Duration,
    /// Sessions that were open when it ended.
    pub sessions_cut: u64,
}

/// A browser ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exited {
    /// Its number.
    pub generation: u64,
    /// How.
    pub cause: Cause,
    /// Whether we ordered it.
    pub expected: bool,
    /// From spawn to end.
    pub uptime: Duration,
    /// Sessions that were open then.
    pub sessions: u64,
}

/// A runner is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerReady {
    /// Where it listens.
    pub url: String,
    /// Its process, where there is one.
    pub pid: Option<u32>,
    /// From spawn to ready.
    pub start_time: Duration,
}

/// A runner ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerExited {
    /// How.
    pub cause: Cause,
    /// Whether we ordered it.
    pub expected: bool,
    /// From spawn to end.
    pub uptime: Duration,
    /// When the next one starts; absent if none will.
    pub restart_in: Option<Duration>,
}

/// The browsers of one incarnation of a sandbox.
#[derive(Debug, Default)]
pub struct Browsers {
    newest: u64,
    ready: bool,
    last_end: Option<End>,
    gone: bool,
    /// The upstream has been told that nobody starts it again.
    given_up: bool,
    /// Another browser was asked for in place of the newest one.
    requested: bool,
    record: BrowserRecord,
}

#[derive(Debug, Clone, Copy)]
struct End {
    generation: u64,
    cause: Cause,
    at: Instant,
    sessions: u64,
}

impl Browsers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether one answers now.
    pub fn is_ready(&self) -> bool {
        self.ready && !self.gone
    }

    /// For answers to users.
    pub fn record(&self) -> &BrowserRecord {
        &self.record
    }

    /// How the latest one that has ended did end.
    pub fn last_cause(&self) -> Option<Cause> {
        self.last_end.map(|end| end.cause)
    }

    /// Takes a report. `sessions` are open now.
    pub fn handle(&mut self, event: DriverEvent, now: Instant, sessions: u64) -> Vec<Told> {
        let mut told = Vec::new();
        if self.gone {
            return told;
        }
        match event {
            DriverEvent::Starting { generation } => self.starting(generation, &mut told),
            DriverEvent::Ready { generation, url, product, pid, start_time } => {
                if generation < self.newest || self.has_ended(generation) {
                    return told;
                }
                self.starting(generation, &mut told);
                if self.ready {
                    return told;
                }
                self.ready = true;
                self.record.product = Some(product.clone());
                told.push(Told::Fact(Fact::Ready { url }));
                told.push(Told::Started(Started { generation, start_time, product, pid }));
                if let Some(end) = self.last_end {
                    told.push(Told::Restarted(Restarted {
                        generation,
                        previous: end.generation,
                        cause: end.cause,
                        down: now.saturating_duration_since(end.at),
                        sessions_cut: end.sessions,
                    }));
                }
            }
            DriverEvent::RendererOom { killed } => {
                told.push(Told::OutOfMemory(OomScope::Renderer, killed));
            }
            DriverEvent::RestartRequested { generation } => {
                if generation == self.newest && !self.has_ended(generation) {
                    self.requested = true;
                    told.push(Told::Fact(Fact::RestartRequested));
                }
            }
            DriverEvent::BrowserExited { generation, cause, expected, uptime, relaunch_in } => {
                if self.last_end.is_some_and(|end| generation <= end.generation) {
                    return told;
                }
                if generation > self.newest {
                    self.starting(generation, &mut told);
                }
                // Its end was wanted: that is its cause, whatever signal did it.
                let wanted = self.requested && generation == self.newest;
                let why = if wanted { Cause::RestartRequested } else { cause };
                self.requested &= !wanted;
                self.last_end = Some(End { generation, cause: why, at: now, sessions });
                self.record.crashes += u64::from(!expected);
                if self.record.ended.len() == ENDS {
                    self.record.ended.pop_front();
                }
                let ended = EndedBrowser { generation, cause: why, expected, uptime };
                self.record.ended.push_back(ended);
                if generation == self.newest {
                    self.ready = false;
                    // That nobody will start it again is known now, and sessions must not be told to
                    // come back in the time until the driver says that all of it is gone.
                    let for_good = !expected && relaunch_in.is_none();
                    self.given_up = for_good;
                    told.push(Told::Fact(match for_good {
                        true => Fact::GaveUp { cause },
                        false => Fact::Ended { cause },
                    }));
                } else {
                    told.push(Told::Fact(Fact::EndedOf { generation, cause }));
                }
                if cause == Cause::OomKilled {
                    told.push(Told::OutOfMemory(OomScope::Browser, 1));
                }
                told.push(Told::Exited(Exited { generation, cause, expected, uptime, sessions }));
                if relaunch_in.is_some() {
                    told.push(Told::Relaunching);
                }
            }
            DriverEvent::RunnerReady { url, pid, start_time } => {
                told.push(Told::RunnerReady(RunnerReady { url, pid, start_time }));
            }
            DriverEvent::RunnerExited { cause, expected, uptime, restart_in } => {
                let exited = RunnerExited { cause, expected, uptime, restart_in };
                told.push(Told::RunnerExited(exited));
            }
            DriverEvent::Gone { cause, why } => {
                self.gone = true;
                self.ready = false;
                if !self.given_up {
                    told.push(Told::Fact(Fact::GaveUp { cause }));
                }
                told.push(Told::Gone(gone_stop(cause, &why)));
            }
        }
        told
    }

    fn starting(&mut self, generation: u64, told: &mut Vec<Told>) {
        if generation <= self.newest {
            return;
        }
        if self.ready {
            // The end of the one before was not reported, but two do not run at once.
            told.push(Told::Fact(Fact::Ended { cause: Cause::UnknownExit }));
        }
        self.newest = generation;
        self.ready = false;
        self.record.generation = generation;
        told.push(Told::Fact(Fact::Starting));
    }

    fn has_ended(&self, generation: u64) -> bool {
        self.last_end.is_some_and(|end| generation <= end.generation)
    }
}

fn gone_stop(cause: Cause, why: &GoneWhy) -> Stop {
    match why {
        GoneWhy::Closed => Stop::new(StopReason::BrowserClosed, format!("browser {cause}")),
        GoneWhy::Crashed if cause == Cause::OomKilled => {
            Stop::new(StopReason::Oom, "the kernel's memory killer ended the browser")
        }
        GoneWhy::Crashed => Stop::new(StopReason::BrowserCrashed, format!("browser {cause}")),
        GoneWhy::GaveUp(causes) => {
            let list: Vec<_> = causes.iter().map(ToString::to_string).collect();
            let detail = format!("{} ends in a row: {}", list.len(), list.join(", "));
            Stop::new(StopReason::BrowserGaveUp, detail)
        }
    }
}

#[cfg(test)]
mod tests;
