//! Pure: words of the DevTools edge and of browsers.

use serde::Serialize;

use super::words;

words! {
    /// Which side's doing the end of a session was.
    pub enum Reason {
        /// The client ended it.
        ClientClose = "client_close",
        /// The browser gave way to a newer one behind the same address.
        UpstreamChanged = "upstream_changed",
        /// The browser failed, or could not be reached.
        UpstreamError = "upstream_error",
        /// We ended it.
        ContextCancelled = "context_cancelled",
    }

    /// The fact behind a [`Reason`].
    pub enum Detail {
        /// The client sent a Close frame.
        ClientClosed = "client_closed",
        /// The client's socket ended without a Close frame.
        ClientVanished = "client_vanished",
        /// The client broke a rule of the WebSocket protocol.
        ClientProtocolError = "client_protocol_error",
        /// A message was over its limit; the reason says whose.
        MessageTooLarge = "message_too_large",
        /// A side did not read; the reason says which.
        WriteStalled = "write_stalled",
        /// A restart was asked for, or a newer browser came and nobody can know why.
        BrowserRestarted = "browser_restarted",
        /// A newer browser came while the old one's socket lived.
        Superseded = "superseded",
        /// The browser ended with an exit code other than 0, or by a signal.
        BrowserCrashed = "browser_crashed",
        /// The kernel ended the browser for its memory.
        BrowserOomKilled = "browser_oom_killed",
        /// The browser ended with exit code 0 and we did not order it.
        BrowserClosed = "browser_closed",
        /// The browser did not answer and its end is not known.
        BrowserUnreachable = "browser_unreachable",
        /// The page ended, the browser lives.
        TargetClosed = "target_closed",
        /// The browser sent a Close frame.
        UpstreamClosed = "upstream_closed",
        /// The socket to a browser that still answers was lost.
        UpstreamVanished = "upstream_vanished",
        /// The browser broke a rule of the WebSocket protocol.
        UpstreamProtocolError = "upstream_protocol_error",
        /// The sandbox ended, and not by its browser's doing.
        SandboxDeleted = "sandbox_deleted",
        /// The sandbox was paused or checkpointed.
        SandboxPaused = "sandbox_paused",
        /// The sandbox reached the end of its time.
        TtlExpired = "ttl_expired",
        /// The drain reached its deadline.
        NodeDrain = "node_drain",
        /// A forced stop.
        ForcedStop = "forced_stop",
        /// The access token was withdrawn.
        AuthRevoked = "auth_revoked",
        /// The client left before it was answered.
        RequestCancelled = "request_cancelled",
        /// No data passed for the idle time.
        IdleTimeout = "idle_timeout",
        /// A fault of ours.
        InternalError = "internal_error",
        /// A limit on sessions or capacity was reached; only for refusals.
        OverLimit = "over_limit",
    }

    /// Why we ended or refused a session: the details of [`Reason::ContextCancelled`].
    pub enum ContextDetail {
        /// The sandbox ended, and not by its browser's doing.
        SandboxDeleted = "sandbox_deleted",
        /// The sandbox was paused or checkpointed.
        SandboxPaused = "sandbox_paused",
        /// The sandbox reached the end of its time.
        TtlExpired = "ttl_expired",
        /// The drain reached its deadline.
        NodeDrain = "node_drain",
        /// A forced stop.
        ForcedStop = "forced_stop",
        /// The access token was withdrawn.
        AuthRevoked = "auth_revoked",
        /// The client left before it was answered.
        RequestCancelled = "request_cancelled",
        /// No data passed for the idle time.
        IdleTimeout = "idle_timeout",
        /// A fault of ours.
        InternalError = "internal_error",
        /// A limit on sessions or capacity was reached; only for refusals.
        OverLimit = "over_limit",
    }

    /// Whose event the end of the relay was, whatever the reason turned out to be.
    pub enum EndedBy {
        /// The client's side.
        Client = "client",
        /// The browser's side.
        Upstream = "upstream",
        /// Ours.
        Context = "context",
    }

    /// Who put the first Close frame on the wire.
    pub enum FirstClose {
        /// The client.
        Client = "client",
        /// The browser.
        Browser = "browser",
        /// We did.
        Proxy = "proxy",
    }

    /// What a session is joined to.
    pub enum EndpointKind {
        /// The browser itself.
        Browser = "browser",
        /// One target of it.
        Page = "page",
    }

    /// Which form of address a client used.
    pub enum Addressing {
        /// `/sandboxes/{id}/...`
        Path = "path",
        /// `/devtools/browser/{id}`
        BrowserPath = "browser_path",
        /// `{id}.host`
        Subdomain = "subdomain",
        /// A port of its own.
        Port = "port",
        /// Every path of a proxy that serves one browser.
        Sidecar = "sidecar",
        /// `/connect`
        Quick = "quick",
    }

    /// How the address of a browser is learned.
    pub enum UpstreamSource {
        /// From the stderr of our own child.
        ChildStderr = "child_stderr",
        /// From the log of another supervisor.
        LogFollow = "log_follow",
        /// From the browser's port file.
        PortFile = "port_file",
        /// By asking the browser's HTTP endpoint.
        HttpPoll = "http_poll",
        /// From a setting.
        Fixed = "fixed",
    }

    /// Who wanted a browser to restart.
    pub enum RequestedBy {
        /// A call of the API.
        Api = "api",
        /// The supervisor, after an end that nobody asked for.
        Supervisor = "supervisor",
        /// Somebody else.
        Other = "other",
    }

    /// How a stop that waited for a quiet moment of its session came.
    pub enum QuietEnd {
        /// No command was outstanding, and no data had passed for a while.
        Quiet = "quiet",
        /// The drain's deadline came first.
        Deadline = "deadline",
    }

    /// How a process ended.
    pub enum ExitKind {
        /// It returned an exit code.
        Exited = "exited",
        /// A signal ended it.
        Signalled = "signalled",
        /// The kernel ended it for its memory.
        OomKilled = "oom_killed",
        /// It was told to end, in order to start again.
        RestartRequested = "restart_requested",
        /// It never became ready.
        StartTimeout = "start_timeout",
        /// It is gone, and nobody could see how.
        UnknownExit = "unknown_exit",
    }
}

impl From<ContextDetail> for Detail {
    fn from(detail: ContextDetail) -> Self {
        match detail {
            ContextDetail::SandboxDeleted => Self::SandboxDeleted,
            ContextDetail::SandboxPaused => Self::SandboxPaused,
            ContextDetail::TtlExpired => Self::TtlExpired,
            ContextDetail::NodeDrain => Self::NodeDrain,
            ContextDetail::ForcedStop => Self::ForcedStop,
            ContextDetail::AuthRevoked => Self::AuthRevoked,
            ContextDetail::RequestCancelled => Self::RequestCancelled,
            ContextDetail::IdleTimeout => Self::IdleTimeout,
            ContextDetail::InternalError => Self::InternalError,
            ContextDetail::OverLimit => Self::OverLimit,
        }
    }
}

/// How a process ended, with the number that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Exit {
    /// How.
    pub kind: ExitKind,
    /// The exit code, for [`ExitKind::Exited`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal number, for [`ExitKind::Signalled`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

impl Exit {
    /// An exit with a code.
    #[must_use]
    pub const fn exited(code: i32) -> Self {
        Self { kind: ExitKind::Exited, code: Some(code), signal: None }
    }

    /// An end by a signal.
    #[must_use]
    pub const fn signalled(signal: i32) -> Self {
        Self { kind: ExitKind::Signalled, code: None, signal: Some(signal) }
    }

    /// An end that has no number.
    #[must_use]
    pub const fn of(kind: ExitKind) -> Self {
        Self { kind, code: None, signal: None }
    }
}
