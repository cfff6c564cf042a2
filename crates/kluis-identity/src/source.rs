//! What counts as one source of connections.

use std::net::{IpAddr, Ipv6Addr};

/// One host has a whole IPv6 network of 64 bits to call from: that is one source.
pub(crate) fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t02_an_ipv6_network_and_a_mapped_address_are_one_source() {
        for (one, other, is_same) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            let [one, other] = [one, other].map(|text| source_of(text.parse().unwrap()));
            assert_eq!(one == other, is_same, "{one} {other}");
        }
    }
}
