//! See `kluis_hostile`, target `ledger_note`.
#![no_main]

kluis_fuzz::main!("ledger_note");
