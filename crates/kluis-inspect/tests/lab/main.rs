//! The laboratory: real products, each in a network of its own that has nothing but a loopback interface, and what the
//! inspector says of them. No packet of these tests can leave the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bad_peers;
mod decoys;
mod guard_rails;
mod levels;
mod network;
mod peers;
mod secure;
mod site;
