//! A synthetic archive: three invented patients, four studies, five modalities. Drawn by arithmetic from a seed; no picture
//! of a person went into it.
//!
//! Geometry is that of the patient (PS3.3 C.7.6.2.1.1): x to the left hand, y to the back, z to the head, in millimetres.

mod canvas;
mod capture;
mod chest;
mod ct;
mod modules;
mod mr;
mod torso;
mod ultrasound;

pub use modules::Patient;

use crate::{data_set::DataSetBuilder, part10};

/// One generated file.
#[derive(Debug, Clone)]
pub struct SampleFile {
    /// A name for the file, such as `ct-007.dcm`.
    pub name: String,
    /// The DICOM file, in Explicit VR Little Endian.
    pub bytes: Vec<u8>,
}

/// The generator. Files are made one at a time, as the iterators are advanced.
#[derive(Debug, Clone)]
pub struct Phantom {
    seed: u64,
    study_date: String,
    torso_patient: Patient,
    head_patient: Patient,
    heart_patient: Patient,
}

impl Phantom {
    /// How many slices the CT series has.
    pub const CT_SLICES: usize = ct::SLICES;
    /// How many slices the MR series has.
    pub const MR_SLICES: usize = mr::SLICES;

    /// The archive that belongs to `seed`: equal seeds give equal files, UIDs included.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            study_date: "20260114".to_owned(),
            torso_patient: Patient::new("Ekblad^Marta^Elisabet", "KD-104417", "19610309", "F"),
            head_patient: Patient::new("Osei-Varga^Tomas", "KD-220936", "19841122", "M"),
            heart_patient: Patient::new("Nakagawa^Rin=中川^凛", "KD-318205", "19930517", "F"),
        }
    }

    /// Sets Study Date of every study, `YYYYMMDD`.
    #[must_use]
    pub fn dated(mut self, study_date: &str) -> Self {
        study_date.clone_into(&mut self.study_date);
        self
    }

    /// Sets the patient of the CT study, its secondary capture and the chest image.
    #[must_use]
    pub fn with_torso_patient(mut self, patient: Patient) -> Self {
        self.torso_patient = patient;
        self
    }

    /// Everything, study after study.
    pub fn all(&self) -> impl Iterator<Item = SampleFile> {
        self.ct().chain(self.capture()).chain(self.chest()).chain(self.mr()).chain(self.ultrasound())
    }

    /// How many files [`Self::all`] gives.
    #[must_use]
    pub fn file_count() -> usize {
        Self::CT_SLICES + Self::MR_SLICES + 3
    }

    /// Study Instance UID of the CT study.
    #[must_use]
    pub fn ct_study(&self) -> String {
        self.uid("torso study")
    }

    /// CT of the trunk: 120 slices of 512 x 512, 16 bits signed, 2.5 mm apart, from the head downwards.
    pub fn ct(&self) -> impl Iterator<Item = SampleFile> {
        let series = ct::Series::new(self);
        (0..ct::SLICES).map(move |slice| sample(format!("ct-{:03}.dcm", slice + 1), &series.instance(slice)))
    }

    /// A colour picture made of the CT volume, as secondary capture, in a study of its own.
    pub fn capture(&self) -> impl Iterator<Item = SampleFile> {
        let phantom = self.clone();
        std::iter::once_with(move || sample("capture.dcm".to_owned(), &capture::instance(&phantom)))
    }

    /// Chest radiograph, digital X-ray for presentation: 2,000 rows of 2,500 columns, 12 bits.
    pub fn chest(&self) -> impl Iterator<Item = SampleFile> {
        let phantom = self.clone();
        std::iter::once_with(move || sample("chest.dcm".to_owned(), &chest::instance(&phantom)))
    }

    /// MR of the head: 24 slices of 256 x 256, 12 bits of 16 unsigned.
    pub fn mr(&self) -> impl Iterator<Item = SampleFile> {
        let series = mr::Series::new(self);
        (0..mr::SLICES).map(move |slice| sample(format!("mr-{:02}.dcm", slice + 1), &series.instance(slice)))
    }

    /// Multi-frame ultrasound of a beating chamber: 30 colour frames of 320 x 240.
    pub fn ultrasound(&self) -> impl Iterator<Item = SampleFile> {
        let phantom = self.clone();
        std::iter::once_with(move || sample("ultrasound.dcm".to_owned(), &ultrasound::instance(&phantom)))
    }

    fn uid(&self, name: &str) -> String {
        crate::random::uid(self.seed, name)
    }
}

fn sample(name: String, data_set: &DataSetBuilder) -> SampleFile {
    SampleFile { name, bytes: part10::file(data_set, part10::EXPLICIT_VR_LITTLE_ENDIAN) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn equal_seeds_give_equal_files() {
        let first = |seed| Phantom::new(seed).ct().nth(60).unwrap().bytes;
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn the_archive_has_the_promised_files_of_promised_size() {
        let files: Vec<SampleFile> = Phantom::new(1).all().collect();
        assert_eq!(files.len(), Phantom::file_count());
        let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names.len(), files.len());
        for file in &files {
            let pixels = match file.name.get(..2) {
                Some("ct") => 512 * 512 * 2,
                Some("mr") => 256 * 256 * 2,
                Some("ch") => 2_000 * 2_500 * 2,
                Some("ul") => 320 * 240 * 3 * 30,
                _ => capture::COLUMNS * capture::ROWS * 3,
            };
            assert!(file.bytes.len() > pixels && file.bytes.len() < pixels + 8_192, "{}", file.name);
        }
    }

    #[test]
    fn slices_differ_along_the_body() {
        let files: Vec<Vec<u8>> = Phantom::new(1).ct().step_by(30).map(|file| file.bytes).collect();
        let distinct: BTreeSet<&Vec<u8>> = files.iter().collect();
        assert_eq!(distinct.len(), files.len());
    }
}
