//! One host: its ports one after the other, one association at a time.

use std::net::{IpAddr, SocketAddr};

use crate::{
    check::{
        control,
        port::{self, HostView, Port},
    },
    clock,
    guard::{Guard, Refusal},
    identity, judge, limits,
    scan::{Asset, Exposure, Grade, Level},
    scope::{Class, Host, HostEntry, parse_host},
};

/// What came of a host, or of all addresses of a name.
#[derive(Debug, Default)]
pub(crate) struct Inspected {
    pub(crate) assets: Vec<Asset>,
    /// Addresses that were not looked at: out of the scope, not controlled, names that mean nothing.
    pub(crate) refused: u64,
    /// The run ended before the host did.
    pub(crate) is_stopped: bool,
}

/// A host without its scope, so that it can be given to a task.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Name or address, as it stands in the scope or follows from it.
    pub(crate) label: String,
    address: Option<IpAddr>,
    ports: Vec<u16>,
    called_ae: Option<String>,
}

impl Target {
    /// A host of the scope. `port` narrows it to one port.
    pub(crate) fn new(guard: &Guard, host: Host<'_>, port: Option<u16>) -> Self {
        let file = guard.scope().file();
        let entry: Option<&HostEntry> = match host {
            Host::Named(place, _) => file.hosts.get(place),
            Host::Address(_) => None,
        };
        let (label, address) = match host {
            Host::Named(_, name) => (name.to_owned(), parse_host(name)),
            Host::Address(address) => (address.to_string(), Some(address)),
        };
        let ports = entry.map(|entry| &entry.ports).filter(|ports| !ports.is_empty()).unwrap_or(&file.ports);
        let ports = ports.iter().copied().filter(|held| port.is_none_or(|wanted| wanted == *held)).collect();
        Self { label, address, ports, called_ae: entry.and_then(|entry| entry.called_ae.clone()) }
    }
}

/// Looks at a host. A name is resolved once; each of its addresses must be allowed by itself.
pub(crate) async fn inspect(guard: &Guard, target: &Target) -> Inspected {
    let mut inspected = Inspected::default();
    let addresses = match target.address {
        Some(address) => vec![address],
        None => resolve(&target.label).await,
    };
    if addresses.is_empty() {
        inspected.refused = 1;
    }
    for address in addresses {
        let name = target.address.is_none().then_some(target.label.as_str());
        match at(guard, target, address, name).await {
            Ok(Some(asset)) => inspected.assets.push(asset),
            Ok(None) => {}
            Err(Refusal::Stopped) => {
                inspected.is_stopped = true;
                return inspected;
            }
            Err(_) => inspected.refused = inspected.refused.saturating_add(1),
        }
    }
    inspected
}

async fn resolve(name: &str) -> Vec<IpAddr> {
    let Ok(found) = tokio::net::lookup_host((name, 0)).await else { return Vec::new() };
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip().to_canonical()).collect();
    addresses.sort();
    addresses.dedup();
    addresses.truncate(limits::ADDRESSES_OF_NAME);
    addresses
}

async fn at(guard: &Guard, target: &Target, address: IpAddr, name: Option<&str>) -> Result<Option<Asset>, Refusal> {
    let class = guard.permit(SocketAddr::new(address, 0))?;
    if class == Class::Public && !control::is_controlled(guard, address, name).await? {
        return Err(guard.refuse_control(address));
    }
    let host = HostView { guard, address, name, called_ae: target.called_ae.as_deref() };
    let mut services = Vec::new();
    let mut is_spared = false;
    for number in &target.ports {
        match port::check(host, *number).await? {
            Port::Closed => {}
            // a neighbour that is not there is not there at any port
            Port::Absent => break,
            Port::Open(service, is_slow) => {
                services.push(*service);
                if is_slow {
                    is_spared = true;
                    break;
                }
            }
        }
    }
    if services.is_empty() {
        return Ok(None);
    }
    let scope = guard.scope();
    let site = scope.site(address);
    let text = address.to_string();
    let mut asset = Asset {
        id: identity::asset(name, &text, &services),
        address: text,
        name: name.map(str::to_owned),
        site: site.map(|site| site.name.clone()),
        department: site.and_then(|site| site.department.clone()),
        country: site.and_then(|site| site.country.clone()),
        exposure: if class == Class::Public { Exposure::Public } else { Exposure::Internal },
        grade: Grade::A,
        level: Level::E0,
        services,
        findings: Vec::new(),
        is_decoy: false,
        is_spared,
        source: None,
    };
    judge::judge(&mut asset, &scope.file().contact, clock::now());
    Ok(Some(asset))
}
