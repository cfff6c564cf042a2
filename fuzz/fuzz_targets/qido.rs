//! See `kluis_hostile`, target `qido`.
#![no_main]

kluis_fuzz::main!("qido");
