//! See `kluis_hostile`, target `byte_gate`.
#![no_main]

kluis_fuzz::main!("byte_gate");
