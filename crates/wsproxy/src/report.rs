//! Pure: what a finished session leaves behind.

use crate::verdict::{Cause, Detail};
use std::time::{Duration, Instant, SystemTime};

/// Everything about a finished session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayReport {
    /// The side that ended it.
    pub cause: Cause,
    /// How.
    pub detail: Detail,
    /// The side that ended it left a frame of its own unfinished.
    pub mid_frame: bool,
    /// The first Close on either wire.
    pub first_close: Option<FirstClose>,
    /// The Close that was written to the client.
    pub client_close_sent: CloseSent,
    /// The Close that was written to the browser.
    pub browser_close_sent: CloseSent,
    /// Start of the relay.
    pub started_at: Moment,
    /// The event that ended it.
    pub ended_at: Moment,
    /// From that event until both sockets were closed.
    pub teardown: Duration,
    /// From the client to the browser.
    pub to_browser: DirectionReport,
    /// From the browser to the client.
    pub to_client: DirectionReport,
    /// Pings that were answered, of both sides.
    pub pings_answered: u64,
    /// Pongs that were dropped, of both sides.
    pub pongs_dropped: u64,
    /// Fragmented messages of the client that were joined to one frame.
    pub joined: u64,
    /// Fragmented messages of the client that were too long to be joined.
    pub spilled: u64,
    /// Data messages of the client that came after the end and went nowhere.
    pub discarded_after_end: u64,
    /// The client's socket was closed inside a frame to it, so no Close could be written.
    pub client_mid_frame: bool,
    /// How a quiet stop ended, if the session was stopped by one.
    pub quiet: Option<QuietEnd>,
}

/// A point in time on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic, on the clock of tokio.
    pub at: Instant,
    /// Wall clock.
    pub wall: SystemTime,
}

/// Who put the first Close on the wire, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstClose {
    /// Who.
    pub by: Party,
    /// Its code, if it had one.
    pub code: Option<u16>,
    /// Its text, which may be empty.
    pub text: Box<str>,
}

/// Someone who may send a Close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// The client.
    Client,
    /// The browser.
    Browser,
    /// The relay.
    Proxy,
}

impl Party {
    /// Lower-case name, fit for a metric label.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Browser => "browser",
            Self::Proxy => "proxy",
        }
    }
}

/// The Close that was written to one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CloseSent {
    /// None was written, or not to its end.
    #[default]
    No,
    /// One without a code.
    Empty,
    /// One with this code.
    Code(u16),
}

impl CloseSent {
    /// The code, if a Close with one was written.
    #[must_use]
    pub const fn code(self) -> Option<u16> {
        match self {
            Self::No | Self::Empty => None,
            Self::Code(code) => Some(code),
        }
    }
}

/// What went through one direction. Exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirectionReport {
    /// Data messages whose last byte the other side's kernel or TLS layer accepted.
    pub messages: u64,
    /// Payload bytes of data frames that were written, those of a cut message included.
    pub bytes: u64,
    /// Data frames that were written to their end.
    pub frames: u64,
    /// Payload bytes of the largest message counted in `messages`.
    pub largest_message: u64,
    /// How long writes to the other side waited for it, added up.
    pub stall: Duration,
    /// The most bytes that were held at one time.
    pub peak_buffered: u64,
    /// Payload bytes, of those in `bytes`, that passed inside the kernel and were never copied.
    pub spliced: u64,
}

/// How a quiet stop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuietEnd {
    /// No command was outstanding and no data frame passed for `Limits::quiet_for`.
    Quiet,
    /// Its deadline came first.
    Deadline,
    /// A harder order came first.
    Overruled,
}
