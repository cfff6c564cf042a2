//! Entries of the worklist and performed steps out of any DICOM JSON, file or data set (PS3.18 F.2, PS3.4 K and F): what
//! was read is written and read again the same, and nothing comes out that did not come in.

use kluis_dicom::{
    performed_step::{NewStep, StepChange},
    worklist::{self, Entry},
};

use crate::{byte_gate::source, input::Input};

/// `choice (1) | bytes`: DICOM JSON, or else a source (see `byte_gate::source`).
pub fn worklist(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    let read = match choice {
        0 => worklist::read_json(input.0),
        other => worklist::read(source(other.wrapping_sub(1)), input.0),
    };
    let Ok(attributes) = read else { return };
    let Ok(text) = serde_json::to_vec(&attributes) else { return };
    assert!(text.len() <= 24 * input.0.len() + 64, "{} bytes out of {}", text.len(), input.0.len());
    if choice == 0 {
        let again = worklist::read_json(&text);
        assert!(again.as_ref() == Ok(&attributes), "written and read, they are other attributes");
    }
    if let Ok(entry) = Entry::new(attributes.clone()) {
        assert!(!entry.step_id.is_empty() && !entry.stations.is_empty());
        assert!(entry.start_date.len() == 8 && entry.start_time.len() == 13);
        assert!(Entry::new(entry.attributes.clone()).as_ref() == Ok(&entry));
        let mut shown = entry.attributes;
        worklist::set_status(&mut shown, "STARTED");
        assert!(Entry::new(shown).is_ok(), "a status makes it no entry");
    }
    if let Ok(step) = NewStep::new(attributes.clone()) {
        assert!(step.scheduled.iter().all(|(_, id)| !id.is_empty()));
    }
    if let Ok(change) = StepChange::new(attributes.clone()) {
        assert_eq!(change.attributes.len() + change.ignored.len(), attributes.len());
    }
}
