//! See `kluis_hostile`, target `multipart`.
#![no_main]

kluis_fuzz::main!("multipart");
