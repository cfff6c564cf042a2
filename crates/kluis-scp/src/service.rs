//! The table of what this edge offers. The refusal tests and the conformance statement walk it.

use kluis_dicom::sop_class::{self, SopClass, SopClassKind};
use kluis_dimse::command::CommandField;

/// One service class of which this node is provider (SCP).
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Name of the service class (PS3.4).
    pub name: &'static str,
    /// The clause of PS3.4.
    pub clause: &'static str,
    /// The request that it answers.
    pub command: CommandField,
    /// Name of the operation that the gate is asked for ([`kluis_policy::Operation::name`]).
    pub operation: &'static str,
    kind: SopClassKind,
}

impl Service {
    /// The SOP classes that are accepted for it.
    pub fn sop_classes(&self) -> impl Iterator<Item = &'static SopClass> {
        let kind = self.kind;
        sop_class::all().filter(move |class| class.kind == kind)
    }

    /// Whether it offers this SOP class.
    #[must_use]
    pub fn offers(&self, class: &SopClass) -> bool {
        class.kind == self.kind
    }
}

/// All services. A line more here needs its refusal tests.
pub const SERVICES: &[Service] = &[
    Service {
        name: "Verification",
        clause: "PS3.4 Annex A",
        command: CommandField::C_ECHO_RQ,
        operation: "echo",
        kind: SopClassKind::Verification,
    },
    Service {
        name: "Storage",
        clause: "PS3.4 Annex B",
        command: CommandField::C_STORE_RQ,
        operation: "store",
        kind: SopClassKind::Storage,
    },
];

#[cfg(test)]
mod tests {
    use kluis_policy::Operation;

    use super::*;

    #[test]
    fn every_service_names_an_operation_and_offers_classes() {
        let operations: Vec<_> = SERVICES.iter().map(|service| service.operation).collect();
        assert_eq!(operations, [Operation::Echo.name(), Operation::Store { study: None }.name()]);
        let counts: Vec<_> = SERVICES.iter().map(|service| service.sop_classes().count()).collect();
        assert_eq!(counts, [1, sop_class::storage().count()]);
        assert!(counts[1] > 150, "{counts:?}");
    }
}
