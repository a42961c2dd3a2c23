//! Pure: the networks whose proxies may say how a client reached them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network in CIDR form, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: u128,
    bits: u32,
    v4: bool,
}

impl Network {
    /// Reads `10.0.0.0/8`, `fd00::/8`, `192.0.2.7`. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let (value, v4) = number(address.parse().ok()?);
        let width = if v4 { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then(|| Self { base: mask(value, bits, width), bits, v4 })
    }

    /// Whether the address lies in it. An IPv4 address inside IPv6 counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (value, v4) = number(address.to_canonical());
        let width = if v4 { 32 } else { 128 };
        v4 == self.v4 && mask(value, self.bits, width) == self.base
    }
}

fn number(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

fn mask(value: u128, bits: u32, width: u32) -> u128 {
    // A shift by the whole width is not defined, so the empty prefix is its own case.
    if bits == 0 { 0 } else { value >> (width - bits) << (width - bits) }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits;
        if self.v4 {
            // The base was made from an IPv4 address, so it fits.
            let base = u32::try_from(self.base).unwrap_or_default();
            write!(f, "{}/{bits}", Ipv4Addr::from_bits(base))
        } else {
            write!(f, "{}/{bits}", Ipv6Addr::from_bits(self.base))
        }
    }
}
