//! See `kluis_hostile`, target `association`.
#![no_main]

kluis_fuzz::main!("association");
