//! See `kluis_hostile`, target `stow`.
#![no_main]

kluis_fuzz::main!("stow");
