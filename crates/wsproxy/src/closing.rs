//! Closes one side: delivers what is left, sends the Close, waits for the answer, shuts down.

use crate::close::CloseFrame;
use crate::endpoint::Endpoint;
use crate::found::Event;
use crate::lane::Lane;
use crate::plan::Peer;
use crate::report::CloseSent;
use crate::side::{Buffers, Input, Output, Side, later};
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The times a closing goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: Instant,
    pub(crate) grace: Duration,
    /// Until then bytes are delivered and the owner decides.
    pub(crate) deliver_until: Instant,
    /// Then everything is closed.
    pub(crate) end: Instant,
}

impl Clock {
    fn grace_from_now(&self) -> Instant {
        self.end.min(later(self.now, self.grace))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing can be written: bytes that were left behind are read.
    ReadOut,
    /// What the other side sent is written, to the end of a frame.
    Deliver,
    /// The Close is not decided, or not begun.
    Close,
    /// The Close is being written.
    Closing,
    /// The peer's Close is awaited.
    Await {
        until: Instant,
    },
    /// Our half of the stream is being closed, then the peer's is awaited.
    Shutdown {
        linger: Option<Instant>,
    },
    /// The end of the stream is awaited, so that the peer is not reset while it reads.
    Linger {
        until: Instant,
    },
    Closed,
}

#[derive(Debug)]
pub(crate) struct Closer {
    stage: Stage,
    peer: Peer,
    /// The decision about our Close: `Some(None)` writes none.
    close: Option<Option<CloseFrame>>,
    sent: CloseSent,
    mid_frame: bool,
}

impl Closer {
    pub(crate) fn new(peer: Peer, close: Option<Option<CloseFrame>>) -> Self {
        let stage = match peer {
            Peer::Open | Peer::Closed | Peer::Garbage => Stage::Deliver,
            Peer::Left => Stage::ReadOut,
            Peer::Gone => Stage::Closed,
        };
        Self { stage, peer, close, sent: CloseSent::No, mid_frame: false }
    }

    /// Whether a Close may be written some time.
    pub(crate) fn may_write(&self) -> bool {
        match self.peer {
            Peer::Open | Peer::Closed | Peer::Garbage => true,
            Peer::Left | Peer::Gone => false,
        }
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.close.is_some()
    }

    pub(crate) fn decide(&mut self, close: Option<CloseFrame>) {
        self.close = Some(close);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Our Close, once it is decided.
    pub(crate) fn close(&self) -> Option<&CloseFrame> {
        self.close.as_ref()?.as_ref()
    }

    /// The Close that was written.
    pub(crate) fn sent(&self) -> CloseSent {
        self.sent
    }

    /// The socket was closed inside a frame.
    pub(crate) fn mid_frame(&self) -> bool {
        self.mid_frame
    }

    /// When to look again at the latest.
    pub(crate) fn deadline(&self, clock: &Clock) -> Option<Instant> {
        match self.stage {
            Stage::ReadOut | Stage::Deliver => Some(clock.deliver_until),
            Stage::Close if self.close.is_none() => Some(clock.deliver_until),
            Stage::Close | Stage::Closing | Stage::Shutdown { .. } => Some(clock.end),
            Stage::Await { until } | Stage::Linger { until } => Some(until),
            Stage::Closed => None,
        }
    }

    /// One read from the peer, into the lane that leads away from it. Returns whether anything
    /// happened, and the Close if that was it.
    pub(crate) fn drain<E: Endpoint>(
        &mut self,
        side: &mut Side<E>,
        from: &mut Lane,
        buffers: &Buffers,
        cx: &mut Context<'_>,
    ) -> (bool, Option<CloseFrame>) {
        if side.io.is_none() {
            return (false, None);
        }
        match self.peer {
            Peer::Closed | Peer::Gone => return (false, None),
            Peer::Garbage => {
                return match side.poll_swallow(buffers, cx) {
                    Poll::Pending => (false, None),
                    Poll::Ready(more) => {
                        if !more {
                            self.peer = Peer::Gone;
                        }
                        (true, None)
                    }
                };
            }
            Peer::Open | Peer::Left => {}
        }
        if !from.wants_input() {
            return (false, None);
        }
        let event = match side.poll_input(from, buffers, cx) {
            Poll::Pending => return (false, None),
            Poll::Ready(Input::Found(found)) => found.into_event(),
            Poll::Ready(Input::Eof | Input::Failed(_)) => {
                self.peer = Peer::Gone;
                from.source_gone();
                return (true, None);
            }
        };
        let Some(event) = event else { return (true, None) };
        from.source_gone();
        match event {
            Event::Close(close) => {
                self.peer = if self.peer == Peer::Left { Peer::Gone } else { Peer::Closed };
                return (true, Some(close));
            }
            Event::Broken(_) => self.peer = Peer::Garbage,
            // The scanner skips it.
            Event::TooLarge { .. } => {}
        }
        (true, None)
    }

    /// One step towards the end. `into` is the lane that leads here, `write` writes it. Returns
    /// whether anything happened.
    pub(crate) fn advance<E: Endpoint>(
        &mut self,
        side: &mut Side<E>,
        into: &mut Lane,
        write: impl FnOnce(&mut Side<E>, &mut Lane, &mut Context<'_>) -> io::Result<Output>,
        clock: &Clock,
        cx: &mut Context<'_>,
    ) -> bool {
        let was = self.stage;
        let mut wrote = false;
        let over = clock.end <= clock.now || (self.peer == Peer::Gone && was != Stage::Closed);
        self.stage = if over {
            Stage::Closed
        } else {
            match was {
                Stage::ReadOut if clock.deliver_until <= clock.now => Stage::Closed,
                Stage::ReadOut => was,
                Stage::Deliver => match write(side, into, cx) {
                    Err(_) => Stage::Closed,
                    Ok(output) => {
                        wrote = output.any;
                        self.delivered(side, into, clock)
                    }
                },
                Stage::Close => match &self.close {
                    None => was,
                    Some(None) => self.shutdown(clock),
                    Some(Some(close)) => {
                        side.outbox.close(close.clone());
                        Stage::Closing
                    }
                },
                Stage::Closing => match write(side, into, cx) {
                    Err(_) => Stage::Closed,
                    Ok(_) if side.close_sent && side.is_flushed() => self.answered(clock),
                    Ok(_) => was,
                },
                Stage::Await { until } if self.peer != Peer::Open || until <= clock.now => {
                    Stage::Shutdown { linger: None }
                }
                Stage::Await { .. } => was,
                Stage::Shutdown { linger } => match (side.poll_shutdown(cx), linger) {
                    (Poll::Pending, _) => was,
                    (Poll::Ready(()), Some(until)) => Stage::Linger { until },
                    (Poll::Ready(()), None) => Stage::Closed,
                },
                Stage::Linger { until } if self.peer == Peer::Closed || until <= clock.now => {
                    Stage::Closed
                }
                Stage::Linger { .. } | Stage::Closed => was,
            }
        };
        if self.stage == Stage::Closed {
            side.io = None;
        }
        wrote || self.stage != was
    }

    /// Where to go once everything that can be delivered is.
    fn delivered<E: Endpoint>(&mut self, side: &Side<E>, into: &mut Lane, clock: &Clock) -> Stage {
        let late = clock.deliver_until <= clock.now;
        if side.outbox.is_writing() {
            if !late {
                return Stage::Deliver;
            }
        } else if into.is_settled() {
            return Stage::Close;
        } else if into.is_dead_end() || late {
            into.abandon();
            if into.at_boundary() {
                return Stage::Close;
            }
        } else {
            return Stage::Deliver;
        }
        self.mid_frame = true;
        self.shutdown(clock)
    }

    /// Closes our half without a Close.
    fn shutdown(&self, clock: &Clock) -> Stage {
        let linger = match self.peer {
            Peer::Open | Peer::Garbage => Some(clock.grace_from_now()),
            Peer::Closed | Peer::Left | Peer::Gone => None,
        };
        Stage::Shutdown { linger }
    }

    /// Our Close is written: what is awaited now.
    fn answered(&mut self, clock: &Clock) -> Stage {
        self.sent = match self.close().map(CloseFrame::code) {
            None => CloseSent::No,
            Some(None) => CloseSent::Empty,
            Some(Some(code)) => CloseSent::Code(code.get()),
        };
        match self.peer {
            Peer::Open => Stage::Await { until: clock.grace_from_now() },
            // An answer would not be understood: the end of our half asks it to end its own.
            Peer::Garbage => self.shutdown(clock),
            Peer::Closed | Peer::Left | Peer::Gone => Stage::Shutdown { linger: None },
        }
    }
}
