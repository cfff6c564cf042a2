//! What sort of place an address is, and the address behind the many ways to write one.
//!
//! Link-local addresses and those of the metadata services of clouds answer for the machine that asks and not for an
//! estate: they are never inspected, in no spelling (RFC 3927, RFC 4291, RFC 6890).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

use super::ScopeError;

/// What sort of place an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// This machine itself.
    Loopback,
    /// Of a network that the Internet does not reach (RFC 1918, RFC 4193, RFC 6598).
    Private,
    /// Everything that is not said otherwise.
    Public,
    /// Link-local.
    LinkLocal,
    /// The metadata service of a cloud.
    Metadata,
    /// Unspecified, multicast, broadcast or reserved.
    Reserved,
    /// An IPv4 address carried in IPv6 by a translator or tunnel, whose way is not ours to know.
    Translated,
}

impl Class {
    /// Whether nothing is ever sent there.
    #[must_use]
    pub fn is_never(self) -> bool {
        matches!(self, Self::LinkLocal | Self::Metadata | Self::Reserved | Self::Translated)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "this machine itself",
            Self::Private => "private",
            Self::Public => "public",
            Self::LinkLocal => "link-local",
            Self::Metadata => "the metadata service of a cloud",
            Self::Reserved => "reserved",
            Self::Translated => "behind a translator of addresses",
        })
    }
}

/// Metadata services that have addresses of a class that is otherwise inspected.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

/// What sort of place an address is; an IPv4 address mapped into IPv6 is what the IPv4 address is.
#[must_use]
pub fn classify(address: IpAddr) -> Class {
    match plain(address) {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

/// The IPv4 address of a mapped one (`::ffff:0:0/96`).
pub(super) fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn classify_v4(address: Ipv4Addr) -> Class {
    let [a, b, c, _] = address.octets();
    if METADATA_V4.contains(&address) {
        return Class::Metadata;
    }
    match (a, b, c) {
        (127, ..) => Class::Loopback,
        (169, 254, _) => Class::LinkLocal,
        (0 | 224..=255, ..) | (192, 0, 0) => Class::Reserved,
        (10, ..) | (192, 168, _) | (172, 16..=31, _) | (100, 64..=127, _) => Class::Private,
        _ => Class::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> Class {
    if METADATA_V6.contains(&address) {
        return Class::Metadata;
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // ::/96 is unspecified or the retired IPv4-compatible form
        [0, 0, 0, 0, 0, 0, ..] | [0xff00..=0xffff, ..] | [0x100, 0, 0, 0, ..] => Class::Reserved,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        [0xfec0..=0xfeff, ..] => Class::Reserved,
        // NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380), IPv4-translated (RFC 2765)
        [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Class::Translated,
        [0xfc00..=0xfdff, ..] => Class::Private,
        _ => Class::Public,
    }
}

/// The address that a host field stands for, in all spellings that resolvers take as one: dotted, decimal, octal,
/// hexadecimal, with fewer than four parts, and IPv6 with or without brackets. None where it is a name.
#[must_use]
pub fn parse_host(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(|address| plain(IpAddr::V6(address)));
    }
    parse_v4(text.strip_suffix('.').unwrap_or(text)).map(IpAddr::V4)
}

/// As `inet_aton` reads it.
fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(parse_part).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 || leading.iter().any(|part| *part > 255) {
        return None;
    }
    let bits = u32::try_from(leading.len()).ok()?.checked_mul(8)?;
    let room = u32::MAX.checked_shr(bits)?;
    if *last > room {
        return None;
    }
    let head = leading.iter().fold(0_u32, |value, part| (value << 8) | part);
    let head = if bits == 0 { 0 } else { head << (32 - bits) };
    Some(Ipv4Addr::from_bits(head | last))
}

fn parse_part(part: &str) -> Option<u32> {
    let (digits, radix) = match part.as_bytes() {
        [b'0', b'x' | b'X', ..] => (part.get(2..)?, 16),
        [b'0', _, ..] => (part, 8),
        _ => (part, 10),
    };
    // `from_str_radix` takes a sign, an address does not
    let is_digits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    if is_digits { u32::from_str_radix(digits, radix).ok() } else { None }
}

/// Refuses a network in which every address is refused anyway, and public ones without the flag.
pub(super) fn require_inspectable(network: IpNet, is_public: bool) -> Result<(), ScopeError> {
    for edge in [network.network(), network.broadcast()] {
        let class = classify(edge);
        // the edges of a large private network are no hosts; a single address is
        let is_whole = classify(network.network()) == classify(network.broadcast());
        if class.is_never() && is_whole {
            return Err(ScopeError::Never(network.to_string(), class));
        }
        if class == Class::Public && !is_public {
            return Err(ScopeError::Public(network.to_string()));
        }
    }
    // a network over borders of classes holds public addresses between its edges: 0.0.0.0/0, 168.0.0.0/6
    let is_mixed = classify(network.network()) != classify(network.broadcast()) || network.prefix_len() < 7;
    if is_mixed && !is_public { Err(ScopeError::Public(network.to_string())) } else { Ok(()) }
}
