//! Pure: a range of ports as the settings name it.

use std::fmt;

use service::settings::{Kind, SettingValue};

/// `7400-7499`, or `7400` alone; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Every port, the lowest first.
    pub(crate) fn ports(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }

    /// How many there are.
    pub(crate) fn count(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl SettingValue for PortRange {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            (Some(_), Some(_)) => Err(format!("{text:?} ends before it begins")),
            (None, _) | (_, None) => {
                Err(format!("{text:?} is not a range of ports; write it like 7400-7499"))
            }
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}
