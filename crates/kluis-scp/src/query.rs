//! The information models of the Query/Retrieve service class (PS3.4 C.6), and what an identifier asks of them. Pure.

use kluis_dicom::{
    Tag, Uid, VR,
    identifier::{Identifier, Key},
    query::{Agreed, Filter, Level, Matching, Query},
};
use kluis_dimse::{Outcome, command::Status, pdu::ExtendedNegotiation};

pub(crate) const QUERY_RETRIEVE_LEVEL: Tag = Tag(0x0008, 0x0052);
pub(crate) const RETRIEVE_AE_TITLE: Tag = Tag(0x0008, 0x0054);
pub(crate) const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
pub(crate) const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
pub(crate) const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
pub(crate) const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);

/// The C-FIND SOP classes that we serve.
pub(crate) const FIND_CLASSES: &[&str] = &[PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY_ONLY];

const PATIENT_ROOT: &str = "1.2.840.10008.5.1.4.1.2.1.1";
const STUDY_ROOT: &str = "1.2.840.10008.5.1.4.1.2.2.1";
const PATIENT_STUDY_ONLY: &str = "1.2.840.10008.5.1.4.1.2.3.1";

/// The C-GET SOP classes that we serve.
pub(crate) const GET_CLASSES: &[&str] = &[PATIENT_ROOT_GET, STUDY_ROOT_GET, PATIENT_STUDY_ONLY_GET];

pub(crate) const PATIENT_ROOT_GET: &str = "1.2.840.10008.5.1.4.1.2.1.3";
pub(crate) const STUDY_ROOT_GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
pub(crate) const PATIENT_STUDY_ONLY_GET: &str = "1.2.840.10008.5.1.4.1.2.3.3";

/// The C-MOVE SOP classes that we serve.
pub(crate) const MOVE_CLASSES: &[&str] = &[PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE, PATIENT_STUDY_ONLY_MOVE];

pub(crate) const PATIENT_ROOT_MOVE: &str = "1.2.840.10008.5.1.4.1.2.1.2";
pub(crate) const STUDY_ROOT_MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";
pub(crate) const PATIENT_STUDY_ONLY_MOVE: &str = "1.2.840.10008.5.1.4.1.2.3.2";

/// A level of an information model, as the identifier names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum QueryLevel {
    Patient,
    Study,
    Series,
    Image,
}

impl QueryLevel {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "PATIENT" => Self::Patient,
            "STUDY" => Self::Study,
            "SERIES" => Self::Series,
            "IMAGE" => Self::Image,
            _ => return None,
        })
    }

    /// The value of Query/Retrieve Level (0008,0052).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Patient => "PATIENT",
            Self::Study => "STUDY",
            Self::Series => "SERIES",
            Self::Image => "IMAGE",
        }
    }

    /// Its unique key.
    pub(crate) fn unique_key(self) -> Tag {
        match self {
            Self::Patient => PATIENT_ID,
            Self::Study => STUDY_INSTANCE_UID,
            Self::Series => SERIES_INSTANCE_UID,
            Self::Image => SOP_INSTANCE_UID,
        }
    }

    /// What the index lists for it: patients are those of the studies.
    pub(crate) fn rows(self) -> Level {
        match self {
            Self::Patient | Self::Study => Level::Study,
            Self::Series => Level::Series,
            Self::Image => Level::Instance,
        }
    }
}

/// What is agreed on in extended negotiation for one SOP class (PS3.4 C.5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Agreement {
    pub(crate) is_relational: bool,
    pub(crate) combines_date_time: bool,
    pub(crate) is_fuzzy: bool,
    pub(crate) empty_value: bool,
    pub(crate) multiple_value: bool,
}

impl Agreement {
    /// What of a proposal we take: all but timezone adjustment and the conversion of multi-frame images (bytes 4 and 5).
    pub(crate) fn of(proposed: &ExtendedNegotiation) -> Self {
        let byte = |at: usize| proposed.information.get(at).is_some_and(|byte| *byte == 1);
        Self {
            is_relational: byte(0),
            combines_date_time: byte(1),
            is_fuzzy: byte(2),
            empty_value: byte(5),
            multiple_value: byte(6),
        }
    }

    /// The answer, as long as the proposal.
    pub(crate) fn answer(self, proposed: &ExtendedNegotiation) -> ExtendedNegotiation {
        let agreed = [
            self.is_relational,
            self.combines_date_time,
            self.is_fuzzy,
            false,
            false,
            self.empty_value,
            self.multiple_value,
        ];
        let information = agreed.iter().take(proposed.information.len()).map(|agreed| u8::from(*agreed)).collect();
        ExtendedNegotiation { sop_class: proposed.sop_class.clone(), information }
    }
}

/// What an identifier asks.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) level: QueryLevel,
    /// Without a limit: the pages are the caller's affair.
    pub(crate) query: Query,
    /// The keys to be returned, in their order; sequences come before their items' keys.
    pub(crate) wanted: Vec<Key>,
}

/// Reads an identifier as a query of an information model.
///
/// # Errors
/// A900H, with what is wrong. No value of a key is told.
pub(crate) fn read(sop_class: &Uid, identifier: Identifier, agreement: Agreement) -> Result<Asked, Outcome> {
    let level = level(sop_class, &identifier)?;
    let mut query = Query::all(level.rows(), 0);
    query.is_fuzzy = agreement.is_fuzzy;
    query.combines_date_time = agreement.combines_date_time;
    let top = if sop_class.as_str() == STUDY_ROOT { QueryLevel::Study } else { QueryLevel::Patient };
    unique_keys_above(top, level, &identifier, agreement)?;
    let agreed = Agreed { empty_value: agreement.empty_value, multiple_value: agreement.multiple_value };
    let mut wanted = Vec::with_capacity(identifier.keys.len());
    for key in identifier.keys {
        let tag = key.path.last().copied().unwrap_or(Tag(0, 0));
        if key.path == [QUERY_RETRIEVE_LEVEL] || key.path == [RETRIEVE_AE_TITLE] {
            continue;
        }
        if key.vr != VR::SQ {
            // a value of a VR that cannot be matched is a key that we do not support, which never fails (C25)
            let matching = match Matching::from_text(tag, key.vr, &key.text, agreed) {
                Err(kluis_dicom::query::QueryError::NotMatchable(_)) => Matching::Universal,
                matching => matching.map_err(|error| refused(error.to_string()))?,
            };
            take(&mut query, &key.path, matching);
        }
        wanted.push(key);
    }
    Ok(Asked { level, query, wanted })
}

/// The level that an identifier names.
pub(crate) fn level_of(identifier: &Identifier) -> Result<QueryLevel, Outcome> {
    let named = identifier.value(QUERY_RETRIEVE_LEVEL).unwrap_or_default();
    QueryLevel::parse(named).ok_or_else(|| refused("Query/Retrieve Level is missing or unknown"))
}

fn level(sop_class: &Uid, identifier: &Identifier) -> Result<QueryLevel, Outcome> {
    let level = level_of(identifier)?;
    let is_of_model = match sop_class.as_str() {
        STUDY_ROOT => level > QueryLevel::Patient,
        PATIENT_STUDY_ONLY => level < QueryLevel::Series,
        _ => true,
    };
    if is_of_model { Ok(level) } else { Err(refused("this information model has no such Query/Retrieve Level")) }
}

/// Each level above must be named by one value of its unique key, unless relational queries are agreed on (PS3.4
/// C.4.1.3.1.1, C.4.1.3.2.1).
fn unique_keys_above(
    top: QueryLevel,
    level: QueryLevel,
    identifier: &Identifier,
    agreement: Agreement,
) -> Result<(), Outcome> {
    let levels = [QueryLevel::Patient, QueryLevel::Study, QueryLevel::Series];
    for above in levels.into_iter().filter(|above| (top..level).contains(above)) {
        let value = identifier.value(above.unique_key()).unwrap_or_default();
        if !agreement.is_relational && (value.is_empty() || value.contains(['\\', '*', '?'])) {
            return Err(refused(match above {
                QueryLevel::Patient => "Patient ID must have one value at this level",
                QueryLevel::Study => "Study Instance UID must have one value at this level",
                _ => "Series Instance UID must have one value at this level",
            }));
        }
    }
    Ok(())
}

fn take(query: &mut Query, path: &[Tag], matching: Matching) {
    let uid = |matching: &Matching| match matching {
        Matching::Single(uid) => uid.parse::<Uid>().ok(),
        _ => None,
    };
    match path {
        [STUDY_INSTANCE_UID] if uid(&matching).is_some() => query.study = uid(&matching),
        [SERIES_INSTANCE_UID] if query.level > Level::Study && uid(&matching).is_some() => {
            query.series = uid(&matching)
        }
        _ if matching == Matching::Universal => {}
        _ => query.filters.push(Filter { path: path.to_vec(), matching }),
    }
}

fn refused(comment: impl Into<std::borrow::Cow<'static, str>>) -> Outcome {
    Outcome { status: Status::DATA_SET_DOES_NOT_MATCH, comment: Some(comment.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identifier(keys: &[(Tag, VR, &str)]) -> Identifier {
        let key = |(tag, vr, text): &(Tag, VR, &str)| Key { path: vec![*tag], vr: *vr, text: (*text).to_owned() };
        Identifier { keys: keys.iter().map(key).collect(), timezone: None }
    }

    fn ask(sop_class: &str, keys: &[(Tag, VR, &str)], agreement: Agreement) -> Result<Asked, Outcome> {
        read(&sop_class.parse().unwrap(), identifier(keys), agreement)
    }

    const LEVEL: (Tag, VR) = (QUERY_RETRIEVE_LEVEL, VR::CS);
    const STUDY: (Tag, VR) = (STUDY_INSTANCE_UID, VR::UI);
    const SERIES: (Tag, VR) = (SERIES_INSTANCE_UID, VR::UI);

    fn with((tag, vr): (Tag, VR), text: &str) -> (Tag, VR, &str) {
        (tag, vr, text)
    }

    #[test]
    fn c21_c22_levels_of_the_models() {
        for (class, level, is_served) in [
            (STUDY_ROOT, "", false),
            (STUDY_ROOT, "PATIENT", false),
            (STUDY_ROOT, "STUDY ", true),
            (STUDY_ROOT, "study", false),
            (PATIENT_ROOT, "PATIENT", true),
            (PATIENT_ROOT, "FRAME", false),
            (PATIENT_STUDY_ONLY, "PATIENT", true),
            (PATIENT_STUDY_ONLY, "SERIES", false),
        ] {
            let asked = ask(class, &[with(LEVEL, level)], Agreement { is_relational: true, ..Agreement::default() });
            assert_eq!(asked.is_ok(), is_served, "{class} {level}");
            assert!(asked.is_ok() || asked.unwrap_err().status == Status::DATA_SET_DOES_NOT_MATCH);
        }
        assert!(ask(STUDY_ROOT, &[], Agreement::default()).is_err(), "no level");
    }

    #[test]
    fn c16_c23_unique_keys_of_the_levels_above() {
        let study = [with(LEVEL, "SERIES"), with(STUDY, "1.2.3")];
        assert_eq!(ask(STUDY_ROOT, &study, Agreement::default()).unwrap().query.study, Some("1.2.3".parse().unwrap()));
        // a patient root wants the patient as well
        assert!(ask(PATIENT_ROOT, &study, Agreement::default()).is_err());
        let patient = [study[0], study[1], (PATIENT_ID, VR::LO, "4711")];
        let asked = ask(PATIENT_ROOT, &patient, Agreement::default()).unwrap();
        assert_eq!(
            asked.query.filters,
            [Filter { path: vec![PATIENT_ID], matching: Matching::Single("4711".to_owned()) }]
        );
        for bad in ["", "1.2.3\\1.2.4"] {
            let keys = [with(LEVEL, "SERIES"), with(STUDY, bad)];
            assert!(ask(STUDY_ROOT, &keys, Agreement::default()).is_err(), "{bad}");
            assert!(ask(STUDY_ROOT, &keys, Agreement { is_relational: true, ..Agreement::default() }).is_ok(), "{bad}");
        }
        let image = [with(LEVEL, "IMAGE"), with(STUDY, "1.2.3"), with(SERIES, "1.2.4")];
        let asked = ask(STUDY_ROOT, &image, Agreement::default()).unwrap();
        assert_eq!((asked.level, asked.query.level), (QueryLevel::Image, Level::Instance));
        assert_eq!(asked.query.series, Some("1.2.4".parse().unwrap()));
        assert!(ask(STUDY_ROOT, &image[..2], Agreement::default()).is_err());
    }

    #[test]
    fn keys_are_filters_and_return_keys_in_their_order() {
        let keys = [
            with(LEVEL, "STUDY"),
            (Tag(0x0008, 0x0020), VR::DA, "20240101-20241231"),
            (Tag(0x0010, 0x0010), VR::PN, "DOE*"),
            (Tag(0x0010, 0x0030), VR::DA, ""),
            with(STUDY, "1.2.3\\1.2.4"),
        ];
        let asked = ask(STUDY_ROOT, &keys, Agreement::default()).unwrap();
        let wanted: Vec<Tag> = asked.wanted.iter().map(|key| key.path[0]).collect();
        assert_eq!(wanted, [Tag(0x0008, 0x0020), Tag(0x0010, 0x0010), Tag(0x0010, 0x0030), STUDY_INSTANCE_UID]);
        let matched: Vec<_> = asked.query.filters.iter().map(|filter| filter.path[0]).collect();
        assert_eq!(matched, [Tag(0x0008, 0x0020), Tag(0x0010, 0x0010), STUDY_INSTANCE_UID]);
        assert_eq!(asked.query.study, None);
    }

    #[test]
    fn c30_a_value_that_does_not_fit_its_key_is_a900_and_is_not_repeated() {
        for (tag, vr, text) in [
            (Tag(0x0008, 0x0020), VR::DA, "SECRETDATE"),
            (STUDY_INSTANCE_UID, VR::UI, "1.2.SECRET*"),
            (Tag(0x0020, 0x0011), VR::IS, "SECRET"),
        ] {
            let outcome = ask(STUDY_ROOT, &[with(LEVEL, "STUDY"), (tag, vr, text)], Agreement::default()).unwrap_err();
            assert_eq!(outcome.status, Status::DATA_SET_DOES_NOT_MATCH);
            assert!(!outcome.comment.unwrap().contains("SECRET"));
        }
    }

    #[test]
    fn a28_what_is_supported_of_a_proposal_is_agreed_on() {
        let proposed = |information: &[u8]| ExtendedNegotiation {
            sop_class: STUDY_ROOT.parse().unwrap(),
            information: information.to_vec(),
        };
        for (asked, answered) in [
            (&[1, 1, 1, 1, 1, 1, 1][..], &[1, 1, 1, 0, 0, 1, 1][..]),
            (&[1], &[1]),
            (&[0, 1, 0], &[0, 1, 0]),
            (&[2, 0, 0, 0], &[0, 0, 0, 0]),
            (&[], &[]),
            (&[1; 9], &[1, 1, 1, 0, 0, 1, 1]),
        ] {
            let proposed = proposed(asked);
            assert_eq!(Agreement::of(&proposed).answer(&proposed).information, answered);
        }
    }
}
