//! See `kluis_hostile`, target `negotiation`.
#![no_main]

kluis_fuzz::main!("negotiation");
