//! The DICOM conformance statement (PS3.2), made of the tables that the doors are built from.
//!
//! `KLUIS_WRITE_DOCS=1 cargo test -p kluis-scp statement` writes it to `docs/conformance/dicom.md`; without the variable the
//! test fails where the file is another.

use std::fmt::Write;

use kluis_dicom::{
    implementation,
    sop_class::{self, SopClass, SopClassKind},
    transfer_syntax,
};
use kluis_dimse::limits as dimse;

use crate::{SERVICES, limits};

/// SOP classes of which we are user: what for, and the class.
const USED: &[(&str, &str)] = &[
    ("Verification, by `kluis dicom echo`", "1.2.840.10008.1.1"),
    ("Query, by `kluis dicom find`", "1.2.840.10008.5.1.4.1.2.1.1"),
    ("Query, by `kluis dicom find`", "1.2.840.10008.5.1.4.1.2.2.1"),
    ("Modality Worklist, by `kluis dicom find`", "1.2.840.10008.5.1.4.31"),
    ("Retrieve, by `kluis dicom move`", "1.2.840.10008.5.1.4.1.2.1.2"),
    ("Retrieve, by `kluis dicom move`", "1.2.840.10008.5.1.4.1.2.2.2"),
    ("Retrieve, by `kluis dicom get`", "1.2.840.10008.5.1.4.1.2.1.3"),
    ("Retrieve, by `kluis dicom get`", "1.2.840.10008.5.1.4.1.2.2.3"),
    ("Storage Commitment, by `kluis dicom commit`", "1.2.840.10008.1.20.1"),
];

/// The whole statement, in Markdown.
#[must_use]
pub fn statement() -> String {
    let mut text = String::new();
    // a String takes whatever is written
    let _ = overview(&mut text);
    let _ = networking(&mut text);
    let _ = annexes(&mut text);
    text
}

fn overview(out: &mut String) -> std::fmt::Result {
    writeln!(out, "# DICOM conformance statement\n")?;
    writeln!(
        out,
        "Made by `cargo test -p kluis-scp` from the tables of the program, version {}; in the order of PS3.2. What holds for \
         single services, with every status, stands in [conformance.md](../conformance.md); DICOMweb too.\n",
        env!("CARGO_PKG_VERSION")
    )?;
    writeln!(out, "## 1 Overview\n\n| service class | SOP classes | SCP | SCU |\n|---|---:|---|---|")?;
    for service in SERVICES {
        let count = service.sop_classes().count();
        let used = service.sop_classes().any(is_used);
        let _ = writeln!(out, "| {} ({}) | {count} | yes | {} |", service.name, service.clause, yes(used));
    }
    writeln!(out)
}

fn is_used(class: &SopClass) -> bool {
    class.kind == SopClassKind::Storage || USED.iter().any(|(_, uid)| *uid == class.uid)
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

fn networking(out: &mut String) -> std::fmt::Result {
    writeln!(out, "## 4 Networking\n\n### 4.2 AE specifications\n")?;
    writeln!(out, "One application entity. Its AE title is `KLUIS` unless `kluis.toml` says otherwise.\n")?;
    writeln!(out, "#### 4.2.1.2 Association policies\n\n| | |\n|---|---|")?;
    let rows = [
        ("application context", "1.2.840.10008.3.1.1.1".to_owned()),
        ("associations at once; of one device; of one address", {
            let (all, device, source) =
                (limits::ASSOCIATIONS, limits::ASSOCIATIONS_PER_DEVICE, limits::ASSOCIATIONS_PER_SOURCE);
            format!("{all}; {device}; {source}")
        }),
        ("asynchronous operations", "one at a time; answered with 1, 1".to_owned()),
        ("maximum length announced; taken", format!("{}; {}", dimse::MAXIMUM_LENGTH, dimse::DATA_PDU)),
        ("presentation contexts", dimse::PRESENTATION_CONTEXTS.to_string()),
        ("implementation class UID", implementation::class_uid().to_string()),
        ("implementation version name", implementation::VERSION_NAME.to_owned()),
        ("sub-operations of one retrieval", limits::SUB_OPERATIONS.to_string()),
        ("associations of one C-MOVE to its destination", limits::ASSOCIATIONS_PER_MOVE.to_string()),
    ];
    for (what, is) in rows {
        writeln!(out, "| {what} | {is} |")?;
    }
    writeln!(out, "\n#### 4.2.1.3 Association initiation\n\n| for | SOP class | UID |\n|---|---|---|")?;
    let storage = "C-MOVE, and rules that send on";
    writeln!(out, "| {storage} | every class of Storage below | |")?;
    let commitment = sop_class::lookup("1.2.840.10008.1.20.1");
    if let Some(class) = commitment {
        writeln!(out, "| results of storage commitment, as SCP (role selection) | {} | {} |", class.name, class.uid)?;
    }
    for (what, uid) in USED {
        let name = sop_class::lookup(uid).map_or("", |class| class.name);
        writeln!(out, "| {what} | {name} | {uid} |")?;
    }
    writeln!(out, "\n#### 4.2.1.4 Association acceptance\n")?;
    for service in SERVICES {
        writeln!(out, "**{}** ({}, {})\n", service.name, service.clause, service.command.name())?;
        writeln!(out, "| SOP class | UID |\n|---|---|")?;
        for class in service.sop_classes() {
            let retired = if class.is_retired { " (retired)" } else { "" };
            writeln!(out, "| {}{retired} | {} |", class.name, class.uid)?;
        }
        writeln!(out)?;
    }
    writeln!(
        out,
        "For Storage every transfer syntax below is accepted, the first that is proposed in a context; for the other services \
         implicit VR little endian, explicit VR little endian and explicit VR big endian.\n"
    )?;
    writeln!(out, "| transfer syntax | UID |\n|---|---|")?;
    for syntax in transfer_syntax::all() {
        let retired = if syntax.is_retired { " (retired)" } else { "" };
        writeln!(out, "| {}{retired} | {} |", syntax.name, syntax.uid)?;
    }
    writeln!(out)
}

fn annexes(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "## 6 Character sets\n\nEvery defined term of PS3.3 C.12.1.1.2, code extensions (ISO 2022) among them, is read, in objects and in \
         identifiers. Answers go out in ASCII, ISO_IR 100 or ISO_IR 192, whichever is the first that holds all of them.\n"
    )?;
    writeln!(
        out,
        "## 7 Security\n\nTLS 1.3, and 1.2 with ECDHE and AEAD suites (PS3.15 B.12); certificates on both sides. There is no port \
         without TLS. User identities are read and not believed. Audit: an append-only log of its own form; ATNA messages are not \
         sent."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_in_the_docs_is_that_of_the_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance/dicom.md");
        let made = statement();
        if std::env::var_os("KLUIS_WRITE_DOCS").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let there = std::fs::read_to_string(path).unwrap_or_default();
        let first = made.lines().zip(there.lines()).find(|(made, there)| made != there);
        assert!(made == there, "docs/conformance/dicom.md is another, from {first:?} on: run with KLUIS_WRITE_DOCS=1");
        assert!(made.contains("| CT Image Storage | 1.2.840.10008.5.1.4.1.1.2 |"), "no CT images");
    }
}
