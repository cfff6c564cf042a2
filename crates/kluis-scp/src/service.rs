//! The table of what this edge offers. The refusal tests and the conformance statement walk it.

use kluis_dicom::sop_class::{self, SopClass, SopClassKind};
use kluis_dimse::command::CommandField;

use crate::{
    commitment::PUSH_MODEL,
    performed_step::PERFORMED_STEP,
    query::{FIND_CLASSES, GET_CLASSES, MOVE_CLASSES},
    worklist::MODALITY_WORKLIST,
};

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
    offered: Offered,
}

/// Which SOP classes.
#[derive(Debug, Clone, Copy)]
enum Offered {
    /// All of a kind.
    Kind(SopClassKind),
    /// These.
    These(&'static [&'static str]),
}

impl Service {
    /// The SOP classes that are accepted for it.
    pub fn sop_classes(&self) -> impl Iterator<Item = &'static SopClass> {
        let service = *self;
        sop_class::all().filter(move |class| service.offers(class))
    }

    /// Whether it offers this SOP class.
    #[must_use]
    pub fn offers(&self, class: &SopClass) -> bool {
        match self.offered {
            Offered::Kind(kind) => class.kind == kind,
            Offered::These(uids) => uids.contains(&class.uid),
        }
    }
}

/// All services. A line more here needs its refusal tests.
pub const SERVICES: &[Service] = &[
    Service {
        name: "Verification",
        clause: "PS3.4 Annex A",
        command: CommandField::C_ECHO_RQ,
        operation: "echo",
        offered: Offered::Kind(SopClassKind::Verification),
    },
    Service {
        name: "Storage",
        clause: "PS3.4 Annex B",
        command: CommandField::C_STORE_RQ,
        operation: "store",
        offered: Offered::Kind(SopClassKind::Storage),
    },
    Service {
        name: "Query",
        clause: "PS3.4 Annex C",
        command: CommandField::C_FIND_RQ,
        operation: "search-studies",
        offered: Offered::These(FIND_CLASSES),
    },
    Service {
        name: "Retrieve",
        clause: "PS3.4 Annex C",
        command: CommandField::C_GET_RQ,
        operation: "retrieve",
        offered: Offered::These(GET_CLASSES),
    },
    Service {
        name: "Retrieve to a third",
        clause: "PS3.4 Annex C",
        command: CommandField::C_MOVE_RQ,
        operation: "move",
        offered: Offered::These(MOVE_CLASSES),
    },
    Service {
        name: "Storage Commitment",
        clause: "PS3.4 Annex J",
        command: CommandField::N_ACTION_RQ,
        operation: "commit",
        offered: Offered::These(&[PUSH_MODEL]),
    },
    Service {
        name: "Modality Worklist",
        clause: "PS3.4 Annex K",
        command: CommandField::C_FIND_RQ,
        operation: "search-worklist",
        offered: Offered::These(&[MODALITY_WORKLIST]),
    },
    Service {
        name: "Modality Performed Procedure Step, creation",
        clause: "PS3.4 Annex F",
        command: CommandField::N_CREATE_RQ,
        operation: "perform-step",
        offered: Offered::These(&[PERFORMED_STEP]),
    },
    Service {
        name: "Modality Performed Procedure Step, update",
        clause: "PS3.4 Annex F",
        command: CommandField::N_SET_RQ,
        operation: "perform-step",
        offered: Offered::These(&[PERFORMED_STEP]),
    },
];

#[cfg(test)]
mod tests {
    use kluis_policy::{Operation, Target};

    use super::*;

    #[test]
    fn every_service_names_an_operation_and_offers_classes() {
        let operations: Vec<_> = SERVICES.iter().map(|service| service.operation).collect();
        let search = Operation::Search { level: kluis_policy::Level::Study };
        let retrieve = Operation::Retrieve { target: Target::study("1.2".parse().unwrap()) };
        let store = Operation::Store { study: None };
        let (target, destination) = (Target::study("1.2".parse().unwrap()), "WORKSTATION".parse().unwrap());
        let transfer = Operation::Move { target, destination };
        let expected =
            [&Operation::Echo, &store, &search, &retrieve, &transfer, &Operation::Commit].map(Operation::name);
        let step = Operation::PerformStep.name();
        assert_eq!(operations, [&expected[..], &[Operation::SearchWorklist.name(), step, step]].concat());
        let counts: Vec<_> = SERVICES.iter().map(|service| service.sop_classes().count()).collect();
        assert_eq!(counts, [1, sop_class::storage().count(), 3, 3, 3, 1, 1, 1, 1]);
        assert!(counts[1] > 150, "{counts:?}");
    }
}
