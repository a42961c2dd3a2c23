//! Pure: which addresses we may connect to.
//!
//! Sessions bring their runner's URL, so a URL may point anywhere. It is judged twice: as written,
//! and at every connect by the address that its name then has; the connection goes to that very
//! address. So neither a redirect nor a name that changes its address leads past the guard.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

/// One entry of the allow-list: who, and on which ports.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    who: Who,
    ports: Option<(u16, u16)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    /// Names: this one, or with a leading dot all below it.
    Name(String),
    /// Addresses.
    Net(IpNet),
}

/// The allow-list. The default allows loopback and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    rules: Vec<Rule>,
}

impl Default for Guard {
    fn default() -> Self {
        let loopback = [
            IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
            IpNet::new_assert(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
        ];
        Self { rules: loopback.map(|net| Rule { who: Who::Net(net), ports: None }).into() }
    }
}

/// Why there is no connection to this place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// Neither http nor https.
    #[error("only http and https are spoken, not {scheme:?}")]
    Scheme {
        /// What it is.
        scheme: String,
    },
    /// A user name or password in the URL.
    #[error("the URL may hold no user name or password: send a header instead")]
    UserInfo,
    /// No host.
    #[error("the URL has no host")]
    NoHost,
    /// Not on the list.
    #[error("{place} is not on the list of allowed runners")]
    NotAllowed {
        /// Host and port.
        place: String,
    },
    /// An address of this machine's link or of a cloud's metadata, and not listed as such.
    #[error(
        "{place} is a link-local, metadata or unspecified address, which must be listed itself"
    )]
    Special {
        /// Address and port.
        place: String,
    },
}

impl Blocked {
    /// A short name for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Scheme { .. } => "scheme",
            Self::UserInfo => "user_info",
            Self::NoHost => "no_host",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Special { .. } => "special",
        }
    }
}

impl Guard {
    /// An allow-list of entries such as `10.0.0.0/8`, `fd00::/8`, `192.0.2.1:8080`, `[::1]:8080`,
    /// `runner.internal`, `*.runners.internal:8000-8999`, `loopback`. Without a port, all are allowed.
    ///
    /// # Errors
    /// The first entry that has none of these forms.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, GuardError> {
        let mut rules = Vec::new();
        for entry in entries {
            if entry == "loopback" {
                rules.extend(Self::default().rules);
            } else {
                rules.push(entry.parse()?);
            }
        }
        Ok(Self { rules })
    }

    /// Judges a URL as it is written: how it is spoken, and its port. Its address is judged by
    /// [`check_address`](Self::check_address).
    ///
    /// # Errors
    /// Why it is blocked.
    pub fn check_url(&self, url: &Url) -> Result<(), Blocked> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Blocked::Scheme { scheme: url.scheme().to_owned() });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Blocked::UserInfo);
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Blocked::NoHost);
        };
        match host {
            Host::Ipv4(ip) => self.check_address("", IpAddr::V4(ip), port),
            Host::Ipv6(ip) => self.check_address("", IpAddr::V6(ip), port),
            // Where no entry names it, its address decides at the connect.
            Host::Domain(name) if self.rules.iter().any(|rule| rule.may_be(name, port)) => Ok(()),
            Host::Domain(name) => Err(Blocked::NotAllowed { place: format!("{name}:{port}") }),
        }
    }

    /// Judges the address that a connection is about to go to; `name` is the URL's host name, empty
    /// where the URL has an address.
    ///
    /// # Errors
    /// Why it is blocked.
    pub fn check_address(&self, name: &str, ip: IpAddr, port: u16) -> Result<(), Blocked> {
        let ip = plain(ip);
        let place =
            || format!("{}:{port}", if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() });
        let of_port = || self.rules.iter().filter(|rule| rule.has_port(port));
        if is_special(ip) {
            let listed = of_port().any(|rule| rule.is_exactly(ip));
            return if listed { Ok(()) } else { Err(Blocked::Special { place: place() }) };
        }
        if of_port().any(|rule| rule.has_address(ip) || rule.has_name(name)) {
            return Ok(());
        }
        Err(Blocked::NotAllowed { place: place() })
    }
}

impl Rule {
    fn has_port(&self, port: u16) -> bool {
        self.ports.is_none_or(|(first, last)| (first..=last).contains(&port))
    }

    fn has_address(&self, ip: IpAddr) -> bool {
        matches!(&self.who, Who::Net(net) if net.contains(&ip))
    }

    fn is_exactly(&self, ip: IpAddr) -> bool {
        matches!(&self.who, Who::Net(net) if net.prefix_len() == net.max_prefix_len() && net.addr() == ip)
    }

    fn has_name(&self, name: &str) -> bool {
        let Who::Name(pattern) = &self.who else { return false };
        let name = name.strip_suffix('.').unwrap_or(name);
        match pattern.strip_prefix('.') {
            Some(_) => name.len() > pattern.len() && name.ends_with(pattern.as_str()),
            None => name == pattern,
        }
    }

    /// Whether a URL with this name and port may pass, as far as can be said without its address.
    fn may_be(&self, name: &str, port: u16) -> bool {
        self.has_port(port) && (matches!(self.who, Who::Net(_)) || self.has_name(name))
    }
}

/// The IPv4 address inside an IPv6 one that only wraps it.
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    // NAT64, RFC 6052.
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments() {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        return IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    }
    IpAddr::V6(v6)
}

/// Addresses at which clouds answer with secrets although they are not link-local.
const METADATA: [IpAddr; 4] = [
    // Alibaba Cloud, Azure, Oracle Cloud, Amazon EC2 over IPv6.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

fn is_special(ip: IpAddr) -> bool {
    METADATA.contains(&ip)
        || ip.is_unspecified()
        || ip.is_multicast()
        || match ip {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0,
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        }
}

/// An entry that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardError {
    entry: String,
}

impl fmt::Display for GuardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no entry of a list of allowed runners: write an address, a network such as \
             10.0.0.0/8, a name, *.name, or loopback, each perhaps with :port or :first-last",
            self.entry
        )
    }
}

impl std::error::Error for GuardError {}

impl FromStr for Rule {
    type Err = GuardError;

    fn from_str(entry: &str) -> Result<Self, GuardError> {
        let refused = || GuardError { entry: entry.to_owned() };
        if let Some(net) = net(entry) {
            return Ok(Self { who: Who::Net(net), ports: None });
        }
        let (who, ports) = match entry.rsplit_once(':') {
            Some((who, ports)) => (who, Some(self::ports(ports).ok_or_else(refused)?)),
            None => (entry, None),
        };
        let inner = who.strip_prefix('[').and_then(|who| who.strip_suffix(']'));
        if let Some(net) =
            net(inner.unwrap_or(who)).filter(|net| inner.is_some() || net.addr().is_ipv4())
        {
            return Ok(Self { who: Who::Net(net), ports });
        }
        let name = who.strip_prefix("*.").unwrap_or(who);
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        // Something with only digits and dots is a mistyped address.
        let mistyped = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !name.split('.').all(is_label) || mistyped {
            return Err(refused());
        }
        let dot = if who.starts_with('*') { "." } else { "" };
        Ok(Self { who: Who::Name(format!("{dot}{}", name.to_ascii_lowercase())), ports })
    }
}

fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests;
