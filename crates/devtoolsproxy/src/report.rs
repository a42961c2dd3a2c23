//! Pure: from what the relay reports and the verdict to the event and the log line.

use std::sync::Arc;
use std::time::Duration;

use telemetry::events::CdpDisconnect;
use telemetry::words::{Detail, EndedBy, Exit, ExitKind, FirstClose, QuietEnd};
use upstream::Cause;
use wsproxy::{Party, RelayReport, Rule, Terminal};

use crate::facts::{ClientEnd, ContextEnd, End, UpstreamEnd};
use crate::judge::Judged;

#[cfg(test)]
mod tests;

/// The end of a relay, as far as it can be judged by.
///
/// Every pair of cause and detail is written out. A few cannot come from a relay; they would be
/// faults of ours and are judged as such.
pub(crate) fn end_of(terminal: &Terminal) -> End {
    use wsproxy::{Cause as Side, Detail};
    match (terminal.cause, terminal.detail) {
        (Side::Client, Detail::Closed { .. }) => End::Client(ClientEnd::Closed),
        (Side::Client, Detail::Vanished(_)) => End::Client(ClientEnd::Vanished),
        (Side::Client, Detail::ProtocolError { rule }) => {
            let utf8 = rule == Rule::CloseText;
            End::Client(ClientEnd::ProtocolError { rule: rule.name(), utf8 })
        }
        (Side::Client, Detail::MessageTooLarge { limit }) => {
            End::Client(ClientEnd::MessageTooLarge { limit })
        }
        (Side::Client, Detail::WriteStalled) => End::Client(ClientEnd::WriteStalled),
        (Side::Upstream, Detail::Closed { code }) => {
            let text = terminal.close.as_ref().map_or_else(String::new, |c| c.text().to_owned());
            End::Upstream(UpstreamEnd::Closed { code, text })
        }
        (Side::Upstream, Detail::Vanished(_)) => End::Upstream(UpstreamEnd::Lost),
        (Side::Upstream, Detail::ProtocolError { rule }) => {
            End::Upstream(UpstreamEnd::ProtocolError { rule: rule.name() })
        }
        (Side::Upstream, Detail::MessageTooLarge { limit }) => {
            End::Upstream(UpstreamEnd::MessageTooLarge { limit })
        }
        (Side::Upstream, Detail::WriteStalled) => End::Upstream(UpstreamEnd::WriteStalled),
        (Side::Upstream, Detail::Stopped { .. }) => End::Upstream(UpstreamEnd::Superseded),
        (Side::Context, Detail::Idle) => End::Context(ContextEnd::Idle),
        // With a stop token the verdict is the token's, so what is left here is a fault.
        (Side::Context, Detail::Stopped { .. } | Detail::Panicked)
        | (Side::Client, Detail::Stopped { .. } | Detail::Idle | Detail::Panicked)
        | (Side::Upstream, Detail::Idle | Detail::Panicked)
        | (
            Side::Context,
            Detail::Closed { .. }
            | Detail::Vanished(_)
            | Detail::ProtocolError { .. }
            | Detail::MessageTooLarge { .. }
            | Detail::WriteStalled,
        ) => End::Context(ContextEnd::Fault),
    }
}

/// How long the parts of a session took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// From the 101 to the end.
    pub(crate) duration: Duration,
    /// From the end to the verdict.
    pub(crate) resolve: Duration,
    /// From the end to both sockets closed.
    pub(crate) teardown: Duration,
}

/// The event of an ended session.
pub(crate) fn disconnect(
    connection_id: &Arc<str>,
    generation: u64,
    timing: Timing,
    relay: &RelayReport,
    judged: &Judged,
) -> CdpDisconnect {
    CdpDisconnect {
        connection_id: connection_id.into(),
        generation,
        reason: judged.verdict.reason,
        detail: judged.verdict.detail,
        ended_by: match relay.cause {
            wsproxy::Cause::Client => EndedBy::Client,
            wsproxy::Cause::Upstream => EndedBy::Upstream,
            wsproxy::Cause::Context => EndedBy::Context,
        },
        close_code: code_on_the_clients_socket(relay),
        first_close: relay.first_close.as_ref().map(|close| match close.by {
            Party::Client => FirstClose::Client,
            Party::Browser => FirstClose::Browser,
            Party::Proxy => FirstClose::Proxy,
        }),
        upstream_cause: judged.cause.map(exit),
        new_generation: judged.newer,
        duration_ms: timing.duration.into(),
        resolve_ms: timing.resolve.into(),
        teardown_ms: timing.teardown.into(),
        message_count: relay.to_browser.messages.saturating_add(relay.to_client.messages),
        messages_to_browser: relay.to_browser.messages,
        messages_to_client: relay.to_client.messages,
        bytes_to_browser: relay.to_browser.bytes,
        bytes_to_client: relay.to_client.bytes,
        mid_frame: relay.client_mid_frame,
        error: broken(relay).map(Into::into),
        quiet_end: quiet_end(relay, judged),
        telemetry_dropped: 0,
        telemetry_excluded: 0,
    }
}

/// How the wait for a quiet moment ended, if that is what ended the session. At its deadline the
/// drain also stops by force, which may come first.
fn quiet_end(relay: &RelayReport, judged: &Judged) -> Option<QuietEnd> {
    match relay.quiet? {
        wsproxy::QuietEnd::Quiet => Some(QuietEnd::Quiet),
        wsproxy::QuietEnd::Deadline => Some(QuietEnd::Deadline),
        wsproxy::QuietEnd::Overruled => {
            let by_force = matches!(judged.verdict.detail, Detail::NodeDrain | Detail::TtlExpired);
            by_force.then_some(QuietEnd::Deadline)
        }
    }
}

/// The client's own code if it closed first, else the one that was written to it.
fn code_on_the_clients_socket(relay: &RelayReport) -> Option<u16> {
    match &relay.first_close {
        Some(close) if close.by == Party::Client => close.code,
        Some(_) | None => relay.client_close_sent.code(),
    }
}

/// The rule or limit that was broken.
fn broken(relay: &RelayReport) -> Option<String> {
    match relay.detail {
        wsproxy::Detail::ProtocolError { rule } => Some(rule.name().to_owned()),
        wsproxy::Detail::MessageTooLarge { limit } => Some(format!("limit {limit} bytes")),
        wsproxy::Detail::Closed { .. }
        | wsproxy::Detail::Vanished(_)
        | wsproxy::Detail::WriteStalled
        | wsproxy::Detail::Stopped { .. }
        | wsproxy::Detail::Idle
        | wsproxy::Detail::Panicked => None,
    }
}

pub(crate) fn exit(cause: Cause) -> Exit {
    match cause {
        Cause::Exited { code } => Exit::exited(code),
        Cause::Signalled { signal } => Exit::signalled(signal),
        Cause::OomKilled => Exit::of(ExitKind::OomKilled),
        Cause::RestartRequested => Exit::of(ExitKind::RestartRequested),
        Cause::StartTimeout => Exit::of(ExitKind::StartTimeout),
        Cause::UnknownExit => Exit::of(ExitKind::UnknownExit),
    }
}
