//! See `kluis_hostile`, target `accept_header`.
#![no_main]

kluis_fuzz::main!("accept_header");
