//! See `kluis_hostile`, target `pack_reader`.
#![no_main]

kluis_fuzz::main!("pack_reader");
