//! Every limit of this crate. Sizes in bytes.

use std::time::Duration;

/// A scope file.
pub const SCOPE_BYTES: u64 = 256 << 10;
/// A signed note or a key.
pub const NOTE_BYTES: u64 = 16 << 10;
/// Networks of a scope, and of its skip list.
pub const NETWORKS: usize = 256;
/// Hosts that a scope names.
pub const HOSTS: usize = 4_096;
/// Sites of a scope.
pub const SITES: usize = 1_024;
/// Windows and quiet hours of a scope, each.
pub const WINDOWS: usize = 64;
/// Ports that are tried at a host.
pub const PORTS: usize = 64;
/// Addresses of one run.
pub const ADDRESSES: u64 = 1 << 20;
/// An IPv6 network with more addresses than this is not walked through: it only bounds where named hosts may be.
pub const IPV6_WALKED: u64 = 1 << 16;
/// Addresses of one name.
pub const ADDRESSES_OF_NAME: usize = 16;
/// The longest validity of a scope, in days.
pub const VALIDITY_DAYS: i64 = 90;
/// A text of a scope or of an answer that is shown.
pub const TEXT_CHARS: usize = 200;
/// Connections a second, unless the scope says otherwise, and at most.
pub const CONNECTS_PER_S: u32 = 10;
/// The most that a scope may ask for.
pub const CONNECTS_PER_S_MAX: u32 = 1_000;
/// Hosts that are looked at at one time; one association a host.
pub const HOSTS_AT_ONCE: usize = 2_048;
/// How long a peer may take to answer: a socket that waits is silent no longer than this.
pub const ANSWER: Duration = Duration::from_secs(1);
/// The most that a scope may ask for.
pub const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a connection may take to come about. The kernel knows after three seconds that no neighbour has an address.
pub const CONNECT: Duration = Duration::from_secs(4);
/// A scan file, or one of another tool.
pub const SCAN_BYTES: u64 = 256 << 20;
