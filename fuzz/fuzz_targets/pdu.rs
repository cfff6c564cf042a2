//! See `kluis_hostile`, target `pdu`.
#![no_main]

kluis_fuzz::main!("pdu");
