//! Modules that all images share (PS3.3 C.7): patient, study, series, equipment, pixels.

use super::Phantom;
use crate::data_set::DataSetBuilder;

/// An invented patient.
#[derive(Debug, Clone)]
pub struct Patient {
    /// Patient's Name (PN, UTF-8).
    pub name: String,
    /// Patient ID.
    pub id: String,
    /// Patient's Birth Date, `YYYYMMDD`.
    pub birth_date: String,
    /// Patient's Sex: `F`, `M` or `O`.
    pub sex: String,
}

impl Patient {
    /// All four in that order.
    #[must_use]
    pub fn new(name: &str, id: &str, birth_date: &str, sex: &str) -> Self {
        Self { name: name.to_owned(), id: id.to_owned(), birth_date: birth_date.to_owned(), sex: sex.to_owned() }
    }
}

/// What tells one series from another.
pub(super) struct SeriesWords<'a> {
    pub patient: &'a Patient,
    /// Name from which the Study Instance UID is made.
    pub study: &'a str,
    pub study_description: &'a str,
    pub accession: &'a str,
    /// Time of the study, `HHMMSS`.
    pub time: &'a str,
    pub modality: &'a str,
    pub sop_class: &'a str,
    pub series_number: u32,
    pub series_description: &'a str,
    pub model: &'a str,
}

/// Patient, general study, general series, general equipment and SOP common modules.
pub(super) fn series(phantom: &Phantom, words: &SeriesWords) -> DataSetBuilder {
    let series_name = format!("{} series {}", words.study, words.series_number);
    DataSetBuilder::new()
        .text((0x0008, 0x0005), "CS", "ISO_IR 192")
        .uid((0x0008, 0x0016), words.sop_class)
        .text((0x0008, 0x0020), "DA", &phantom.study_date)
        .text((0x0008, 0x0021), "DA", &phantom.study_date)
        .text((0x0008, 0x0023), "DA", &phantom.study_date)
        .text((0x0008, 0x0030), "TM", words.time)
        .text((0x0008, 0x0031), "TM", words.time)
        .text((0x0008, 0x0033), "TM", words.time)
        .text((0x0008, 0x0050), "SH", words.accession)
        .text((0x0008, 0x0060), "CS", words.modality)
        .text((0x0008, 0x0070), "LO", "Kluis")
        .text((0x0008, 0x0080), "LO", "Hospital of the Phantom")
        .name((0x0008, 0x0090), "Brandt^Ilse^^Dr.")
        .text((0x0008, 0x1010), "SH", format!("PHANTOM-{}", words.modality))
        .text((0x0008, 0x1030), "LO", words.study_description)
        .text((0x0008, 0x103E), "LO", words.series_description)
        .text((0x0008, 0x1090), "LO", words.model)
        .name((0x0010, 0x0010), &words.patient.name)
        .text((0x0010, 0x0020), "LO", &words.patient.id)
        .text((0x0010, 0x0030), "DA", &words.patient.birth_date)
        .text((0x0010, 0x0040), "CS", &words.patient.sex)
        .text((0x0018, 0x1000), "LO", "0001")
        .text((0x0018, 0x1020), "LO", "testkit")
        .uid((0x0020, 0x000D), phantom.uid(words.study))
        .uid((0x0020, 0x000E), phantom.uid(&series_name))
        .text((0x0020, 0x0010), "SH", words.accession)
        .integer((0x0020, 0x0011), i64::from(words.series_number))
}

/// The instance of a series with this number, counted from 1.
pub(super) fn instance(phantom: &Phantom, words: &SeriesWords, number: usize) -> DataSetBuilder {
    let name = format!("{} series {} instance {number}", words.study, words.series_number);
    series(phantom, words).uid((0x0008, 0x0018), phantom.uid(&name)).text((0x0020, 0x0013), "IS", number.to_string())
}

/// Image pixel module of one grey value a pixel in 16 bits.
pub(super) fn grey(set: DataSetBuilder, columns: u16, rows: u16, bits: u16, is_signed: bool) -> DataSetBuilder {
    set.short((0x0028, 0x0002), 1)
        .text((0x0028, 0x0004), "CS", "MONOCHROME2")
        .short((0x0028, 0x0010), rows)
        .short((0x0028, 0x0011), columns)
        .short((0x0028, 0x0100), 16)
        .short((0x0028, 0x0101), bits)
        .short((0x0028, 0x0102), bits.saturating_sub(1))
        .short((0x0028, 0x0103), u16::from(is_signed))
}

/// Image pixel module of three bytes a pixel, red, green, blue.
pub(super) fn colour(set: DataSetBuilder, columns: u16, rows: u16) -> DataSetBuilder {
    set.short((0x0028, 0x0002), 3)
        .text((0x0028, 0x0004), "CS", "RGB")
        .short((0x0028, 0x0006), 0)
        .short((0x0028, 0x0010), rows)
        .short((0x0028, 0x0011), columns)
        .short((0x0028, 0x0100), 8)
        .short((0x0028, 0x0101), 8)
        .short((0x0028, 0x0102), 7)
        .short((0x0028, 0x0103), 0)
}
