//! What the identifier of a C-GET or C-MOVE names (PS3.4 C.4.2.1.4, C.4.3.1.3, C.6): unique keys only, several at the level itself. Pure.

use kluis_dicom::{
    Uid,
    attributes::InstanceIds,
    identifier::Identifier,
    query::{Filter, Matching},
};
use kluis_dimse::{Outcome, command::Status};

use crate::query::{
    PATIENT_ID, PATIENT_STUDY_ONLY_GET, PATIENT_STUDY_ONLY_MOVE, QueryLevel, SERIES_INSTANCE_UID, SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID, STUDY_ROOT_GET, STUDY_ROOT_MOVE, level_of,
};

/// UIDs in one key at most.
const UIDS: usize = 1_000;

/// What is to be retrieved.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of one patient, by its Patient ID.
    Patient(String),
    Studies(Vec<Uid>),
    Series(Uid, Vec<Uid>),
    Instances(Uid, Uid, Vec<Uid>),
}

impl Wanted {
    /// Whether this instance of a target is asked for.
    pub(crate) fn has(&self, ids: &InstanceIds) -> bool {
        match self {
            Self::Instances(_, _, instances) => instances.contains(&ids.sop_instance),
            _ => true,
        }
    }
}

/// Reads an identifier. Keys other than unique ones are passed over, as many peers send them.
///
/// # Errors
/// A900H, with what is wrong. No value of a key is told.
pub(crate) fn read(sop_class: &Uid, identifier: &Identifier) -> Result<Wanted, Outcome> {
    let level = level_of(identifier)?;
    let is_of_model = match sop_class.as_str() {
        STUDY_ROOT_GET | STUDY_ROOT_MOVE => level > QueryLevel::Patient,
        PATIENT_STUDY_ONLY_GET | PATIENT_STUDY_ONLY_MOVE => level < QueryLevel::Series,
        _ => true,
    };
    if !is_of_model {
        return Err(refused("this information model has no such Query/Retrieve Level"));
    }
    Ok(match level {
        QueryLevel::Patient => Wanted::Patient(single_text(identifier)?),
        QueryLevel::Study => Wanted::Studies(uids(identifier, QueryLevel::Study)?),
        QueryLevel::Series => Wanted::Series(one(identifier, QueryLevel::Study)?, uids(identifier, level)?),
        QueryLevel::Image => Wanted::Instances(
            one(identifier, QueryLevel::Study)?,
            one(identifier, QueryLevel::Series)?,
            uids(identifier, level)?,
        ),
    })
}

/// Single value matching of a Patient ID.
pub(crate) fn of_patient(patient_id: String) -> Filter {
    Filter { path: vec![PATIENT_ID], matching: Matching::Single(patient_id) }
}

fn single_text(identifier: &Identifier) -> Result<String, Outcome> {
    let value = identifier.value(PATIENT_ID).unwrap_or_default();
    if value.is_empty() || value.contains(['\\', '*', '?']) {
        return Err(refused("Patient ID must have one value"));
    }
    Ok(value.to_owned())
}

fn one(identifier: &Identifier, level: QueryLevel) -> Result<Uid, Outcome> {
    let [uid] = <[Uid; 1]>::try_from(uids(identifier, level)?).map_err(|_| {
        refused(match level {
            QueryLevel::Study => "Study Instance UID must have one value at this level",
            _ => "Series Instance UID must have one value at this level",
        })
    })?;
    Ok(uid)
}

/// The UIDs of a level's unique key, each once.
fn uids(identifier: &Identifier, level: QueryLevel) -> Result<Vec<Uid>, Outcome> {
    let wrong = || {
        refused(match level.unique_key() {
            STUDY_INSTANCE_UID => "Study Instance UID is missing or no UID",
            SERIES_INSTANCE_UID => "Series Instance UID is missing or no UID",
            SOP_INSTANCE_UID => "SOP Instance UID is missing or no UID",
            _ => "a unique key is missing",
        })
    };
    let text = identifier.value(level.unique_key()).filter(|text| !text.is_empty()).ok_or_else(wrong)?;
    let mut uids: Vec<Uid> = Vec::new();
    for part in text.split('\\') {
        let uid: Uid = part.trim_matches([' ', '\0']).parse().map_err(|_| wrong())?;
        if !uids.contains(&uid) {
            uids.push(uid);
        }
        if uids.len() > UIDS {
            return Err(refused("too many UIDs in one key"));
        }
    }
    Ok(uids)
}

fn refused(comment: &'static str) -> Outcome {
    Outcome { status: Status::DATA_SET_DOES_NOT_MATCH, comment: Some(comment.into()) }
}

#[cfg(test)]
mod tests {
    use kluis_dicom::{Tag, VR, identifier::Key};

    use super::*;
    use crate::query::{PATIENT_ROOT_GET, QUERY_RETRIEVE_LEVEL};

    fn wanted(sop_class: &str, level: &str, keys: &[(Tag, &str)]) -> Result<Wanted, u16> {
        let level = (QUERY_RETRIEVE_LEVEL, level);
        let key = |(tag, text): &(Tag, &str)| Key { path: vec![*tag], vr: VR::UI, text: (*text).to_owned() };
        let keys = keys.iter().chain([&level]).map(key).collect();
        let identifier = Identifier { keys, timezone: None };
        read(&sop_class.parse().unwrap(), &identifier).map_err(|outcome| {
            assert!(!outcome.comment.unwrap().contains("SECRET"));
            outcome.status.0
        })
    }

    fn uid(text: &str) -> Uid {
        text.parse().unwrap()
    }

    #[test]
    fn d02_unique_keys_name_what_is_wanted() {
        let study = (STUDY_INSTANCE_UID, "1.2");
        let series = (SERIES_INSTANCE_UID, "1.2.3\0");
        for (class, level, keys, expected) in [
            (PATIENT_ROOT_GET, "PATIENT", vec![(PATIENT_ID, "P 1 ")], Wanted::Patient("P 1".into())),
            (STUDY_ROOT_GET, "STUDY", vec![study], Wanted::Studies(vec![uid("1.2")])),
            (
                STUDY_ROOT_GET,
                "STUDY",
                vec![(STUDY_INSTANCE_UID, "1.2\\1.3\\1.2")],
                Wanted::Studies(vec![uid("1.2"), uid("1.3")]),
            ),
            (PATIENT_STUDY_ONLY_GET, "STUDY", vec![study], Wanted::Studies(vec![uid("1.2")])),
            (STUDY_ROOT_GET, "SERIES", vec![study, series], Wanted::Series(uid("1.2"), vec![uid("1.2.3")])),
            (
                PATIENT_ROOT_GET,
                "IMAGE",
                vec![study, series, (SOP_INSTANCE_UID, "1.4\\1.5")],
                Wanted::Instances(uid("1.2"), uid("1.2.3"), vec![uid("1.4"), uid("1.5")]),
            ),
        ] {
            assert!(wanted(class, level, &keys) == Ok(expected), "{class} {level}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let study = (STUDY_INSTANCE_UID, "1.2");
        for (class, level, keys) in [
            (STUDY_ROOT_GET, "PATIENT", vec![(PATIENT_ID, "SECRET")]),
            (PATIENT_STUDY_ONLY_GET, "SERIES", vec![study, (SERIES_INSTANCE_UID, "1.3")]),
            (PATIENT_ROOT_GET, "PATIENT", vec![]),
            (PATIENT_ROOT_GET, "PATIENT", vec![(PATIENT_ID, "SECRET*")]),
            (STUDY_ROOT_GET, "STUDY", vec![]),
            (STUDY_ROOT_GET, "STUDY", vec![(STUDY_INSTANCE_UID, "*")]),
            (STUDY_ROOT_GET, "STUDY", vec![(STUDY_INSTANCE_UID, "1.2\\SECRET")]),
            (STUDY_ROOT_GET, "SERIES", vec![study]),
            (STUDY_ROOT_GET, "SERIES", vec![(STUDY_INSTANCE_UID, "1.2\\1.3"), (SERIES_INSTANCE_UID, "1.3")]),
            (STUDY_ROOT_GET, "IMAGE", vec![study, (SOP_INSTANCE_UID, "1.4")]),
            (STUDY_ROOT_GET, "", vec![study]),
            (STUDY_ROOT_GET, "FRAME", vec![study]),
        ] {
            assert!(wanted(class, level, &keys) == Err(0xA900), "{class} {level} {}", keys.len());
        }
        let many = (0..1_001).map(|number| format!("1.{number}")).collect::<Vec<_>>().join("\\");
        assert!(wanted(STUDY_ROOT_GET, "STUDY", &[(STUDY_INSTANCE_UID, &many)]) == Err(0xA900));
    }
}
