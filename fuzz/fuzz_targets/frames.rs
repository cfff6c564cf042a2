//! See `kluis_hostile`, target `frames`.
#![no_main]

kluis_fuzz::main!("frames");
