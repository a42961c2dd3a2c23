//! Pure: the types a setting can have, and how each is read and shown.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::units;
use crate::access::{HostPattern, Network, Origin};

/// A type that a setting can have.
pub trait SettingValue: Any + Clone + Send + Sync {
    /// What the documentation calls it.
    const KIND: Kind;

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong and how to write it; the text starts with the value or a verb.
    fn read(text: &str) -> Result<Self, String>;

    /// Shows it as it could be written.
    fn show(&self) -> String;

    /// Its place in an order, for settings with a range. `None` for types without one.
    fn rank(&self) -> Option<u64> {
        None
    }
}

/// What the documentation calls the type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A time with a unit.
    Duration,
    /// A number of bytes with a unit.
    Size,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// An address with a port.
    Address,
    /// A file or folder.
    Path,
    /// An address of the web.
    Url,
    /// Any text.
    Text,
    /// Several, separated by commas; in the file an array.
    List,
    /// A text that is never shown; also as `..._FILE`.
    Secret,
}

impl Kind {
    /// One word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Number => "number",
            Self::Switch => "true or false",
            Self::Address => "address:port",
            Self::Path => "path",
            Self::Url => "URL",
            Self::Text => "text",
            Self::List => "list",
            Self::Secret => "secret",
        }
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(pub u64);

impl Size {
    /// As a length in memory; on a machine with smaller words as much as it can hold.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A text that no log, help, error or debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself: hand it to what needs it and to nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// An `http` or `https` URL without user, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, host and port.
    pub origin: Origin,
    /// The path without a final slash; empty for the root.
    pub path: String,
}

impl SettingValue for Duration {
    const KIND: Kind = Kind::Duration;

    fn read(text: &str) -> Result<Self, String> {
        units::parse_duration(text)
    }

    fn show(&self) -> String {
        units::show_duration(*self)
    }

    fn rank(&self) -> Option<u64> {
        Some(u64::try_from(self.as_millis()).unwrap_or(u64::MAX))
    }
}

impl SettingValue for Size {
    const KIND: Kind = Kind::Size;

    fn read(text: &str) -> Result<Self, String> {
        units::parse_size(text).map(Self)
    }

    fn show(&self) -> String {
        units::show_size(self.0)
    }

    fn rank(&self) -> Option<u64> {
        Some(self.0)
    }
}

impl SettingValue for u64 {
    const KIND: Kind = Kind::Number;

    fn read(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| format!("{text:?} is not a whole number"))
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn rank(&self) -> Option<u64> {
        Some(*self)
    }
}

impl SettingValue for bool {
    const KIND: Kind = Kind::Switch;

    fn read(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for SocketAddr {
    const KIND: Kind = Kind::Address;

    fn read(text: &str) -> Result<Self, String> {
        text.trim()
            .parse()
            .map_err(|_| format!("{text:?} is not an address; write it like 127.0.0.1:7300"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for PathBuf {
    const KIND: Kind = Kind::Path;

    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("is empty".to_owned()) } else { Ok(Self::from(text)) }
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl SettingValue for String {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl SettingValue for Secret {
    const KIND: Kind = Kind::Secret;

    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        // What a header can carry, so that no token works in a URL and fails in a header.
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("holds a space, a control or a non-ASCII character".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> String {
        "(set)".to_owned()
    }
}

impl SettingValue for PublicUrl {
    const KIND: Kind = Kind::Url;

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a URL; write it like https://example.org");
        let after_scheme = text.find("://").ok_or_else(wrong)? + 3;
        let slash = text[after_scheme..].find('/').map_or(text.len(), |at| after_scheme + at);
        let (front, path) = text.split_at(slash);
        let origin = Origin::parse(front).ok_or_else(wrong)?;
        if !matches!(origin.scheme(), "http" | "https") || path.contains(['?', '#', ' ']) {
            return Err(wrong());
        }
        Ok(Self { origin, path: path.trim_end_matches('/').to_owned() })
    }

    fn show(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }
}

impl SettingValue for HostPattern {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            format!(
                "{text:?} is not a host name; write example.org, or .example.org with all below it"
            )
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for Origin {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text)
            .ok_or_else(|| format!("{text:?} is not an origin; write it like https://example.org"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for Network {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text)
            .ok_or_else(|| format!("{text:?} is not a network; write it like 10.0.0.0/8"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl<T: SettingValue> SettingValue for Vec<T> {
    const KIND: Kind = Kind::List;

    fn read(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(T::read).collect()
    }

    fn show(&self) -> String {
        self.iter().map(T::show).collect::<Vec<_>>().join(", ")
    }
}
