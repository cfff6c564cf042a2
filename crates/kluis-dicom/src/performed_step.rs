//! A performed procedure step as DICOM JSON attributes (PS3.4 F.7.2.1, F.7.2.2; PS3.3 C.4.13 to C.4.16): what may be made
//! of one, and what may be changed. Knows no store.

use serde_json::{Map, Value};

use crate::{
    Tag, Uid,
    worklist::{first_text, items, name},
};

/// Performed Procedure Step Status.
pub const STATUS: Tag = Tag(0x0040, 0x0252);
const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const STEP_ID: Tag = Tag(0x0040, 0x0009);
/// Scheduled Step Attributes Sequence: which scheduled steps it performs.
const SCHEDULED_STEPS: Tag = Tag(0x0040, 0x0270);
/// Most scheduled steps that one performed step names: more than any department groups, and too few to hide a day's work.
const MAX_SCHEDULED_STEPS: usize = 50;
/// Performed Procedure Step Discontinuation Reason Code Sequence.
const REASON: Tag = Tag(0x0040, 0x0281);

/// What every step says when it is made (type 1 of PS3.4 Table F.7.2-1): Modality, Performed Station AE Title, Performed
/// Procedure Step Start Date, Start Time and ID. The status is looked at by itself.
const REQUIRED: [Tag; 5] =
    [Tag(0x0008, 0x0060), Tag(0x0040, 0x0241), Tag(0x0040, 0x0244), Tag(0x0040, 0x0245), Tag(0x0040, 0x0253)];

/// What an N-SET may not change (PS3.4 Table F.7.2-1): SOP Class and Instance, whose it is, what was scheduled, and how it
/// began.
const FIXED: [Tag; 17] = [
    Tag(0x0008, 0x0016),
    Tag(0x0008, 0x0018),
    Tag(0x0008, 0x0060),
    Tag(0x0008, 0x1120),
    Tag(0x0010, 0x0010),
    Tag(0x0010, 0x0020),
    Tag(0x0010, 0x0021),
    Tag(0x0010, 0x0030),
    Tag(0x0010, 0x0040),
    Tag(0x0020, 0x0010),
    Tag(0x0040, 0x0241),
    Tag(0x0040, 0x0242),
    Tag(0x0040, 0x0243),
    Tag(0x0040, 0x0244),
    Tag(0x0040, 0x0245),
    Tag(0x0040, 0x0253),
    SCHEDULED_STEPS,
];

/// Performed Procedure Step Status (PS3.3 C.4.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepState {
    /// It has begun, and may be changed.
    InProgress,
    /// It has ended as it was meant to, and may not be changed any more.
    Completed,
    /// It was given up, and may not be changed any more.
    Discontinued,
}

impl StepState {
    /// The defined term.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Discontinued => "DISCONTINUED",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::InProgress, Self::Completed, Self::Discontinued].into_iter().find(|state| state.as_str() == text)
    }
}

/// What is wrong with the attributes of an N-CREATE or N-SET. Carries no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// An attribute is not there.
    #[error("{0} is missing")]
    Missing(Tag),
    /// An attribute has no value.
    #[error("{0} has no value")]
    NoValue(Tag),
    /// The status is none of the three, or not that with which a step begins.
    #[error("{0} has a value that it may not have here")]
    Invalid(Tag),
}

/// A step that is to be made. Its `Debug` shows nothing, as all of it is about a patient.
#[derive(Clone, PartialEq)]
pub struct NewStep {
    /// The study of the first scheduled step.
    pub study: Uid,
    /// The scheduled steps that it performs: Study Instance UID, Scheduled Procedure Step ID.
    pub scheduled: Vec<(Uid, String)>,
    /// All attributes.
    pub attributes: Map<String, Value>,
}

/// Attributes that are to be put in the place of those of a step that is in progress.
#[derive(Clone, PartialEq, Default)]
pub struct StepChange {
    /// The state that it is to have.
    pub state: Option<StepState>,
    /// The wrong entry of the worklist had been selected: what was scheduled is still to be done (PS3.16 DCM 110514).
    pub is_wrong_entry: bool,
    /// What may be changed.
    pub attributes: Map<String, Value>,
    /// What may not, and is left as it is.
    pub ignored: Vec<Tag>,
}

impl std::fmt::Debug for NewStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewStep(..)")
    }
}

impl std::fmt::Debug for StepChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepChange").field("state", &self.state).finish_non_exhaustive()
    }
}

impl NewStep {
    /// Reads the attributes of an N-CREATE.
    ///
    /// # Errors
    /// [`StepError`], the first that is found.
    pub fn new(attributes: Map<String, Value>) -> Result<Self, StepError> {
        for tag in REQUIRED.into_iter().chain([STATUS]) {
            required(&attributes, tag)?;
        }
        if state(&attributes)? != Some(StepState::InProgress) {
            return Err(StepError::Invalid(STATUS));
        }
        if !attributes.contains_key(&name(SCHEDULED_STEPS)) {
            return Err(StepError::Missing(SCHEDULED_STEPS));
        }
        if items(&attributes, SCHEDULED_STEPS).count() > MAX_SCHEDULED_STEPS {
            return Err(StepError::Invalid(SCHEDULED_STEPS));
        }
        let mut scheduled = Vec::new();
        for step in items(&attributes, SCHEDULED_STEPS) {
            let study = required(step, STUDY_INSTANCE_UID)?;
            let study: Uid = study.parse().map_err(|_| StepError::Invalid(STUDY_INSTANCE_UID))?;
            // what was not scheduled has no such id
            scheduled.push((study, first_text(step, STEP_ID).unwrap_or_default()));
        }
        let study = scheduled.first().map(|(study, _)| study.clone()).ok_or(StepError::NoValue(SCHEDULED_STEPS))?;
        scheduled.retain(|(_, step)| !step.is_empty());
        Ok(Self { study, scheduled, attributes })
    }
}

impl StepChange {
    /// Reads the attributes of an N-SET. What a final state is to have (type 1 of Table F.7.2-1 at its end) is not asked
    /// for: a step that has ended in the world must not stay in progress here.
    ///
    /// # Errors
    /// [`StepError`] where the status is none.
    pub fn new(mut attributes: Map<String, Value>) -> Result<Self, StepError> {
        let state = state(&attributes)?;
        let is_wrong_entry = state == Some(StepState::Discontinued)
            && items(&attributes, REASON).any(|reason| {
                let text = |tag| first_text(reason, tag).unwrap_or_default();
                text(Tag(0x0008, 0x0100)) == "110514" && text(Tag(0x0008, 0x0102)) == "DCM"
            });
        let ignored: Vec<Tag> = FIXED.into_iter().filter(|tag| attributes.remove(&name(*tag)).is_some()).collect();
        Ok(Self { state, is_wrong_entry, attributes, ignored })
    }
}

fn state(attributes: &Map<String, Value>) -> Result<Option<StepState>, StepError> {
    if !attributes.contains_key(&name(STATUS)) {
        return Ok(None);
    }
    let text = first_text(attributes, STATUS).ok_or(StepError::NoValue(STATUS))?;
    StepState::parse(&text).map(Some).ok_or(StepError::Invalid(STATUS))
}

fn required(attributes: &Map<String, Value>, tag: Tag) -> Result<String, StepError> {
    match attributes.contains_key(&name(tag)) {
        true => first_text(attributes, tag).ok_or(StepError::NoValue(tag)),
        false => Err(StepError::Missing(tag)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step() -> Value {
        json!({
            "00080060": { "vr": "CS", "Value": ["CT"] },
            "00100010": { "vr": "PN", "Value": [{ "Alphabetic": "Doe^Jane" }] },
            "00400241": { "vr": "AE", "Value": ["CT1"] },
            "00400244": { "vr": "DA", "Value": ["20261123"] },
            "00400245": { "vr": "TM", "Value": ["0815"] },
            "00400252": { "vr": "CS", "Value": ["IN PROGRESS"] },
            "00400253": { "vr": "SH", "Value": ["PPS1"] },
            "00400270": { "vr": "SQ", "Value": [
                { "0020000D": { "vr": "UI", "Value": ["1.2"] }, "00400009": { "vr": "SH", "Value": ["S1"] } },
                { "0020000D": { "vr": "UI", "Value": ["1.3"] }, "00400009": { "vr": "SH" } },
            ] },
        })
    }

    fn made(change: impl FnOnce(&mut Value)) -> Result<NewStep, StepError> {
        let mut step = step();
        change(&mut step);
        NewStep::new(step.as_object().unwrap().clone())
    }

    #[test]
    fn a_step_names_so_many_scheduled_ones() {
        let named = |count: usize| {
            made(|step| {
                let one = step["00400270"]["Value"][0].clone();
                step["00400270"]["Value"] = Value::Array(vec![one; count]);
            })
        };
        assert_eq!(named(MAX_SCHEDULED_STEPS).unwrap().scheduled.len(), MAX_SCHEDULED_STEPS);
        assert_eq!(named(MAX_SCHEDULED_STEPS + 1).err(), Some(StepError::Invalid(SCHEDULED_STEPS)));
    }

    #[test]
    fn e05_a_step_begins_in_progress_with_all_that_it_needs() {
        let new = made(|_| ()).unwrap();
        assert_eq!(new.study.as_str(), "1.2");
        assert_eq!(new.scheduled, [("1.2".parse().unwrap(), "S1".to_owned())]);
        assert_eq!(format!("{new:?}"), "NewStep(..)");
        for tag in REQUIRED.into_iter().chain([STATUS, SCHEDULED_STEPS]) {
            let key = name(tag);
            assert_eq!(made(|step| _ = step.as_object_mut().unwrap().remove(&key)), Err(StepError::Missing(tag)));
            assert_eq!(made(|step| step[&key]["Value"] = json!([])), Err(StepError::NoValue(tag)));
        }
        for status in ["COMPLETED", "DISCONTINUED", "in progress", "BEGUN"] {
            let made = made(|step| step["00400252"]["Value"] = json!([status]));
            assert_eq!(made, Err(StepError::Invalid(STATUS)), "{status}");
        }
        let made = made(|step| step["00400270"]["Value"][1] = json!({}));
        assert_eq!(made, Err(StepError::Missing(STUDY_INSTANCE_UID)));
    }

    #[test]
    fn e05_a_change_leaves_alone_what_is_fixed() {
        let change = |json: Value| StepChange::new(json.as_object().unwrap().clone());
        let mut attributes = step();
        attributes["00400252"]["Value"] = json!(["COMPLETED"]);
        attributes["00400250"] = json!({ "vr": "DA", "Value": ["20261123"] });
        let changed = change(attributes).unwrap();
        assert_eq!(changed.state, Some(StepState::Completed));
        assert_eq!(changed.attributes.keys().collect::<Vec<_>>(), ["00400250", "00400252"]);
        assert_eq!(changed.ignored.len(), 7);
        assert_eq!(change(json!({})).unwrap(), StepChange::default());
        let unknown = change(json!({ "00400252": { "vr": "CS", "Value": ["DONE"] } }));
        assert_eq!(unknown, Err(StepError::Invalid(STATUS)));
    }

    #[test]
    fn the_wrong_entry_is_one_reason_to_discontinue() {
        let reason = |code: &str, status: &str| {
            let item =
                json!({ "00080100": { "vr": "SH", "Value": [code] }, "00080102": { "vr": "SH", "Value": ["DCM"] } });
            let json = json!({
                "00400252": { "vr": "CS", "Value": [status] },
                "00400281": { "vr": "SQ", "Value": [item] },
            });
            StepChange::new(json.as_object().unwrap().clone()).unwrap().is_wrong_entry
        };
        assert!(reason("110514", "DISCONTINUED"));
        assert!(!reason("110500", "DISCONTINUED") && !reason("110514", "COMPLETED"));
    }
}
