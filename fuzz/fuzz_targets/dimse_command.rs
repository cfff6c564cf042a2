//! See `kluis_hostile`, target `dimse_command`.
#![no_main]

kluis_fuzz::main!("dimse_command");
