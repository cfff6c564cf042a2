//! CT slices of half a megabyte that no two of are alike, made in memory and given new UIDs for each round.
//!
//! May not contain: sending.

use kluis_testkit::{DataSetBuilder, part10, random::Random};

/// CT Image Storage.
pub const CT_IMAGE: &str = kluis_testkit::instance::CT_IMAGE;
/// Rows and columns.
const SIDE_PIXELS: u16 = 512;
/// Stands for a UID in the template: as long as [`uid`] makes them, which is even.
const STUDY_MARK: &str = "2.25.199999999999999999999999999999999999991";
const SERIES_MARK: &str = "2.25.199999999999999999999999999999999999992";
const INSTANCE_MARK: &str = "2.25.199999999999999999999999999999999999993";

/// One slice: a data set in Explicit VR Little Endian.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The data set as it travels over DIMSE.
    pub bytes: Vec<u8>,
    /// SOP Instance UID.
    pub instance: String,
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    places: Places,
}

/// Where the UIDs stand in the bytes.
#[derive(Debug, Clone, Copy)]
struct Places {
    study: usize,
    series: usize,
    instance: usize,
}

impl Slice {
    /// The DICOM file.
    pub fn file(&self) -> Vec<u8> {
        part10::file_around(&self.bytes, CT_IMAGE, &self.instance, part10::EXPLICIT_VR_LITTLE_ENDIAN)
    }

    /// The pixels, which stand last in the data set.
    pub fn pixels(&self) -> &[u8] {
        let length = usize::from(SIDE_PIXELS) * usize::from(SIDE_PIXELS) * 2;
        self.bytes.get(self.bytes.len().saturating_sub(length)..).unwrap_or_default()
    }

    fn rename(&mut self, study: &str, series: &str, instance: &str) {
        for (place, uid) in [(self.places.study, study), (self.places.series, series), (self.places.instance, instance)]
        {
            if let Some(slot) = self.bytes.get_mut(place..place.saturating_add(uid.len())) {
                slot.copy_from_slice(uid.as_bytes());
            }
        }
        self.study = study.to_owned();
        self.series = series.to_owned();
        self.instance = instance.to_owned();
    }
}

/// Slices of distinct noise; their UIDs are those of [`name`] or still marks.
pub fn make(count: usize, seed: u64) -> Vec<Slice> {
    (0..count).map(|number| slice(number, seed)).collect()
}

/// Gives UIDs that depend on `run` alone: the slices become `studies` studies of one series each, of equal size.
/// Slice `n` belongs to study `n % studies`.
pub fn name(slices: &mut [Slice], studies: usize, run: u64) {
    for (number, slice) in slices.iter_mut().enumerate() {
        let study_number = number.checked_rem(studies).unwrap_or_default();
        let study = uid(run, &format!("study {study_number}"));
        let series = uid(run, &format!("series {study_number}"));
        let instance = uid(run, &format!("instance {number}"));
        slice.rename(&study, &series, &instance);
    }
}

/// A UID of always 44 characters.
fn uid(run: u64, purpose: &str) -> String {
    let mut random = Random::new(run, purpose);
    let drawn = (u128::from(random.bits()) << 64) | u128::from(random.bits());
    // 38 digits behind a 1: below 2^128, as PS3.5 B.2 wants it
    format!("2.25.1{:038}", drawn % 10_u128.pow(38))
}

fn slice(number: usize, seed: u64) -> Slice {
    let mut random = Random::new(seed, &format!("pixels {number}"));
    let area = usize::from(SIDE_PIXELS) * usize::from(SIDE_PIXELS);
    let words = std::iter::repeat_with(|| random.bits())
        .flat_map(|bits| [bits, bits >> 16, bits >> 32, bits >> 48])
        .map(|bits| u16::try_from(bits & 0x0FFF).unwrap_or_default());
    let bytes = header(number).pixels16(words.take(area).collect()).encode(kluis_testkit::Encoding::EXPLICIT_LITTLE);
    let place = |mark: &str| {
        let head = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
        head.windows(mark.len()).position(|window| window == mark.as_bytes()).unwrap_or_default()
    };
    let places = Places { study: place(STUDY_MARK), series: place(SERIES_MARK), instance: place(INSTANCE_MARK) };
    let [study, series, instance] = [STUDY_MARK, SERIES_MARK, INSTANCE_MARK].map(str::to_owned);
    Slice { bytes, instance, study, series, places }
}

/// What a scanner writes around the pixels of one axial slice, much shortened.
fn header(number: usize) -> DataSetBuilder {
    let height = 0.7 * f64::from(u32::try_from(number).unwrap_or_default());
    DataSetBuilder::new()
        .text((0x0008, 0x0005), "CS", "ISO_IR 100")
        .text((0x0008, 0x0008), "CS", "ORIGINAL\\PRIMARY\\AXIAL")
        .uid((0x0008, 0x0016), CT_IMAGE)
        .uid((0x0008, 0x0018), INSTANCE_MARK)
        .text((0x0008, 0x0020), "DA", "20260114")
        .text((0x0008, 0x0021), "DA", "20260114")
        .text((0x0008, 0x0030), "TM", "101500")
        .text((0x0008, 0x0050), "SH", "A1000001")
        .text((0x0008, 0x0060), "CS", "CT")
        .text((0x0008, 0x0070), "LO", "Testkit")
        .name((0x0008, 0x0090), "Referrer^Robin")
        .text((0x0008, 0x1030), "LO", "Thorax routine")
        .text((0x0008, 0x103E), "LO", "Axial 0.7 mm")
        .name((0x0010, 0x0010), "Bench^Subject")
        .text((0x0010, 0x0020), "LO", "BENCH0001")
        .text((0x0010, 0x0030), "DA", "19700101")
        .text((0x0010, 0x0040), "CS", "O")
        .text((0x0018, 0x0015), "CS", "CHEST")
        .decimals((0x0018, 0x0050), &[0.7])
        .decimals((0x0018, 0x0060), &[120.0])
        .text((0x0018, 0x1030), "LO", "Thorax")
        .text((0x0018, 0x5100), "CS", "HFS")
        .uid((0x0020, 0x000D), STUDY_MARK)
        .uid((0x0020, 0x000E), SERIES_MARK)
        .text((0x0020, 0x0010), "SH", "1")
        .integer((0x0020, 0x0011), 1)
        .integer((0x0020, 0x0013), i64::try_from(number).unwrap_or_default().saturating_add(1))
        .decimals((0x0020, 0x0032), &[-180.0, -180.0, height])
        .decimals((0x0020, 0x0037), &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
        .uid((0x0020, 0x0052), "2.25.1")
        .short((0x0028, 0x0002), 1)
        .text((0x0028, 0x0004), "CS", "MONOCHROME2")
        .short((0x0028, 0x0010), SIDE_PIXELS)
        .short((0x0028, 0x0011), SIDE_PIXELS)
        .decimals((0x0028, 0x0030), &[0.7, 0.7])
        .short((0x0028, 0x0100), 16)
        .short((0x0028, 0x0101), 12)
        .short((0x0028, 0x0102), 11)
        .short((0x0028, 0x0103), 0)
        .decimals((0x0028, 0x1050), &[40.0])
        .decimals((0x0028, 0x1051), &[400.0])
        .decimals((0x0028, 0x1052), &[-1024.0])
        .decimals((0x0028, 0x1053), &[1.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_differ_and_carry_the_names_of_their_run() {
        let mut slices = make(4, 1);
        name(&mut slices, 2, 7);
        assert_ne!(slices[0].pixels(), slices[1].pixels());
        assert_eq!(slices[0].study, slices[2].study);
        assert_ne!(slices[0].study, slices[1].study);
        for slice in &slices {
            assert!(slice.bytes.len() - slice.pixels().len() < 2048);
            for uid in [&slice.study, &slice.series, &slice.instance] {
                assert!(slice.bytes.windows(44).any(|window| window == uid.as_bytes()));
            }
        }
        let before = slices[0].instance.clone();
        name(&mut slices, 2, 8);
        assert_ne!(slices[0].instance, before);
    }
}
