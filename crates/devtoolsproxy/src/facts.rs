//! Pure: everything that the end of a session is judged by, in one value.
//!
//! The close code ([`crate::close_code`]) and the verdict ([`crate::verdict`]) are both functions
//! of [`Facts`] and of nothing else, so the client and the event can never be told two stories.

use std::time::{Duration, Instant};

use telemetry::words::ContextDetail;
use upstream::{Cause, Phase, UpstreamState};

/// How the relay ended: the side and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The client ended it.
    Client(ClientEnd),
    /// The browser's side ended it.
    Upstream(UpstreamEnd),
    /// We ended it.
    Context(ContextEnd),
}

/// What the client did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEnd {
    /// It sent a Close, with or without a code.
    Closed,
    /// Its socket ended without a Close.
    Vanished,
    /// It broke a rule of the protocol.
    ProtocolError {
        /// The name of the rule.
        rule: &'static str,
        /// Whether the rule is the one about text that is not UTF-8, which has its own code.
        utf8: bool,
    },
    /// It sent more than the limit in one message.
    MessageTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// It is there but does not read.
    WriteStalled,
}

/// What happened on the browser's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamEnd {
    /// A newer browser was ready while this one's socket still lived.
    Superseded,
    /// The browser sent a Close.
    Closed {
        /// Its code, if it had one.
        code: Option<u16>,
        /// Its text.
        text: String,
    },
    /// The socket ended without a Close.
    Lost,
    /// The browser broke a rule of the protocol.
    ProtocolError {
        /// The name of the rule.
        rule: &'static str,
    },
    /// The browser sent more than the limit in one message.
    MessageTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The browser is there but does not read.
    WriteStalled,
}

/// What ended it on our side without a stop token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextEnd {
    /// No data passed for the idle time.
    Idle,
    /// A fault of ours.
    Fault,
}

/// What the browser said when it was asked, after its socket was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alive {
    /// It has not been asked since its state was last seen.
    NotAsked,
    /// The same instance answered.
    Same(TargetSeen),
    /// Nobody answered, or another instance did.
    No,
}

/// Whether the target of a page session was still listed by a living browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetSeen {
    /// The session was with the browser itself.
    NotAPage,
    /// It is listed.
    Listed,
    /// It is not listed any more.
    Unlisted,
    /// The list did not come in time.
    NotKnown,
}

/// How long to wait for facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// From the end to the question whether the browser still lives: a process that dies closes
    /// its sockets up to 65 ms before it can be seen to have ended (Chromium 156).
    pub settle: Duration,
    /// From the end to the Close that the client gets, whatever is known by then. A browser that
    /// answers no more but has not ended is about to, on a busy machine later than `settle`; how
    /// it ends decides whether the client should come back.
    pub tell: Duration,
    /// From the end to the verdict without any newer fact: a restart takes 5 to 8 s.
    pub confirm: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(250),
            tell: Duration::from_millis(900),
            confirm: Duration::from_secs(10),
        }
    }
}

/// Everything that the end of a session is judged by.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// How the relay ended.
    pub end: &'a End,
    /// When it ended.
    pub ended_at: Instant,
    /// The generation that the session was dialled to.
    pub dialled: u64,
    /// Where the browser is now.
    pub state: &'a UpstreamState,
    /// Whether its source expects somebody to restart a browser that ended.
    pub restart_expected: bool,
    /// Why we cancelled the session, if we did, by now.
    pub stop: Option<ContextDetail>,
    /// What the browser said when asked.
    pub alive: Alive,
    /// How long to wait for more.
    pub waits: Waits,
    /// The time.
    pub now: Instant,
}

/// What the state of the browser says about the instance that the session was with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A newer one is ready.
    Newer,
    /// Its restart was asked for.
    RestartRequested,
    /// It ended and nobody will restart it.
    Gone(Cause),
    /// It still counts as ready.
    StillReady,
    /// It is down, or another one is starting.
    Down,
}

impl Facts<'_> {
    /// What the state says, in the order in which one answer beats another.
    pub(crate) fn standing(&self) -> Standing {
        let requested = self.how_it_ended() == Some(Cause::RestartRequested);
        match &self.state.phase {
            Phase::Ready if self.state.generation > self.dialled => Standing::Newer,
            Phase::Ready if requested => Standing::RestartRequested,
            Phase::Ready => Standing::StillReady,
            Phase::Starting | Phase::Down { .. } | Phase::Gone { .. } if requested => {
                Standing::RestartRequested
            }
            Phase::Gone { cause } => Standing::Gone(self.how_it_ended().unwrap_or(*cause)),
            Phase::Starting | Phase::Down { .. } => Standing::Down,
        }
    }

    /// How the instance that the session was with ended, if a source knows that it did.
    pub(crate) fn how_it_ended(&self) -> Option<Cause> {
        let same = self.state.generation == self.dialled;
        match (&self.state.phase, self.state.last_end) {
            (_, Some(end)) if end.generation == self.dialled => Some(end.cause),
            (Phase::Down { cause, .. } | Phase::Gone { cause }, _) if same => Some(*cause),
            (Phase::Starting | Phase::Ready | Phase::Down { .. } | Phase::Gone { .. }, _) => None,
        }
    }

    pub(crate) fn settled_at(&self) -> Instant {
        self.ended_at + self.waits.settle
    }

    /// When the client is told, with or without more facts: after the browser was asked.
    pub(crate) fn tell_by(&self) -> Instant {
        self.ended_at + self.waits.tell.max(self.waits.settle).min(self.waits.confirm)
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.ended_at + self.waits.confirm
    }
}
