//! Pure: the faults, and what each of them must be reported as.
//!
//! The expectations follow `docs/disconnect-reasons.md`, not the code: where a fault overlaps with
//! another, the rule on that page says which one decides.

use std::fmt;

/// What the client must see at the end of its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A Close with this code.
    Close(u16),
    /// Nobody is left to see anything.
    Nobody,
    /// The socket ends without a Close.
    Dropped,
    /// The upgrade is answered with this status.
    Refused(u16),
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close(code) => write!(f, "{code}"),
            Self::Nobody => f.write_str("-"),
            Self::Dropped => f.write_str("dropped"),
            Self::Refused(status) => write!(f, "http {status}"),
        }
    }
}

/// What must be reported of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) reason: &'static str,
    pub(crate) detail: &'static str,
    pub(crate) seen: Seen,
}

impl Truth {
    /// A session's reason and detail.
    pub(crate) const fn new(reason: &'static str, detail: &'static str, seen: Seen) -> Self {
        Self { reason, detail, seen }
    }

    /// What must be, where no session has ended or nobody is left to tell it.
    pub(crate) const fn fact(what: &'static str) -> Self {
        Self { reason: "", detail: what, seen: Seen::Nobody }
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            "" => f.write_str(self.detail),
            reason => write!(f, "{reason} / {}", self.detail),
        }
    }
}

/// What the sandbox of a session is afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// As before.
    Same,
    /// It has had a crash; one more would be told after a back-off.
    Crashed,
    /// It has ended.
    Ended,
    /// It has no browser, and comes back when it is asked to.
    Parked,
}

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident, $word:literal, $weight:literal, $after:ident, $reason:literal, $detail:literal, $seen:expr;)+) => {
        /// One fault that ends one session.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Fault { $($(#[doc = $doc])+ $name),+ }

        impl Fault {
            /// Every fault with its weight in the draw.
            pub(crate) const ALL: &[(Fault, u32)] = &[$((Fault::$name, $weight)),+];

            /// Its name in the table.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// What must be reported, and seen by the client.
            pub(crate) fn truth(self) -> Truth {
                match self { $(Self::$name => Truth { reason: $reason, detail: $detail, seen: $seen }),+ }
            }

            /// What becomes of the sandbox.
            pub(crate) fn after(self) -> After {
                match self { $(Self::$name => After::$after),+ }
            }
        }
    };
}

/// The code that a client closes with, and a browser that sends a Close.
pub(crate) const CLIENT_CODE: u16 = 4321;
pub(crate) const BROWSER_CODE: u16 = 4002;

faults! {
    /// The client sends a Close.
    ClientClose, "client closes", 20, Same, "client_close", "client_closed", Seen::Close(CLIENT_CODE);
    /// The client's socket ends in order, without a Close.
    ClientGone, "client vanishes (FIN)", 10, Same, "client_close", "client_vanished", Seen::Nobody;
    /// The client's socket is reset.
    ClientReset, "client vanishes (RST)", 10, Same, "client_close", "client_vanished", Seen::Nobody;
    /// The client sends a frame with a reserved bit.
    ClientBadFrame, "client: malformed frame", 8, Same, "client_close", "client_protocol_error", Seen::Close(1002);
    /// The client announces a message over the limit.
    ClientOversize, "client: message too large", 8, Same, "client_close", "message_too_large", Seen::Close(1009);
    /// The browser sends a Close and lives.
    BrowserCloses, "browser sends a Close", 8, Same, "upstream_error", "upstream_closed", Seen::Close(BROWSER_CODE);
    /// The browser drops the socket and lives.
    BrowserDrops, "browser drops the socket", 8, Same, "upstream_error", "upstream_vanished", Seen::Close(1011);
    /// The browser sends a frame with a reserved bit.
    BrowserBadFrame, "browser: malformed frame", 6, Same, "upstream_error", "upstream_protocol_error", Seen::Close(1011);
    /// The browser announces a message over the limit.
    BrowserOversize, "browser: message too large", 6, Same, "upstream_error", "message_too_large", Seen::Close(1009);
    /// The browser is killed and comes back.
    BrowserKilled, "browser SIGKILL", 8, Crashed, "upstream_changed", "browser_crashed", Seen::Close(1012);
    /// The browser is ended by somebody else's SIGTERM and comes back.
    BrowserTerminated, "browser SIGTERM", 5, Crashed, "upstream_changed", "browser_crashed", Seen::Close(1012);
    /// The browser exits with a code and comes back.
    BrowserExits, "browser exits with 7", 5, Crashed, "upstream_changed", "browser_crashed", Seen::Close(1012);
    /// The browser is killed in a sandbox that does not relaunch it.
    BrowserKilledForGood, "browser SIGKILL, no relaunch", 4, Ended, "upstream_error", "browser_crashed", Seen::Close(1011);
    /// The browser is closed by its own client.
    BrowserClosed, "Browser.close", 5, Ended, "upstream_error", "browser_closed", Seen::Close(1011);
    /// The sandbox is deleted.
    Deleted, "sandbox deleted", 5, Ended, "context_cancelled", "sandbox_deleted", Seen::Close(1001);
    /// The sandbox reaches the end of its time.
    Expired, "sandbox TTL", 4, Ended, "context_cancelled", "ttl_expired", Seen::Close(1001);
    /// The sandbox is paused.
    Paused, "sandbox paused", 4, Parked, "context_cancelled", "sandbox_paused", Seen::Close(1001);
    /// The client closes, and nobody comes for the sandbox's idle time.
    Idle, "client closes, sandbox idle", 4, Ended, "client_close", "client_closed", Seen::Close(CLIENT_CODE);
    /// The browser takes more memory than its sandbox may.
    BrowserHogs, "browser over its memory", 2, Ended, "upstream_error", "browser_oom_killed", Seen::Close(1011);
    /// The browser is killed, the client is told, and the sandbox is deleted before the next
    /// browser is ready: our own decision dominates until the verdict is given.
    KilledThenDeleted, "SIGKILL, then deleted", 3, Ended, "context_cancelled", "sandbox_deleted", Seen::Close(1012);
    /// The client has closed; then the browser is killed: the first end counts.
    ClosedThenKilled, "client closes, then SIGKILL", 3, Crashed, "client_close", "client_closed", Seen::Close(CLIENT_CODE);
}

impl Fault {
    /// Why the sandbox must have ended, of those that end it.
    pub(crate) fn stop_reason(self) -> Option<&'static str> {
        match self {
            Self::BrowserKilledForGood => Some("browser_crashed"),
            Self::BrowserClosed => Some("browser_closed"),
            Self::BrowserHogs => Some("oom"),
            Self::Deleted | Self::KilledThenDeleted => Some("request"),
            Self::Expired => Some("ttl"),
            Self::Idle => Some("idle"),
            Self::ClientClose
            | Self::ClientGone
            | Self::ClientReset
            | Self::ClientBadFrame
            | Self::ClientOversize
            | Self::BrowserCloses
            | Self::BrowserDrops
            | Self::BrowserBadFrame
            | Self::BrowserOversize
            | Self::BrowserKilled
            | Self::BrowserTerminated
            | Self::BrowserExits
            | Self::Paused
            | Self::ClosedThenKilled => None,
        }
    }

    /// Draws one.
    pub(crate) fn draw(rng: &mut fastrand::Rng) -> Self {
        let total = Self::ALL.iter().map(|(_, weight)| weight).sum();
        let mut at = rng.u32(0..total);
        for (fault, weight) in Self::ALL {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return *fault,
            }
        }
        Self::ClientClose
    }
}
