//! What must hold for any bytes: one function for each fuzz target, with assertions beyond "no panic".
//!
//! The functions panic where something does not hold. `fuzz/` runs them under libFuzzer; the tests of this crate run them on
//! stable over every file of `fuzz/corpus`. A target must not ask for a clock, the network or files of its own choosing.

mod accept_header;
mod association;
mod byte_gate;
mod dicom_json;
mod dimse_command;
mod export_proof;
mod file_meta;
mod frames;
mod input;
mod ledger_note;
mod multipart;
mod pack_reader;
mod pdu;
mod proof_verifier;
mod qido;
mod seeds;
mod stow;
mod worklist;

pub use seeds::seeds;

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its folder of the corpus and of its program.
    pub name: &'static str,
    /// Panics where something does not hold for the bytes.
    pub check: fn(&[u8]),
    /// The most memory that one run may take, in bytes.
    pub memory: fn(usize) -> usize,
    /// The longest input that makes sense, in bytes.
    pub longest: usize,
}

/// Memory for what is read once: some copies of the input, and what parsers hold beside it.
fn linear(length: usize) -> usize {
    64 * length + (2 << 20)
}

/// Memory for what goes through the gate, whose limits in these targets are small (see `byte_gate::limits`).
fn gated(length: usize) -> usize {
    128 * length + (8 << 20)
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "accept_header", check: accept_header::accept_header, memory: linear, longest: 16 << 10 },
    Target { name: "association", check: association::association, memory: linear, longest: 16 << 10 },
    Target { name: "byte_gate", check: byte_gate::byte_gate, memory: gated, longest: 16 << 10 },
    Target { name: "dicom_json", check: dicom_json::dicom_json, memory: gated, longest: 8 << 10 },
    Target { name: "dimse_command", check: dimse_command::dimse_command, memory: linear, longest: 4 << 10 },
    Target { name: "export_proof", check: export_proof::export_proof, memory: linear, longest: 16 << 10 },
    Target { name: "file_meta", check: file_meta::file_meta, memory: gated, longest: 4 << 10 },
    Target { name: "frames", check: frames::frames, memory: gated, longest: 8 << 10 },
    Target { name: "ledger_note", check: ledger_note::ledger_note, memory: linear, longest: 4 << 10 },
    Target { name: "multipart", check: multipart::multipart, memory: linear, longest: 32 << 10 },
    Target { name: "negotiation", check: association::negotiation, memory: linear, longest: 4 << 10 },
    Target { name: "pack_reader", check: pack_reader::pack_reader, memory: gated, longest: 4 << 10 },
    Target { name: "pdu", check: pdu::pdu, memory: linear, longest: 16 << 10 },
    Target { name: "proof_verifier", check: proof_verifier::proof_verifier, memory: linear, longest: 4 << 10 },
    Target { name: "qido", check: qido::qido, memory: linear, longest: 4 << 10 },
    Target { name: "stow", check: stow::stow, memory: gated, longest: 16 << 10 },
    Target { name: "worklist", check: worklist::worklist, memory: gated, longest: 8 << 10 },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
