//! Pure: the Close frame that the client receives.
//!
//! A client should be able to act on the code alone: 1012 means connect again to the same URL,
//! 1001 means that we ended it on purpose, 1011 that the browser is lost, 1009, 1008 and 1002
//! that the messages or the pace of one side were the trouble.

use telemetry::words::ContextDetail;
use upstream::Cause;

use crate::facts::{Alive, ClientEnd, ContextEnd, End, Facts, Standing, TargetSeen, UpstreamEnd};

#[cfg(test)]
mod tests;

/// What the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientClose {
    /// A Close with a code and a text of at most 123 bytes.
    Frame {
        /// The code.
        code: u16,
        /// The text.
        text: String,
    },
    /// What the client itself sent, back to it: its own code, or an empty Close.
    Echo,
    /// An empty Close, because the browser's had no code either.
    Empty,
    /// Nothing: there is nobody to tell.
    Nothing,
}

impl ClientClose {
    fn frame(code: u16, text: impl Into<String>) -> Self {
        Self::Frame { code, text: text.into() }
    }
}

/// Normal closure (RFC 6455, section 7.4.1), as the codes below.
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const BAD_TEXT: u16 = 1007;
const POLICY: u16 = 1008;
const TOO_LARGE: u16 = 1009;
const INTERNAL: u16 = 1011;
/// Service restart (IANA registry of close codes).
const RESTART: u16 = 1012;
/// Bad gateway (IANA registry). Older clients refuse codes above 1013, so it is opt-in.
const BAD_GATEWAY: u16 = 1014;

/// Decides what to tell the client, as soon as the facts allow it.
///
/// `None` means that the state of the browser still says ready and that it has not been asked yet,
/// or that it did not answer and may be about to end; [`crate::verdict::resolve`] then asks, or
/// waits for the time to ask or to tell. Whenever that gives a
/// verdict, this gives a Close.
#[must_use]
pub fn decide(facts: &Facts<'_>, use_1014: bool) -> Option<ClientClose> {
    match facts.end {
        End::Client(end) => Some(to_client_that_ended_it(*end)),
        End::Context(_) | End::Upstream(_) if facts.stop.is_some() => facts.stop.map(stopped),
        End::Context(ContextEnd::Idle) => Some(stopped(ContextDetail::IdleTimeout)),
        End::Context(ContextEnd::Fault) => Some(stopped(ContextDetail::InternalError)),
        End::Upstream(end) => match end {
            UpstreamEnd::Superseded => Some(restarting()),
            UpstreamEnd::ProtocolError { rule } => {
                Some(ClientClose::frame(INTERNAL, format!("browser broke the protocol: {rule}")))
            }
            UpstreamEnd::MessageTooLarge { limit } => {
                Some(ClientClose::frame(TOO_LARGE, format!("browser message over {limit} bytes")))
            }
            UpstreamEnd::WriteStalled => {
                Some(ClientClose::frame(INTERNAL, "browser does not read"))
            }
            UpstreamEnd::Closed { .. } | UpstreamEnd::Lost => lost(end, facts, use_1014),
        },
    }
}

fn to_client_that_ended_it(end: ClientEnd) -> ClientClose {
    match end {
        ClientEnd::Closed => ClientClose::Echo,
        ClientEnd::Vanished => ClientClose::Nothing,
        ClientEnd::ProtocolError { rule, utf8: false } => ClientClose::frame(PROTOCOL_ERROR, rule),
        ClientEnd::ProtocolError { rule, utf8: true } => ClientClose::frame(BAD_TEXT, rule),
        ClientEnd::MessageTooLarge { limit } => {
            ClientClose::frame(TOO_LARGE, format!("client message over {limit} bytes"))
        }
        ClientEnd::WriteStalled => ClientClose::frame(POLICY, "client too slow"),
    }
}

fn stopped(why: ContextDetail) -> ClientClose {
    let (code, text) = match why {
        ContextDetail::SandboxDeleted => (GOING_AWAY, "sandbox deleted"),
        ContextDetail::SandboxPaused => (GOING_AWAY, "sandbox paused"),
        ContextDetail::TtlExpired => (GOING_AWAY, "sandbox expired"),
        ContextDetail::NodeDrain => (GOING_AWAY, "node draining"),
        ContextDetail::IdleTimeout => (GOING_AWAY, "idle"),
        ContextDetail::ForcedStop | ContextDetail::RequestCancelled | ContextDetail::OverLimit => {
            (GOING_AWAY, "stopped")
        }
        ContextDetail::AuthRevoked => (POLICY, "access revoked"),
        ContextDetail::InternalError => (INTERNAL, "internal error"),
    };
    ClientClose::frame(code, text)
}

fn restarting() -> ClientClose {
    ClientClose::frame(RESTART, "browser restarting, reconnect")
}

/// The browser's socket ended: what the client hears depends on what became of the browser.
fn lost(end: &UpstreamEnd, facts: &Facts<'_>, use_1014: bool) -> Option<ClientClose> {
    match facts.standing() {
        Standing::Newer | Standing::RestartRequested => Some(restarting()),
        Standing::Gone(cause) => Some(ended(Some(cause), false)),
        Standing::Down if facts.restart_expected => Some(restarting()),
        Standing::Down => Some(ended(facts.how_it_ended(), use_1014)),
        Standing::StillReady => match facts.alive {
            Alive::Same(seen) => Some(alive(end, seen)),
            Alive::No if facts.now < facts.tell_by() => None,
            Alive::No if facts.restart_expected => Some(restarting()),
            Alive::No => Some(ended(None, use_1014)),
            Alive::NotAsked if facts.now < facts.deadline() => None,
            Alive::NotAsked => Some(ended(None, use_1014)),
        },
    }
}

fn alive(end: &UpstreamEnd, seen: TargetSeen) -> ClientClose {
    match (end, seen) {
        (UpstreamEnd::Closed { code: Some(code), text }, _) => ClientClose::frame(*code, text),
        (UpstreamEnd::Closed { code: None, .. }, _) => ClientClose::Empty,
        (_, TargetSeen::Unlisted) => ClientClose::frame(NORMAL, "target closed"),
        (_, TargetSeen::NotAPage | TargetSeen::Listed | TargetSeen::NotKnown) => {
            ClientClose::frame(INTERNAL, "browser connection lost")
        }
    }
}

fn ended(cause: Option<Cause>, use_1014: bool) -> ClientClose {
    let text = match cause {
        Some(Cause::Exited { code }) => format!("browser exited: code {code}"),
        Some(Cause::Signalled { signal }) => format!("browser killed: signal {signal}"),
        Some(Cause::OomKilled) => "browser out of memory".to_owned(),
        Some(Cause::StartTimeout) => "browser did not start".to_owned(),
        Some(Cause::RestartRequested | Cause::UnknownExit) | None => {
            let code = if use_1014 { BAD_GATEWAY } else { INTERNAL };
            return ClientClose::frame(code, "browser connection lost");
        }
    };
    ClientClose::frame(INTERNAL, text)
}
