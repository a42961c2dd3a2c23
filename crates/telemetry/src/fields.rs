//! Field names of spans and log lines.
//!
//! One name means one thing in every crate. They are the names of the event catalogue, with the
//! thing they belong to in front. A constant stands in braces in a `tracing` macro:
//!
//! ```
//! use telemetry::fields;
//! tracing::info!({ fields::SANDBOX_ID } = "demo", { fields::REASON } = "ttl", "sandbox stops");
//! ```
//!
//! What an event may not carry, a log line may not carry either: no token, no URL with its path or
//! query, no title, no payload, no file name, no cookie.

/// Declares field names and the list of all of them.
macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $name:ident = $value:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $value;)+

        /// Every field name with what it means.
        pub const ALL: &[(&str, &[&str])] = &[$(($value, &[$($doc),+])),+];
    };
}

fields! {
    /// The node.
    NODE_ID = "node.id";
    /// The node's status.
    NODE_STATUS = "node.status";
    /// The sandbox.
    SANDBOX_ID = "sandbox.id";
    /// The lifecycle of a sandbox.
    LIFECYCLE_ID = "sandbox.lifecycle_id";
    /// Where a sandbox stands.
    SANDBOX_STATE = "sandbox.state";
    /// Why a sandbox ends.
    STOP_REASON = "sandbox.stop_reason";
    /// The DevTools session, `connection_id` in events.
    SESSION_ID = "session.id";
    /// Whose doing the end of a session was.
    REASON = "session.reason";
    /// The fact behind the reason.
    DETAIL = "session.detail";
    /// The close code on the client's socket.
    CLOSE_CODE = "session.close_code";
    /// How long a session lived, in milliseconds.
    SESSION_DURATION_MS = "session.duration_ms";
    /// The browser instance.
    GENERATION = "upstream.generation";
    /// Where a browser stands.
    UPSTREAM_PHASE = "upstream.phase";
    /// Why a browser ended.
    UPSTREAM_CAUSE = "upstream.cause";
    /// The process.
    BROWSER_PID = "browser.pid";
    /// The phase of a drain.
    DRAIN_PHASE = "drain.phase";
    /// What a drain waits for: a count of it.
    DRAIN_WAITING = "drain.waiting";
    /// Since the drain began, in milliseconds.
    DRAIN_ELAPSED_MS = "drain.elapsed_ms";
    /// The agent session.
    AGENT_SESSION_ID = "agent.session_id";
    /// The run of an agent.
    RUN_ID = "agent.run_id";
    /// The log, by its name.
    LOG_NAME = "log.name";
    /// The offset in a log.
    LOG_OFFSET = "log.offset";
    /// The sink.
    SINK = "sink.name";
    /// The HTTP method.
    HTTP_METHOD = "http.method";
    /// The template of a route, never the path.
    HTTP_ROUTE = "http.route";
    /// The HTTP status.
    HTTP_STATUS = "http.status";
    /// The trace that an incoming `traceparent` named.
    TRACE_ID = "trace.id";
    /// The name of a task or part.
    PART = "part";
    /// An error, for a person.
    ERROR = "error";
    /// The kind of an error, as in metric labels.
    ERROR_KIND = "error.kind";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn a_field_name_is_there_once() {
        let names: BTreeSet<_> = super::ALL.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), super::ALL.len());
    }
}
