//! Pure: why a request was not let in, for programs and for people.

use http::StatusCode;

use super::scope::{Level, Realm};

/// Why a request was refused before it was routed. No text repeats what the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AccessDenied {
    /// HTTP/1.1 requires a `Host` (RFC 9112 section 3.2).
    #[error("the request names no Host; send exactly one Host header")]
    HostMissing,
    /// Two hosts in one request: who was meant depends on the reader, so nobody is.
    #[error("the request names more than one Host; send exactly one Host header")]
    HostRepeated,
    /// Not `host` or `host:port`.
    #[error("the Host is malformed; it has the form host or host:port")]
    HostMalformed,
    /// Not one of ours: this is what stops a foreign name that was made to point here.
    #[error(
        "this Host is not answered to; use localhost, an address or the public host, \
         or add it to ALLOWED_HOSTS"
    )]
    HostRefused,
    /// A page of somebody else.
    #[error("pages of this Origin are not let in; add it to ALLOWED_ORIGINS if it is yours")]
    OriginRefused,
    /// A token is set and none was sent.
    #[error("a token is required; send it as \"Authorization: Bearer TOKEN\" or as ?token=TOKEN")]
    TokenRequired,
    /// Not the token.
    #[error("the token is not valid; check that it is complete and not an old one")]
    TokenInvalid,
    /// Two different ones, perhaps one of them smuggled in.
    #[error("the request carries two different tokens; send one, in one place")]
    TokensDiffer,
    /// The token is good, and its owner may not do this.
    #[error(
        "this token may not do that: it needs {0}; use another token, or give it that scope in the \
         file of TOKENS_FILE"
    )]
    ScopeMissing(&'static str),
}

impl AccessDenied {
    /// What a missing scope is called in [`AccessDenied::ScopeMissing`]; a project is not named, as
    /// the client sent it.
    pub(super) const fn scope(realm: &Realm, level: Level) -> &'static str {
        match (realm, level) {
            (Realm::Node, Level::Read) => "the scope node for reading",
            (Realm::Node, Level::Write) => "the scope node for writing",
            (Realm::Sandbox, Level::Read) => "the scope sandbox for reading",
            (Realm::Sandbox, Level::Write) => "the scope sandbox for writing",
            (Realm::Project(_), Level::Read) => "the scope of this project for reading",
            (Realm::Project(_), Level::Write) => "the scope of this project for writing",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::HostMissing | Self::HostRepeated | Self::HostMalformed => StatusCode::BAD_REQUEST,
            Self::HostRefused | Self::OriginRefused | Self::ScopeMissing(_) => {
                StatusCode::FORBIDDEN
            }
            Self::TokenRequired | Self::TokenInvalid | Self::TokensDiffer => {
                StatusCode::UNAUTHORIZED
            }
        }
    }

    /// The code word of the error body.
    pub const fn code(self) -> &'static str {
        match self {
            Self::HostMissing | Self::HostRepeated | Self::HostMalformed => "BAD_REQUEST",
            Self::HostRefused => "HOST_REFUSED",
            Self::OriginRefused => "ORIGIN_REFUSED",
            Self::TokenRequired => "TOKEN_REQUIRED",
            Self::TokenInvalid | Self::TokensDiffer => "TOKEN_INVALID",
            Self::ScopeMissing(_) => "SCOPE_MISSING",
        }
    }

    /// The metric label.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::HostMalformed => "host_malformed",
            Self::HostRefused => "host_refused",
            Self::OriginRefused => "origin_refused",
            Self::TokenRequired => "token_required",
            Self::TokenInvalid => "token_invalid",
            Self::TokensDiffer => "tokens_differ",
            Self::ScopeMissing(_) => "scope_missing",
        }
    }
}
