//! Pure: why a request was not let in, for programs and for people.

use http::StatusCode;

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
}

impl AccessDenied {
    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::HostMissing | Self::HostRepeated | Self::HostMalformed => StatusCode::BAD_REQUEST,
            Self::HostRefused | Self::OriginRefused => StatusCode::FORBIDDEN,
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
        }
    }
}
