//! Pure: sandboxes as subdomains of one name, `{id}.{parent}` and `{id}--{key}.{parent}`.

use http::HeaderValue;
use http::header::AUTHORIZATION;
use http::request::Parts;
use service::access::{Host, HostPattern, request_host};
use service::settings::{Kind, SettingValue};

/// The name whose subdomains are sandboxes, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    name: Box<str>,
    below: HostPattern,
}

impl Parent {
    /// `example.org`
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name and everything below it, as hosts that we answer to.
    pub(crate) fn pattern(&self) -> HostPattern {
        self.below.clone()
    }

    /// The request with the key of its host as its token, for clients that send no header and drop
    /// the query. `None` if its host has none, or the header says who sends it.
    pub(crate) fn with_key_as_token(&self, parts: &Parts) -> Option<Parts> {
        if parts.headers.contains_key(AUTHORIZATION) {
            return None;
        }
        let Host::Name(host) = request_host(parts).ok()?.host else { return None };
        let label = host.strip_suffix(&*self.name)?.strip_suffix('.')?;
        let (_, key) = label.split_once("--")?;
        let mut token = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
        token.set_sensitive(true);
        let mut named = parts.clone();
        named.headers.insert(AUTHORIZATION, token);
        Some(named)
    }
}

impl SettingValue for Parent {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a host name; write it like localhost");
        let Some(Host::Name(name)) = Host::parse(text.trim()) else { return Err(wrong()) };
        let below = HostPattern::parse(&format!(".{name}")).ok_or_else(wrong)?;
        Ok(Self { name, below })
    }

    fn show(&self) -> String {
        self.name.to_string()
    }
}

#[cfg(test)]
mod tests;
