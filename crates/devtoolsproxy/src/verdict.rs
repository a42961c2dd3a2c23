//! Pure: the one reason of an ended session, decided from facts.
//!
//! Eight rules, the first that matches wins, and the last one always does once its time is over.
//! Nothing is filled in by default: each pair of words stands for a fact that was observed.

use std::time::Instant;

use telemetry::words::{ContextDetail, Detail, Reason};
use upstream::Cause;

use crate::facts::{Alive, ClientEnd, ContextEnd, End, Facts, Standing, TargetSeen, UpstreamEnd};

#[cfg(test)]
pub(crate) mod tests;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The side and kind.
    pub reason: Reason,
    /// The fact.
    pub detail: Detail,
}

impl Verdict {
    /// The verdict of a session that was cancelled.
    #[must_use]
    pub fn cancelled(detail: ContextDetail) -> Self {
        Self { reason: Reason::ContextCancelled, detail: detail.into() }
    }

    fn client(detail: Detail) -> Self {
        Self { reason: Reason::ClientClose, detail }
    }

    fn changed(detail: Detail) -> Self {
        Self { reason: Reason::UpstreamChanged, detail }
    }

    /// The verdict of a browser that failed or could not be reached.
    #[must_use]
    pub fn upstream(detail: Detail) -> Self {
        Self { reason: Reason::UpstreamError, detail }
    }
}

/// Every pair that a session or a refusal can end with.
///
/// A message over its limit and a side that does not read exist for both sides; the reason says
/// whose it was.
pub const PAIRS: &[(Reason, &[Detail])] = &[
    (
        Reason::ClientClose,
        &[
            Detail::ClientClosed,
            Detail::ClientVanished,
            Detail::ClientProtocolError,
            Detail::MessageTooLarge,
            Detail::WriteStalled,
        ],
    ),
    (
        Reason::UpstreamChanged,
        &[
            Detail::BrowserRestarted,
            Detail::Superseded,
            Detail::BrowserCrashed,
            Detail::BrowserOomKilled,
            Detail::BrowserClosed,
        ],
    ),
    (
        Reason::UpstreamError,
        &[
            Detail::BrowserCrashed,
            Detail::BrowserOomKilled,
            Detail::BrowserClosed,
            Detail::BrowserUnreachable,
            Detail::TargetClosed,
            Detail::UpstreamClosed,
            Detail::UpstreamVanished,
            Detail::UpstreamProtocolError,
            Detail::MessageTooLarge,
            Detail::WriteStalled,
        ],
    ),
    (
        Reason::ContextCancelled,
        &[
            Detail::SandboxDeleted,
            Detail::SandboxPaused,
            Detail::TtlExpired,
            Detail::NodeDrain,
            Detail::ForcedStop,
            Detail::AuthRevoked,
            Detail::RequestCancelled,
            Detail::IdleTimeout,
            Detail::InternalError,
            Detail::OverLimit,
        ],
    ),
];

/// What the facts allow to say now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The verdict. It is final.
    Given(Verdict),
    /// Ask the browser whether it is still the same and alive, then decide again.
    Ask,
    /// Decide again at any change of state, when a stop token is set, and then.
    Wait {
        /// The latest time to decide again.
        until: Instant,
    },
}

/// Decides why a session ended, or says which fact is still worth waiting for.
///
/// For every combination of facts at or after the confirm deadline the answer is
/// [`Decision::Given`].
#[must_use]
pub fn resolve(facts: &Facts<'_>) -> Decision {
    // 1: our own decision to end it dominates whatever the sockets did meanwhile.
    if let Some(detail) = facts.stop {
        return Decision::Given(Verdict::cancelled(detail));
    }
    // 2 and 3: ends that need no knowledge of the browser.
    let lost = match facts.end {
        End::Context(end) => return Decision::Given(context(*end)),
        End::Client(end) => return Decision::Given(client(*end)),
        End::Upstream(end) => match end {
            UpstreamEnd::Superseded => {
                return Decision::Given(Verdict::changed(Detail::Superseded));
            }
            UpstreamEnd::ProtocolError { .. } => {
                return Decision::Given(Verdict::upstream(Detail::UpstreamProtocolError));
            }
            UpstreamEnd::MessageTooLarge { .. } => {
                return Decision::Given(Verdict::upstream(Detail::MessageTooLarge));
            }
            UpstreamEnd::WriteStalled => {
                return Decision::Given(Verdict::upstream(Detail::WriteStalled));
            }
            UpstreamEnd::Closed { .. } => Detail::UpstreamClosed,
            UpstreamEnd::Lost => Detail::UpstreamVanished,
        },
    };
    match facts.standing() {
        // 4 to 6: the source of the browser knows.
        Standing::Newer => Decision::Given(Verdict::changed(changed_by(facts.how_it_ended()))),
        Standing::RestartRequested => Decision::Given(Verdict::changed(Detail::BrowserRestarted)),
        Standing::Gone(cause) => Decision::Given(Verdict::upstream(ended_by(Some(cause)))),
        // 7: it still lives, so only the socket ended.
        Standing::StillReady => match facts.alive {
            Alive::Same(TargetSeen::Unlisted) if lost == Detail::UpstreamVanished => {
                Decision::Given(Verdict::upstream(Detail::TargetClosed))
            }
            Alive::Same(_) => Decision::Given(Verdict::upstream(lost)),
            Alive::NotAsked if facts.now >= facts.deadline() => no_more_facts(facts),
            Alive::NotAsked if facts.now >= facts.settled_at() => Decision::Ask,
            Alive::NotAsked => Decision::Wait { until: facts.settled_at().min(facts.deadline()) },
            // The client is waiting to be told.
            Alive::No if facts.now < facts.tell_by() => Decision::Wait { until: facts.tell_by() },
            Alive::No => wait_for_more(facts),
        },
        // 8: something is going on; wait for it.
        Standing::Down => wait_for_more(facts),
    }
}

fn wait_for_more(facts: &Facts<'_>) -> Decision {
    match facts.now >= facts.deadline() {
        true => no_more_facts(facts),
        false => Decision::Wait { until: facts.deadline() },
    }
}

/// The confirm window is over: the browser that was lost is not known to have been replaced.
fn no_more_facts(facts: &Facts<'_>) -> Decision {
    Decision::Given(Verdict::upstream(ended_by(facts.how_it_ended())))
}

fn context(end: ContextEnd) -> Verdict {
    Verdict::cancelled(match end {
        ContextEnd::Idle => ContextDetail::IdleTimeout,
        ContextEnd::Fault => ContextDetail::InternalError,
    })
}

fn client(end: ClientEnd) -> Verdict {
    Verdict::client(match end {
        ClientEnd::Closed => Detail::ClientClosed,
        ClientEnd::Vanished => Detail::ClientVanished,
        ClientEnd::ProtocolError { .. } => Detail::ClientProtocolError,
        ClientEnd::MessageTooLarge { .. } => Detail::MessageTooLarge,
        ClientEnd::WriteStalled => Detail::WriteStalled,
    })
}

/// The detail of a browser that was replaced, from how the old one ended.
fn changed_by(cause: Option<Cause>) -> Detail {
    match cause {
        Some(Cause::Exited { code: 0 }) => Detail::BrowserClosed,
        Some(Cause::Exited { .. } | Cause::Signalled { .. }) => Detail::BrowserCrashed,
        Some(Cause::OomKilled) => Detail::BrowserOomKilled,
        Some(Cause::RestartRequested | Cause::StartTimeout | Cause::UnknownExit) | None => {
            Detail::BrowserRestarted
        }
    }
}

/// The detail of a browser that was not replaced, from how it ended.
///
/// Gone after a restart that was asked for, a start that took too long, an end that nobody saw:
/// in each of them what is known is that no browser could be reached.
pub(crate) fn ended_by(cause: Option<Cause>) -> Detail {
    match cause {
        Some(Cause::Exited { code: 0 }) => Detail::BrowserClosed,
        Some(Cause::Exited { .. } | Cause::Signalled { .. }) => Detail::BrowserCrashed,
        Some(Cause::OomKilled) => Detail::BrowserOomKilled,
        Some(Cause::RestartRequested | Cause::StartTimeout | Cause::UnknownExit) | None => {
            Detail::BrowserUnreachable
        }
    }
}
