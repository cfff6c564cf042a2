//! See `kluis_hostile`, target `worklist`.
#![no_main]

kluis_fuzz::main!("worklist");
