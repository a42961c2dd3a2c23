//! Pure: turns what is known of the browser into events: each instance starts once and ends once.

use std::time::{Duration, Instant};

use telemetry::events::{BrowserExited, BrowserRestarted, BrowserStarted};
use telemetry::value::{Id, Millis};
use telemetry::words::{Exit, ExitKind, RequestedBy, UpstreamSource};
use upstream::{Cause, Ended, UpstreamState};

/// How long before a browser is seen to have ended its sessions may have: it takes its sockets with
/// it, and then two questions that nobody answers follow.
const SOCKETS_FIRST: Duration = Duration::from_secs(1);

/// What to tell, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// An instance answers.
    Started(BrowserStarted),
    /// An instance is gone.
    Exited(BrowserExited),
    /// An instance took over from another one.
    Restarted(BrowserRestarted),
}

/// The instances so far.
#[derive(Debug)]
pub(crate) struct History {
    lifecycle: Id,
    source: UpstreamSource,
    running: Option<Running>,
    past: Option<Past>,
    lost: Option<Lost>,
}

/// The sessions of an instance when one of them lost its browser.
#[derive(Debug, Clone, Copy)]
struct Lost {
    generation: u64,
    at: Instant,
    sessions: u64,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    generation: u64,
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Past {
    generation: u64,
    /// `None`: it still answered when the next one came.
    end: Option<Ended>,
    at: Instant,
    sessions: u64,
}

impl History {
    /// Nothing is known yet.
    pub(crate) fn new(lifecycle: Id, source: UpstreamSource) -> Self {
        Self { lifecycle, source, running: None, past: None, lost: None }
    }

    /// A session has lost its browser, or could not reach it. It is still counted, and may not be
    /// any more when the browser is seen to have ended.
    pub(crate) fn handle_lost(&mut self, now: Instant, sessions: impl Fn(u64) -> u64) {
        let Some(running) = self.running else { return };
        let sessions = sessions(running.generation).max(self.cut(running.generation, now));
        self.lost = Some(Lost { generation: running.generation, at: now, sessions });
    }

    /// The sessions of an instance that were lost a moment ago.
    fn cut(&self, generation: u64, now: Instant) -> u64 {
        let recent = |lost: &Lost| {
            lost.generation == generation && now.saturating_duration_since(lost.at) <= SOCKETS_FIRST
        };
        self.lost.filter(recent).map_or(0, |lost| lost.sessions)
    }

    /// Takes a state. States in between may have been skipped. `sessions` says how many sessions of
    /// an instance are open now.
    ///
    /// An instance that was thought to have ended and answers after all is told as started again:
    /// the end that was told cannot be taken back.
    pub(crate) fn handle(
        &mut self,
        state: &UpstreamState,
        now: Instant,
        sessions: impl Fn(u64) -> u64,
    ) -> Vec<Told> {
        let mut told = Vec::new();
        if let Some(running) = self.running {
            let sessions = || sessions(running.generation).max(self.cut(running.generation, now));
            if let Some(end) = state.end_of(running.generation) {
                let sessions = sessions();
                self.running = None;
                self.past = Some(Past {
                    generation: running.generation,
                    end: Some(end),
                    at: end.at,
                    sessions,
                });
                told.push(Told::Exited(BrowserExited {
                    lifecycle_id: Some(self.lifecycle.clone()),
                    generation: running.generation,
                    exit: exit(end.cause),
                    expected: end.cause == Cause::RestartRequested,
                    uptime_ms: Some(Millis(end.at.saturating_duration_since(running.since))),
                    sessions,
                }));
            } else if state.generation > running.generation {
                let sessions = sessions();
                self.running = None;
                self.past =
                    Some(Past { generation: running.generation, end: None, at: now, sessions });
            }
        }
        if state.is_ready() && self.running.is_none() {
            self.running = Some(Running { generation: state.generation, since: now });
            told.push(Told::Started(BrowserStarted {
                lifecycle_id: Some(self.lifecycle.clone()),
                generation: state.generation,
                upstream_source: self.source,
                start_ms: None,
                adopted: true,
                product: None,
                pid: None,
            }));
            let before = self.past.take().filter(|past| past.generation < state.generation);
            if let Some(past) = before {
                told.push(Told::Restarted(BrowserRestarted {
                    lifecycle_id: Some(self.lifecycle.clone()),
                    generation: state.generation,
                    previous_generation: past.generation,
                    exit: past.end.map(|end| exit(end.cause)),
                    down_ms: Millis(now.saturating_duration_since(past.at)),
                    sessions_cut: past.sessions,
                    requested_by: RequestedBy::Other,
                }));
            }
        }
        told
    }
}

fn exit(cause: Cause) -> Exit {
    match cause {
        Cause::Exited { code } => Exit::exited(code),
        Cause::Signalled { signal } => Exit::signalled(signal),
        Cause::OomKilled => Exit::of(ExitKind::OomKilled),
        Cause::RestartRequested => Exit::of(ExitKind::RestartRequested),
        Cause::StartTimeout => Exit::of(ExitKind::StartTimeout),
        Cause::UnknownExit => Exit::of(ExitKind::UnknownExit),
    }
}

#[cfg(test)]
mod tests;
