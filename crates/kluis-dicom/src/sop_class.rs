//! The SOP classes of PS3.6 Table A-1 and what each is for.

mod services;
mod storage;

use services::SERVICES;
use storage::STORAGE;

/// A SOP class (PS3.4 6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SopClass {
    /// Its UID.
    pub uid: &'static str,
    /// Its name, without "SOP Class" and "(Retired)".
    pub name: &'static str,
    /// What it is for.
    pub kind: SopClassKind,
    /// Whether the standard has retired it.
    pub is_retired: bool,
}

/// What a SOP class is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SopClassKind {
    /// C-ECHO (PS3.4 A).
    Verification,
    /// C-STORE of an instance that belongs to a patient, study and series (PS3.4 B.5).
    Storage,
    /// C-STORE of an instance that belongs to nobody: protocols, palettes, templates, inventories (PS3.4 GG.3).
    NonPatientStorage,
    /// The DICOMDIR of media, which is never sent (PS3.4 B.5 leaves it out, PS3.10 8).
    MediaDirectory,
    /// Storage commitment (PS3.4 J).
    StorageCommitment,
    /// C-FIND (PS3.4 C, K, U, X, BB, HH and others).
    Find,
    /// C-MOVE.
    Move,
    /// C-GET.
    Get,
    /// Everything else.
    Other,
}

/// The class with this UID.
#[must_use]
pub fn lookup(uid: &str) -> Option<&'static SopClass> {
    all().find(|class| class.uid == uid)
}

/// The classes that C-STORE carries into studies, retired ones included: those of kind [`SopClassKind::Storage`].
pub fn storage() -> impl Iterator<Item = &'static SopClass> {
    STORAGE.iter().filter(|class| class.kind == SopClassKind::Storage)
}

/// Every class.
pub fn all() -> impl Iterator<Item = &'static SopClass> {
    SERVICES.iter().chain(STORAGE)
}

const fn row(uid: &'static str, name: &'static str, kind: SopClassKind, is_retired: bool) -> SopClass {
    SopClass { uid, name, kind, is_retired }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use dicom_core::dictionary::UidDictionary;
    use dicom_dictionary_std::StandardSopClassDictionary;

    use super::{SopClassKind::*, *};

    #[test]
    fn sop_class_table() {
        for (uid, kind, is_retired) in [
            ("1.2.840.10008.1.1", Verification, false),
            ("1.2.840.10008.1.3.10", MediaDirectory, false),
            ("1.2.840.10008.1.20.1", StorageCommitment, false),
            ("1.2.840.10008.5.1.1.29", Storage, true),
            ("1.2.840.10008.5.1.4.1.1.1.1.1", Storage, false),
            ("1.2.840.10008.5.1.4.1.1.2", Storage, false),
            ("1.2.840.10008.5.1.4.1.1.6", Storage, true),
            ("1.2.840.10008.5.1.4.1.1.66", Storage, false),
            ("1.2.840.10008.5.1.4.1.1.67", Storage, false),
            ("1.2.840.10008.5.1.4.1.1.104.1", Storage, false),
            ("1.2.840.10008.5.1.4.1.1.131", Storage, false),
            ("1.2.840.10008.5.1.4.1.1.200.2", Storage, false),
            ("1.2.840.10008.5.1.4.34.7", Storage, false),
            ("1.2.840.10008.5.1.4.34.10", Storage, false),
            ("1.2.840.10008.5.1.4.1.1.200.1", NonPatientStorage, false),
            ("1.2.840.10008.5.1.4.1.1.201.1", NonPatientStorage, false),
            ("1.2.840.10008.5.1.4.38.1", NonPatientStorage, false),
            ("1.2.840.10008.5.1.4.45.1", NonPatientStorage, false),
            ("1.2.840.10008.5.1.4.1.1.200.4", Find, false),
            ("1.2.840.10008.5.1.4.1.2.2.1", Find, false),
            ("1.2.840.10008.5.1.4.1.2.1.2", Move, false),
            ("1.2.840.10008.5.1.4.1.2.5.3", Get, false),
            ("1.2.840.10008.3.1.2.3.3", Other, false),
        ] {
            let class = lookup(uid).unwrap();
            assert_eq!((class.kind, class.is_retired), (kind, is_retired), "{uid}");
        }
        assert_eq!(lookup("1.3.12.2.1107.5.9.1"), None);
        assert_eq!(lookup("1.2.840.10008.1.2"), None);
    }

    #[test]
    fn every_class_is_in_the_dictionary_and_unique() {
        let mut seen = HashSet::new();
        for class in all() {
            assert!(seen.insert(class.uid), "{}", class.uid);
            let entry = StandardSopClassDictionary.by_uid(class.uid).expect(class.uid);
            assert_eq!(entry.retired, class.is_retired, "{}", class.uid);
            assert!(entry.name.replace(" SOP Class", "").starts_with(class.name), "{}", class.uid);
        }
        assert_eq!((STORAGE.len(), SERVICES.len()), (214, 98));
    }

    #[test]
    fn what_is_called_storage_is_storage() {
        for class in all().filter(|class| class.name.contains("Storage")) {
            assert!(
                matches!(class.kind, Storage | NonPatientStorage | MediaDirectory | StorageCommitment),
                "{}",
                class.name
            );
        }
        assert!(storage().all(|class| class.kind == Storage));
    }
}
