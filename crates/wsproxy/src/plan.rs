//! Pure: what becomes of both directions and both peers, given what ended the session.

use crate::end::End;
use crate::lane::Lane;
use crate::verdict::{Cause, Detail, Vanished};

/// What a direction still carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The whole frames that were received.
    Received,
    /// All that was received, and the frame it ends in.
    Frame,
    /// All that was received, and the message it ends in.
    Message,
    /// The frame that is being written.
    Cut,
    /// What the sender left behind, up to the end of its stream.
    LeftBytes,
    /// Nothing.
    Nothing,
}

/// What may still be expected of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It reads, and answers a Close.
    Open,
    /// Its Close was read. It reads ours.
    Closed,
    /// It reads, but what it sends is not understood.
    Garbage,
    /// It does not read; bytes it sent before may be waiting.
    Left,
    /// Nothing.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// From the client to the browser.
    pub(crate) up: Rest,
    /// From the browser to the client.
    pub(crate) down: Rest,
    pub(crate) client: Peer,
    pub(crate) browser: Peer,
}

pub(crate) fn plan(end: &End) -> Plan {
    let both = |rest| Plan { up: rest, down: rest, client: Peer::Open, browser: Peer::Open };
    // As if the client had ended it: mirrored if the browser has.
    let (from, to, ender) = match end.detail {
        Detail::Closed { .. } => (Rest::Received, Rest::Frame, Peer::Closed),
        Detail::Vanished(_) if end.left_bytes => (Rest::LeftBytes, Rest::Nothing, Peer::Left),
        Detail::Vanished(Vanished::Eof | Vanished::Reset | Vanished::TimedOut | Vanished::Tls) => {
            (Rest::Received, Rest::Nothing, Peer::Gone)
        }
        Detail::ProtocolError { .. } => (Rest::Received, Rest::Frame, Peer::Garbage),
        Detail::MessageTooLarge { .. } => (Rest::Received, Rest::Frame, Peer::Open),
        Detail::WriteStalled => (Rest::Frame, Rest::Nothing, Peer::Open),
        Detail::Stopped { .. } if end.gently => return both(Rest::Message),
        Detail::Stopped { .. } | Detail::Panicked => return both(Rest::Cut),
        Detail::Idle => return both(Rest::Frame),
    };
    match end.cause {
        Cause::Client => Plan { up: from, down: to, client: ender, browser: Peer::Open },
        Cause::Upstream => Plan { up: to, down: from, client: Peer::Open, browser: ender },
        Cause::Context => both(Rest::Frame),
    }
}

pub(crate) fn apply(rest: Rest, lane: &mut Lane) {
    match rest {
        Rest::Received => lane.source_gone(),
        Rest::Frame => lane.finish_frame(),
        Rest::Message => lane.finish_message(),
        Rest::Cut => lane.cut_short(),
        Rest::LeftBytes => {}
        Rest::Nothing => lane.abandon(),
    }
}

#[cfg(test)]
mod tests;
