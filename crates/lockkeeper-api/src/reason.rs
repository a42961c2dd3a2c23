//! Pure: the one table of refusals and failures, with their words on both faces of the API.

use std::fmt;
use std::time::Duration;

/// A gRPC status code, by the name that its specification gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrpcCode {
    /// 1
    Cancelled,
    /// 3
    InvalidArgument,
    /// 4
    DeadlineExceeded,
    /// 5
    NotFound,
    /// 6
    AlreadyExists,
    /// 7
    PermissionDenied,
    /// 8
    ResourceExhausted,
    /// 9
    FailedPrecondition,
    /// 10
    Aborted,
    /// 12
    Unimplemented,
    /// 13
    Internal,
    /// 14
    Unavailable,
    /// 16
    Unauthenticated,
}

impl GrpcCode {
    /// The name in the form that gRPC documents use, such as `NOT_FOUND`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Cancelled => 1,
            Self::InvalidArgument => 3,
            Self::DeadlineExceeded => 4,
            Self::NotFound => 5,
            Self::AlreadyExists => 6,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::Aborted => 10,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }
}

/// Whether the same call may succeed later, and when to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again.
    No,
    /// It may succeed; nothing says when.
    Yes,
    /// It may succeed after this time.
    After(Duration),
    /// It may succeed after a time that the error itself carries.
    Told,
    /// Another node may take it now, or this one after the given time.
    OtherNode(Option<Duration>),
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $code:literal $status:literal $grpc:ident $retry:expr;)*) => {
        /// Why a call was refused or failed. The code word is the contract; texts may change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in `error.code`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The status of a REST answer.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The code of a gRPC answer.
            pub const fn grpc(self) -> GrpcCode {
                match self { $(Self::$variant => GrpcCode::$grpc,)* }
            }

            /// When to try again.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => $retry,)* }
            }
        }
    };
}

const fn secs(secs: u64) -> Retry {
    Retry::After(Duration::from_secs(secs))
}

const ANOTHER: Retry = Retry::OtherNode(Some(Duration::from_secs(5)));

reasons! {
    /// A field, id, port, flag or limit is wrong; `metadata` names each.
    BadRequest "BAD_REQUEST" 400 InvalidArgument Retry::No;
    /// No token was given where one is needed.
    TokenRequired "TOKEN_REQUIRED" 401 Unauthenticated Retry::No;
    /// The token is not known.
    TokenInvalid "TOKEN_INVALID" 401 Unauthenticated Retry::No;
    /// The Host header names a host that this node does not serve.
    HostRefused "HOST_REFUSED" 403 PermissionDenied Retry::No;
    /// A web page of another origin sent the request.
    OriginRefused "ORIGIN_REFUSED" 403 PermissionDenied Retry::No;
    /// The token does not reach so far.
    ScopeMissing "SCOPE_MISSING" 403 PermissionDenied Retry::No;
    /// No sandbox of that id is known.
    SandboxNotFound "SANDBOX_NOT_FOUND" 404 NotFound Retry::No;
    /// No template of that name is configured.
    TemplateNotFound "TEMPLATE_NOT_FOUND" 404 NotFound Retry::No;
    /// No snapshot of that id is stored.
    SnapshotNotFound "SNAPSHOT_NOT_FOUND" 404 NotFound Retry::No;
    /// The sandbox has ended; `metadata` says why and when.
    SandboxStopped "SANDBOX_STOPPED" 410 NotFound Retry::No;
    /// The id is in use by a sandbox that has not ended.
    SandboxExists "SANDBOX_EXISTS" 409 AlreadyExists Retry::No;
    /// The sandbox is not in a state that allows the call.
    WrongState "WRONG_STATE" 409 FailedPrecondition Retry::No;
    /// The call named an incarnation that is not the present one.
    LifecycleMismatch "LIFECYCLE_MISMATCH" 409 FailedPrecondition Retry::No;
    /// The snapshot was made by a newer browser.
    SnapshotIncompatible "SNAPSHOT_INCOMPATIBLE" 409 FailedPrecondition Retry::No;
    /// The node's status cannot change that way.
    StatusTransition "STATUS_TRANSITION" 409 FailedPrecondition Retry::No;
    /// The node is ending; its status no longer changes.
    ShuttingDown "SHUTTING_DOWN" 409 FailedPrecondition Retry::No;
    /// Another operation on the same sandbox is under way.
    OperationInProgress "OPERATION_IN_PROGRESS" 409 Aborted secs(1);
    /// As many sandboxes exist as the node may hold.
    NodeFull "NODE_FULL" 429 ResourceExhausted Retry::Told;
    /// No start slot became free in time.
    NodeBusy "NODE_BUSY" 429 ResourceExhausted Retry::Told;
    /// Too little disk is left.
    DiskLow "DISK_LOW" 507 ResourceExhausted secs(30);
    /// The snapshot store is full.
    StoreFull "STORE_FULL" 507 ResourceExhausted secs(30);
    /// The node takes no new work and serves what it has.
    NodeDraining "NODE_DRAINING" 503 Unavailable ANOTHER;
    /// The node waits to be promoted.
    NodeStandby "NODE_STANDBY" 503 Unavailable ANOTHER;
    /// A check of the node by itself failed.
    NodeUnhealthy "NODE_UNHEALTHY" 503 Unavailable ANOTHER;
    /// The node has not finished its start.
    NodeNotReady "NODE_NOT_READY" 503 Unavailable secs(1);
    /// The snapshot store does not answer.
    StoreUnavailable "STORE_UNAVAILABLE" 503 Unavailable secs(5);
    /// A start was cut by a forced stop of the node.
    ForceStopped "FORCE_STOPPED" 503 Unavailable Retry::OtherNode(None);
    /// The sandbox was not ready in time.
    StartTimeout "START_TIMEOUT" 504 DeadlineExceeded Retry::Yes;
    /// The sandbox was deleted, or its client left, before it was ready.
    StartCancelled "START_CANCELLED" 499 Cancelled Retry::No;
    /// The browser did not start; the text has the end of its log.
    BrowserStartFailed "BROWSER_START_FAILED" 502 Internal Retry::Yes;
    /// The runner did not start.
    RunnerStartFailed "RUNNER_START_FAILED" 502 Internal Retry::Yes;
    /// The browser did not restart; the text says which one runs now.
    RestartFailed "RESTART_FAILED" 409 FailedPrecondition Retry::No;
    /// A pause failed after the browser was closed.
    PauseNotSaved "PAUSE_NOT_SAVED" 409 FailedPrecondition Retry::No;
    /// A checkpoint failed after the browser was closed.
    CheckpointNotSaved "CHECKPOINT_NOT_SAVED" 409 FailedPrecondition Retry::No;
    /// The node cannot do this.
    Unsupported "UNSUPPORTED" 501 Unimplemented Retry::No;
    /// A fault of our own; it is in the log.
    Bug "BUG" 500 Internal Retry::No;
    /// Only HTTP: the body is larger than the limit.
    BodyTooLarge "BODY_TOO_LARGE" 413 ResourceExhausted Retry::No;
    /// Only HTTP: the path exists, the method does not.
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 Unimplemented Retry::No;
    /// Only HTTP: no such path.
    RouteNotFound "ROUTE_NOT_FOUND" 404 Unimplemented Retry::No;
}

impl Reason {
    /// The reason with that code word.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests;
