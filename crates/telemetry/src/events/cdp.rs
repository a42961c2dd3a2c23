//! Pure: events of the DevTools edge.

use super::events;
use crate::value::{Id, Millis, Text};
use crate::words::{Addressing, Detail, EndedBy, EndpointKind, Exit, FirstClose, QuietEnd, Reason};

events! {
    /// A client was joined to a browser: the dial succeeded and the 101 was sent.
    DevtoolsProxy Connection "cdp_connect"
    pub struct CdpConnect {
        /// The session.
        pub connection_id: Id,
        /// The browser instance it was joined to.
        pub generation: u64,
        /// The browser or one of its targets.
        pub endpoint: EndpointKind,
        /// The target, for a page session.
        pub target_id: Option<Id>,
        /// Which form of address the client used.
        pub addressing: Addressing,
        /// Time held until the browser was ready.
        pub hold_ms: Millis,
        /// Time to dial the browser, all attempts.
        pub dial_ms: Millis,
        /// Attempts to dial it.
        pub dial_attempts: u64,
        /// Whether the client's connection is encrypted.
        pub tls: bool,
        /// Whether the client came from this machine.
        pub local: bool,
        /// What the client calls itself.
        pub user_agent: Option<Text>,
        /// The client's address; only if it is switched on.
        pub client_ip: Option<Text>,
    }

    /// A session ended. `ts` is the moment of its end, not of this report.
    DevtoolsProxy Connection "cdp_disconnect"
    pub struct CdpDisconnect {
        /// The session.
        pub connection_id: Id,
        /// The browser instance it was joined to.
        pub generation: u64,
        /// Whose doing the end was.
        pub reason: Reason,
        /// The fact behind the reason.
        pub detail: Detail,
        /// The side on which the end was seen first.
        pub ended_by: EndedBy,
        /// The code on the client's socket: its own if it closed first, else ours; absent if none.
        pub close_code: Option<u16>,
        /// Who put the first Close frame on the wire; absent if nobody did.
        pub first_close: Option<FirstClose>,
        /// How the browser instance ended, if that is known.
        pub upstream_cause: Option<Exit>,
        /// The newer browser instance, if there is one.
        pub new_generation: Option<u64>,
        /// From the 101 to the end.
        pub duration_ms: Millis,
        /// From the end to the verdict.
        pub resolve_ms: Millis,
        /// From the end to both sockets closed.
        pub teardown_ms: Millis,
        /// Messages, both ways.
        pub message_count: u64,
        /// Messages to the browser.
        pub messages_to_browser: u64,
        /// Messages to the client.
        pub messages_to_client: u64,
        /// Payload bytes to the browser.
        pub bytes_to_browser: u64,
        /// Payload bytes to the client.
        pub bytes_to_client: u64,
        /// Whether the client was left inside a frame.
        pub mid_frame: bool,
        /// The rule or limit that was broken.
        pub error: Option<Text>,
        /// For a session that a drain ended at its first quiet moment: whether that moment came.
        pub quiet_end: Option<QuietEnd>,
        /// Commands that should have become an event and did not.
        pub telemetry_dropped: u64,
        /// Commands that were left out by the configuration.
        pub telemetry_excluded: u64,
    }

    /// An upgrade with access to a known sandbox was refused, or its client left before the 101.
    DevtoolsProxy Connection "cdp_refused"
    pub struct CdpRefused {
        /// The session that did not come to be.
        pub connection_id: Id,
        /// The HTTP status; absent if the client had left.
        pub status: Option<u16>,
        /// Whose doing it was.
        pub reason: Reason,
        /// The fact behind the reason.
        pub detail: Detail,
        /// The newest browser instance that was tried or waited for.
        pub generation: u64,
        /// Time held.
        pub hold_ms: Millis,
        /// Attempts to dial the browser.
        pub dial_attempts: u64,
    }
}
