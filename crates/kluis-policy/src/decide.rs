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
        Operation::Move { .. } => DeviceNeed::Right(DeviceRight::Move),
        Operation::Commit => DeviceNeed::Right(DeviceRight::Commit),
        Operation::SearchWorklist | Operation::PerformStep => DeviceNeed::Right(DeviceRight::Worklist),
        Operation::ManageWorklist
        | Operation::ReadLedger { .. }
        | Operation::ViewConsole
        | Operation::ViewUpload
        | Operation::ViewViewer
        | Operation::ReadMetrics
        | Operation::ReadApiDescription
        | Operation::SignOut
        | Operation::ManageDevices
        | Operation::ManageUsers
        | Operation::ManageTokens
        | Operation::VerifyArchive
        | Operation::Export { .. } => DeviceNeed::Never,
    }
}

fn role_includes(role: Role, operation: &Operation) -> bool {
    use Role::{Admin, Auditor, Radiologist, Referrer, Scheduler, Uploader};
    match operation {
        // a session may always be ended, and the description of the API says nothing about patients
        Operation::SignOut | Operation::ReadApiDescription => true,
        // people and programs fetch; where a device listens is for devices to ask
        Operation::Echo | Operation::Move { .. } | Operation::Commit | Operation::PerformStep => false,
        Operation::SearchWorklist | Operation::ManageWorklist => matches!(role, Admin | Scheduler),
        Operation::Store { .. } | Operation::ViewUpload => matches!(role, Admin | Uploader),
        Operation::Search { .. } | Operation::Retrieve { .. } | Operation::ViewViewer => {
            matches!(role, Admin | Radiologist | Referrer)
        }
        Operation::ViewConsole => matches!(role, Admin | Radiologist | Referrer | Uploader | Auditor),
        Operation::ReadLedger { .. } | Operation::VerifyArchive => matches!(role, Admin | Auditor),
        Operation::ReadMetrics
        | Operation::ManageDevices
        | Operation::ManageUsers
        | Operation::ManageTokens
        | Operation::Export { .. } => {
            matches!(role, Admin)
        }
    }
}

fn decide_referrer(own: String, operation: &Operation, facts: &Facts) -> Decision {
    let discloses = matches!(operation, Operation::Retrieve { .. } | Operation::Search { .. });
    if own.is_empty() && discloses {
        // an empty name would match every study that names nobody
        return Decision::Denied(Denial::NotOwnStudy);
    }
    if let Operation::Retrieve { .. } = operation {
        let is_own = facts.study_referring.as_deref().is_some_and(|name| fold(name) == own);
        if !is_own {
            return Decision::Denied(Denial::NotOwnStudy);
        }
    }
    Decision::Allowed(RowFilter::Referring(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceRights, Level, LogName, Target};

    fn operations() -> Vec<Operation> {
        let target = Target::study("1.2.3".parse().unwrap());
        vec![
            Operation::Echo,
            Operation::Store { study: None },
            Operation::Search { level: Level::Study },
            Operation::Search { level: Level::Series },
            Operation::Search { level: Level::Instance },
            Operation::Retrieve { target: target.clone() },
            Operation::Move { target, destination: "WORKSTATION".parse().unwrap() },
            Operation::Commit,
            Operation::SearchWorklist,
            Operation::ManageWorklist,
            Operation::PerformStep,
            Operation::ReadLedger { log: LogName::Objects },
            Operation::ReadLedger { log: LogName::Audit },
            Operation::ViewConsole,
            Operation::ViewUpload,
            Operation::ViewViewer,
            Operation::ReadMetrics,
            Operation::ReadApiDescription,
            Operation::SignOut,
            Operation::ManageDevices,
            Operation::ManageUsers,
            Operation::ManageTokens,
            Operation::VerifyArchive,
            Operation::Export { study: "1.2.3".parse().unwrap() },
        ]
    }

    fn allowed(principal: &Principal, facts: &Facts) -> Vec<&'static str> {
        operations()
            .iter()
            .filter(|operation| matches!(decide(principal, operation, facts), Decision::Allowed(_)))
            .map(Operation::name)
            .collect()
    }

    fn person(role: Role) -> Principal {
        Principal::Person { name: "someone".to_owned(), role, referring: None }
    }

    fn device(rights: &str) -> Principal {
        let rights: DeviceRights = rights.parse().unwrap();
        Principal::Device { ae: "CT1".to_owned(), key_fingerprint: String::new(), rights }
    }

    #[test]
    fn what_each_role_may_do() {
        let facts = Facts::default();
        let reading = ["search-studies", "search-series", "search-instances", "retrieve", "view-console"];
        let always = ["read-api-description", "sign-out"];
        let table: [(Role, Vec<&str>); 5] = [
            (Role::Scheduler, [&["search-worklist", "manage-worklist"][..], &always].concat()),
            (Role::Radiologist, [&reading[..], &["view-viewer"], &always].concat()),
            (Role::Uploader, [&["store", "view-console", "view-upload"][..], &always].concat()),
            (
                Role::Auditor,
                [&["read-objects-log", "read-audit-log", "view-console"][..], &always, &["verify-archive"]].concat(),
            ),
            // without facts a study is nobody's own
            (
                Role::Referrer,
                ["search-studies", "search-series", "search-instances", "view-console", "view-viewer"]
                    .into_iter()
                    .chain(always)
                    .collect(),
            ),
        ];
        for (role, expected) in table {
            assert_eq!(allowed(&person(role), &facts), expected, "{role}");
        }
        let mut admin: Vec<&str> = operations().iter().map(Operation::name).collect();
        admin.retain(|name| !["echo", "move", "commit", "perform-step"].contains(name));
        assert_eq!(allowed(&person(Role::Admin), &facts), admin);
    }

    #[test]
    fn what_each_device_right_gives() {
        let facts = Facts::default();
        for (rights, expected) in [
            ("", vec!["echo"]),
            ("store", vec!["echo", "store"]),
            ("find", vec!["echo", "search-studies", "search-series", "search-instances"]),
            ("get", vec!["echo", "retrieve"]),
            ("move", vec!["echo", "move"]),
            ("commit", vec!["echo", "commit"]),
            ("worklist", vec!["echo", "search-worklist", "perform-step"]),
        ] {
            assert_eq!(allowed(&device(rights), &facts), expected, "{rights}");
        }
        assert_eq!(DeviceRights::default().to_string(), "store");
    }

    #[test]
    fn referrer_reads_own_studies_only() {
        let me = Principal::Service {
            name: "token".to_owned(),
            role: Role::Referrer,
            referring: Some("Müller^Jörg".to_owned()),
        };
        let retrieve = Operation::Retrieve { target: Target::study("1.2.3".parse().unwrap()) };
        for (referring, is_own) in
            [(Some("MULLER^JORG"), true), (Some("Müller^Anna"), false), (Some(""), false), (None, false)]
        {
            let facts = Facts { study_referring: referring.map(str::to_owned) };
            let decision = decide(&me, &retrieve, &facts);
            assert_eq!(matches!(decision, Decision::Allowed(_)), is_own, "{referring:?}");
        }
        let search = decide(&me, &Operation::Search { level: Level::Study }, &Facts::default());
        assert_eq!(search, Decision::Allowed(RowFilter::Referring("muller^jorg".to_owned())));

        let nobody = Principal::Person { name: "x".to_owned(), role: Role::Referrer, referring: Some("^^".to_owned()) };
        let search = decide(&nobody, &Operation::Search { level: Level::Study }, &Facts::default());
        assert_eq!(search, Decision::Denied(Denial::NotOwnStudy));
    }

    #[test]
    fn operator_may_everything() {
        assert_eq!(allowed(&Principal::Operator, &Facts::default()).len(), operations().len());
    }
}
