//! Pure: what ended a session, before it is pinned to a time.

use crate::close::CloseFrame;
use crate::found::Event;
use crate::stop::{Stop, StopSide};
use crate::verdict::{Cause, Detail, Vanished};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) cause: Cause,
    pub(crate) detail: Detail,
    /// The side that ended it left a frame of its own unfinished.
    pub(crate) mid_frame: bool,
    /// The Close that was read, if that was it.
    pub(crate) close: Option<CloseFrame>,
    /// A write failed: the peer may have left bytes behind that can still be read.
    pub(crate) left_bytes: bool,
    /// Messages may reach their end.
    pub(crate) gently: bool,
}

impl End {
    pub(crate) fn new(cause: Cause, detail: Detail) -> Self {
        Self { cause, detail, mid_frame: false, close: None, left_bytes: false, gently: false }
    }

    pub(crate) fn vanished(cause: Cause, how: Vanished, mid_frame: bool) -> Self {
        Self { mid_frame, ..Self::new(cause, Detail::Vanished(how)) }
    }

    pub(crate) fn event(cause: Cause, event: Event) -> Self {
        match event {
            Event::Close(close) => {
                let code = close.code().map(|code| code.get());
                Self { close: Some(close), ..Self::new(cause, Detail::Closed { code }) }
            }
            Event::Broken(rule) => Self::new(cause, Detail::ProtocolError { rule }),
            Event::TooLarge { limit } => Self::new(cause, Detail::MessageTooLarge { limit }),
        }
    }

    pub(crate) fn stopped(stop: &Stop, gently: bool) -> Self {
        let cause = match stop.side {
            StopSide::Upstream => Cause::Upstream,
            StopSide::Context => Cause::Context,
        };
        Self { gently, ..Self::new(cause, Detail::Stopped { by: stop.by }) }
    }

    /// A write to a peer made no progress for `limit`: is the peer alive? A window probe that was
    /// answered in the last three quarters of the time says so, and so does a stream that knows
    /// nothing about it.
    pub(crate) fn stalled(
        cause: Cause,
        since_last_ack: Option<Duration>,
        limit: Duration,
        mid_frame: bool,
    ) -> Self {
        match since_last_ack {
            Some(since) if since > limit * 3 / 4 => {
                Self::vanished(cause, Vanished::TimedOut, mid_frame)
            }
            Some(_) | None => Self::new(cause, Detail::WriteStalled),
        }
    }
}
