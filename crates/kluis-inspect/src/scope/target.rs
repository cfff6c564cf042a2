//! The hosts of a scope, one by one: a million addresses take no memory.

use std::net::IpAddr;

use ipnet::{IpAddrRange, IpNet, Ipv4AddrRange, Ipv6AddrRange};

use super::{Scope, file::HostEntry};
use crate::limits;

/// One host that is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'s> {
    /// By its place in the scope: an address or a name, with ports and AE title of its own.
    Named(usize, &'s str),
    /// By its address.
    Address(IpAddr),
}

/// Named hosts first, then every address of every network, without those that are named.
#[derive(Debug)]
pub struct Hosts<'s> {
    scope: &'s Scope,
    named: usize,
    network: usize,
    range: Option<IpAddrRange>,
}

impl<'s> Hosts<'s> {
    pub(super) fn new(scope: &'s Scope) -> Self {
        Self { scope, named: 0, network: 0, range: None }
    }
}

impl<'s> Iterator for Hosts<'s> {
    type Item = Host<'s>;

    fn next(&mut self) -> Option<Host<'s>> {
        let named: &'s [HostEntry] = &self.scope.file.hosts;
        if let Some(host) = named.get(self.named) {
            let place = self.named;
            self.named = self.named.saturating_add(1);
            return Some(Host::Named(place, &host.name));
        }
        loop {
            if let Some(range) = &mut self.range {
                for address in range.by_ref() {
                    let is_named = || named.iter().any(|host| super::parse_host(&host.name) == Some(address));
                    // a network may stand in another one: the first that has an address gives it
                    let before = self.scope.networks.get(..self.network.saturating_sub(1)).unwrap_or_default();
                    let is_given = || before.iter().any(|other| walked(*other).is_some() && other.contains(&address));
                    if self.scope.allows(address).is_ok() && !is_given() && !is_named() {
                        return Some(Host::Address(address));
                    }
                }
            }
            let network = *self.scope.networks.get(self.network)?;
            self.network = self.network.saturating_add(1);
            self.range = walked(network).map(|_| range(network));
        }
    }
}

/// How many addresses of a network are looked at one by one; none where it only bounds where named hosts may be.
pub(super) fn walked(network: IpNet) -> Option<u64> {
    match network {
        IpNet::V4(network) => Some(1_u64 << (32 - u32::from(network.prefix_len()))),
        IpNet::V6(network) => {
            let bits = 128 - u32::from(network.prefix_len());
            1_u64.checked_shl(bits).filter(|count| bits < 64 && *count <= limits::IPV6_WALKED)
        }
    }
}

/// The network's own address and the one for all are no hosts.
fn range(network: IpNet) -> IpAddrRange {
    match network {
        IpNet::V4(network) if network.prefix_len() < 31 => network.hosts().into(),
        IpNet::V4(network) => Ipv4AddrRange::new(network.network(), network.broadcast()).into(),
        IpNet::V6(network) => Ipv6AddrRange::new(network.network(), network.broadcast()).into(),
    }
}
