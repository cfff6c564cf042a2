//! See `kluis_hostile`, target `file_meta`.
#![no_main]

kluis_fuzz::main!("file_meta");
