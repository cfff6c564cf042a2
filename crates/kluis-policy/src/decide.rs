//! The permission table: one exhaustive match over principals and operations.

use kluis_dicom::fold;

use crate::{DeviceRight, Operation, Principal, Role};

/// What the gate looked up before it asked. Empty where an operation needs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Referring Physician's Name of the study that a retrieve names, where the study exists.
    pub study_referring: Option<String>,
}

/// Which rows a search or retrieve may see; applied in the database, never after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowFilter {
    /// All studies.
    All,
    /// Studies whose folded Referring Physician's Name equals this one.
    Referring(String),
}

/// The answer of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, for these rows.
    Allowed(RowFilter),
    /// No.
    Denied(Denial),
}

/// Why not. The peer is never told more than "refused" or "not found"; the audit trail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// The device lacks the right.
    #[error("the device lacks the right")]
    DeviceRight,
    /// The role does not include the operation.
    #[error("the role does not include the operation")]
    Role,
    /// The study is not one of the principal's own.
    #[error("the study is not one of the principal's own")]
    NotOwnStudy,
}

/// Decides. Pure: same arguments, same answer.
#[must_use]
pub fn decide(principal: &Principal, operation: &Operation, facts: &Facts) -> Decision {
    match principal {
        Principal::Operator => Decision::Allowed(RowFilter::All),
        Principal::Device { rights, .. } => {
            let allowed = match device_right(operation) {
                DeviceNeed::Nothing => true,
                DeviceNeed::Right(right) => rights.has(right),
                DeviceNeed::Never => false,
            };
            if allowed { Decision::Allowed(RowFilter::All) } else { Decision::Denied(Denial::DeviceRight) }
        }
        Principal::Person { name, role, referring } | Principal::Service { name, role, referring } => {
            if !role_includes(*role, operation) {
                return Decision::Denied(Denial::Role);
            }
            if *role == Role::Referrer {
                let own = fold(referring.as_deref().unwrap_or(name));
                return decide_referrer(own, operation, facts);
            }
            Decision::Allowed(RowFilter::All)
        }
    }
}

enum DeviceNeed {
    Nothing,
    Right(DeviceRight),
    Never,
}

fn device_right(operation: &Operation) -> DeviceNeed {
    match operation {
        Operation::Echo => DeviceNeed::Nothing,
        Operation::Store { .. } => DeviceNeed::Right(DeviceRight::Store),
        Operation::Search { .. } => DeviceNeed::Right(DeviceRight::Find),
        Operation::Retrieve { .. } => DeviceNeed::Right(DeviceRight::Get),
        Operation::ReadLedger { .. }
        | Operation::ViewConsole
        | Operation::ViewViewer
        | Operation::ReadMetrics
        | Operation::ReadApiDescription
        | Operation::SignOut
        | Operation::ManageDevices
        | Operation::ManageUsers
        | Operation::ManageTokens
        | Operation::VerifyArchive => DeviceNeed::Never,
    }
}

fn role_includes(role: Role, operation: &Operation) -> bool {
    use Role::{Admin, Auditor, Radiologist, Referrer, Uploader};
    match operation {
        // a session may always be ended, and the description of the API says nothing about patients
        Operation::SignOut | Operation::ReadApiDescription => true,
        Operation::Echo => false,
        Operation::Store { .. } => matches!(role, Admin | Uploader),
        Operation::Search { .. } | Operation::Retrieve { .. } | Operation::ViewViewer => {
            matches!(role, Admin | Radiologist | Referrer)
        }
        Operation::ViewConsole => matches!(role, Admin | Radiologist | Referrer | Uploader | Auditor),
        Operation::ReadLedger { .. } | Operation::VerifyArchive => matches!(role, Admin | Auditor),
        Operation::ReadMetrics
        | Operation::ManageDevices
        | Operation::ManageUsers
        | Operation::ManageTokens => matches!(role, Admin),
    }
}

fn decide_referrer(own: String, operation: &Operation, facts: &Facts) -> Decision {
    if let Operation::Retrieve { .. } = operation {
        let is_own = facts.study_referring.as_deref().is_some_and(|name| !own.is_empty() && fold(name) == own);
        if !is_own {
            return Decision::Denied(Denial::NotOwnStudy);
        }
    }
    Decision::Allowed(RowFilter::Referring(own))
}
