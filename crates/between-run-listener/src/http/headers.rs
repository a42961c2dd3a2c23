//! The headers that a session's settings add to requests.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// What the client itself says; settings cannot.
const OURS: [&str; 13] = [
    "accept",
    "accept-encoding",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers from settings. Their values are secrets: nothing shows them but the request itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(HeaderMap);

impl Headers {
    /// Headers of these names and values.
    ///
    /// # Errors
    /// A name or value that no header can have, or a header that is not for settings to say. The
    /// error does not show the value.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, HeaderError> {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let parsed = HeaderName::try_from(name)
                .map_err(|_| HeaderError::Name { name: name.to_owned() })?;
            if OURS.contains(&parsed.as_str()) {
                return Err(HeaderError::Reserved { name: name.to_owned() });
            }
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| HeaderError::Value { name: name.to_owned() })?;
            value.set_sensitive(true);
            map.append(parsed, value);
        }
        Ok(Self(map))
    }

    /// Their names, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(HeaderName::as_str)
    }

    pub(super) fn map(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Why settings make no headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// No header has such a name.
    #[error("the header name {name:?} may have only letters, digits and -_.!#$%&'*+^`|~")]
    Name {
        /// As it was given.
        name: String,
    },
    /// No header has such a value.
    #[error("the value of header {name:?} may have no control characters")]
    Value {
        /// Whose.
        name: String,
    },
    /// It is part of how the request itself works.
    #[error("header {name:?} is set by the gateway itself; leave it out")]
    Reserved {
        /// As it was given.
        name: String,
    },
}
