//! See `kluis_hostile`, target `export_proof`.
#![no_main]

kluis_fuzz::main!("export_proof");
