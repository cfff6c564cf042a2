//! The whole server through its public doors. One binary, so that it links once; the tree mirrors the doors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod attacks;
mod commands;
mod crash;
mod crowd;
mod foreign;
mod inspect;
mod memory;
mod proof;
mod support;
mod tamper;
mod web;
