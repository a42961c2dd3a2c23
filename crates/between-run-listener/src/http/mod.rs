//! How runners are asked: HTTP/1.1 over connections of their own, and only to addresses that are
//! allowed.
//!
//! One request a connection. A stream is read for hours and a posted run must never be sent twice,
//! so a kept connection, which may be gone just when it is used, would save nothing and cost that.

mod client;
mod connect;
mod error;
mod follow;
mod guard;
mod headers;
mod path;
mod response;
mod tls;
mod wire;

pub use client::{Client, Options, Request};
pub use connect::{Resolve, SystemResolver};
pub use error::{CollectError, SendError};
pub use guard::{Blocked, Guard, GuardError};
pub use headers::{HeaderError, Headers};
pub use path::{PathError, fill, join};
pub use response::{Body, Response};
pub use tls::{RootsError, Trust};

use url::Url;

/// Whose stream a listener reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub url: Url,
    /// What to send along.
    pub headers: Headers,
}
