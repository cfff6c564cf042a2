//! See `kluis_hostile`, target `proof_verifier`.
#![no_main]

kluis_fuzz::main!("proof_verifier");
