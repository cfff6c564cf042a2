//! Small valid instances for tests: one frame of secondary capture, with every key attribute under the test's control.

use crate::{
    data_set::DataSetBuilder,
    part10,
    random::{Random, uid},
};

/// Secondary Capture Image Storage.
pub const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
/// CT Image Storage.
pub const CT_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.2";

/// A valid image of a few kilobytes. Change what a test is about, then take the data set or the file.
#[derive(Debug, Clone)]
pub struct SmallInstance {
    /// SOP Class UID.
    pub sop_class: String,
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// Patient ID.
    pub patient_id: String,
    /// Patient's Name.
    pub patient_name: String,
    /// Study Date, `YYYYMMDD`.
    pub study_date: String,
    /// Modality.
    pub modality: String,
    /// Instance Number.
    pub number: u32,
    /// Rows and columns of the image, 8 bits a pixel.
    pub side_pixels: u16,
    /// Bytes at the start of the pixels; the rest is noise.
    pub pixel_mark: Vec<u8>,
    seed: u64,
}

impl SmallInstance {
    /// Instance `instance` of series `series` of study `study`: equal numbers give equal UIDs, and equal bytes.
    #[must_use]
    pub fn new(seed: u64, study: u32, series: u32, instance: u32) -> Self {
        Self {
            sop_class: SECONDARY_CAPTURE.to_owned(),
            study: uid(seed, &format!("study {study}")),
            series: uid(seed, &format!("study {study} series {series}")),
            sop_instance: uid(seed, &format!("study {study} series {series} instance {instance}")),
            patient_id: format!("P{study:06}"),
            patient_name: format!("Proof^Study{study}"),
            study_date: "20260114".to_owned(),
            modality: "OT".to_owned(),
            number: instance,
            side_pixels: 32,
            pixel_mark: Vec::new(),
            seed,
        }
    }

    /// The data set, to be changed further or encoded.
    #[must_use]
    pub fn data_set(&self) -> DataSetBuilder {
        let area = usize::from(self.side_pixels) * usize::from(self.side_pixels);
        let mut pixels = self.pixel_mark.clone();
        let mut random = Random::new(self.seed, &self.sop_instance);
        pixels.extend(random.bytes(area.saturating_sub(pixels.len())));
        pixels.truncate(area);
        DataSetBuilder::new()
            .uid((0x0008, 0x0016), &self.sop_class)
            .uid((0x0008, 0x0018), &self.sop_instance)
            .text((0x0008, 0x0020), "DA", &self.study_date)
            .text((0x0008, 0x0030), "TM", "101500")
            .text((0x0008, 0x0050), "SH", "")
            .text((0x0008, 0x0060), "CS", &self.modality)
            .text((0x0008, 0x0064), "CS", "WSD")
            .name((0x0008, 0x0090), "")
            .name((0x0010, 0x0010), &self.patient_name)
            .text((0x0010, 0x0020), "LO", &self.patient_id)
            .text((0x0010, 0x0030), "DA", "")
            .text((0x0010, 0x0040), "CS", "")
            .text((0x0018, 0x0015), "CS", "CHEST")
            .uid((0x0020, 0x000D), &self.study)
            .uid((0x0020, 0x000E), &self.series)
            .text((0x0020, 0x0010), "SH", "1")
            .integer((0x0020, 0x0011), 1)
            .integer((0x0020, 0x0013), i64::from(self.number))
            .text((0x0020, 0x0020), "CS", "")
            .short((0x0028, 0x0002), 1)
            .text((0x0028, 0x0004), "CS", "MONOCHROME2")
            .short((0x0028, 0x0010), self.side_pixels)
            .short((0x0028, 0x0011), self.side_pixels)
            .short((0x0028, 0x0100), 8)
            .short((0x0028, 0x0101), 8)
            .short((0x0028, 0x0102), 7)
            .short((0x0028, 0x0103), 0)
            .pixels8(pixels)
    }

    /// The data set as it travels over DIMSE, in Explicit VR Little Endian.
    #[must_use]
    pub fn data_set_bytes(&self) -> Vec<u8> {
        self.data_set().encode(part10::encoding_of(part10::EXPLICIT_VR_LITTLE_ENDIAN))
    }

    /// The DICOM file, in Explicit VR Little Endian.
    #[must_use]
    pub fn file(&self) -> Vec<u8> {
        part10::file(&self.data_set(), part10::EXPLICIT_VR_LITTLE_ENDIAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_give_equal_files_and_others_differ() {
        let file = |instance| SmallInstance::new(1, 1, 1, instance).file();
        assert_eq!(file(1), file(1));
        assert_ne!(file(1), file(2));
    }

    #[test]
    fn the_mark_stands_in_the_pixels() {
        let mut instance = SmallInstance::new(1, 1, 1, 1);
        instance.pixel_mark = b"MARK".to_vec();
        let bytes = instance.file();
        assert!(bytes.windows(4).any(|window| window == b"MARK"));
    }
}
