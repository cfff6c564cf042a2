//! The studies of the load: study `n` of a seed is the same at every run, so that a load goes on where it stopped and
//! queries know what must be found.

use kluis_testkit::{DataSetBuilder, part10, random::Random};

use crate::names;

/// One study, without its instances.
#[derive(Debug, Clone)]
pub struct Study {
    /// Its number, from 0.
    pub number: u64,
    /// Study Instance UID.
    pub uid: String,
    /// Patient ID.
    pub patient_id: String,
    /// Patient's Name.
    pub patient_name: String,
    /// Accession Number.
    pub accession: String,
    /// Study Date, `YYYYMMDD`.
    pub date: String,
    /// Modality of its images.
    pub modality: &'static str,
    birth_date: String,
    sex: &'static str,
    time: String,
    description: String,
    referring: String,
    seed: u64,
    /// Instances of each series.
    series: Vec<u32>,
    /// Bytes of pixels of each instance.
    pixels: usize,
}

/// Studies a day.
const A_DAY: u64 = 550;

/// One in so many studies is older than the day on which it comes: taken over from another house.
const TAKEN_OVER: usize = 50;

const MODALITIES: [&str; 20] = [
    "CR", "DX", "CR", "DX", "CR", "DX", "CT", "CT", "CT", "CT", "MR", "MR", "MR", "US", "US", "US", "US", "MG", "XA",
    "PT",
];
const REGIONS: [&str; 12] = [
    "Knie",
    "Thorax",
    "Abdomen",
    "Schedel",
    "Hånd",
    "Wervelkolom",
    "Hüfte",
    "Bekken",
    "Schulter",
    "Lunge",
    "Hart",
    "Foot",
];
const WAYS: [&str; 8] = ["rechts", "links", "met contrast", "uden kontrast", "nativ", "controle", "2 Ebenen", "spoed"];
const ORIENTATIONS: [&str; 5] = ["ax", "cor", "sag", "scout", "3D"];

/// Study `number` of this seed.
#[must_use]
pub fn study(seed: u64, number: u64) -> Study {
    let mut random = Random::new(seed, &format!("study {number}"));
    // some patients have many studies, most have a few
    let patient = random.bits() % (number / 3 + 1);
    let mut own = Random::new(seed, &format!("patient {patient}"));
    let patient_name = names::person(&mut own);
    let birth_date = date(&mut own, 1925, 90);
    let sex = names::pick(&mut own, &["F", "M"]);
    let modality = names::pick(&mut random, &MODALITIES);
    let count = 1 + random.below(7);
    let series = (0..count).map(|_| 1 + u32::try_from(random.below(4)).unwrap_or(0)).collect();
    Study {
        number,
        uid: study_uid(&mut random, number),
        patient_id: format!("{:08}", patient.wrapping_mul(48_271) % 90_000_000 + 10_000_000),
        patient_name,
        accession: format!("A{:010}", number.wrapping_mul(7) % 10_000_000_000),
        date: if random.below(TAKEN_OVER) == 0 { date(&mut random, 2006, 13) } else { day(number / A_DAY) },
        modality,
        birth_date,
        sex,
        time: format!("{:02}{:02}{:02}", random.below(24), random.below(60), random.below(60)),
        description: format!("{modality} {} {}", names::pick(&mut random, &REGIONS), names::pick(&mut random, &WAYS)),
        referring: format!("{}^{}", names::surname(random.below(400)), names::pick(&mut random, &["A", "B", "J", "M"])),
        seed,
        series,
        pixels: 0,
    }
}

impl Study {
    /// The study as one series of so many images with so many bytes of pixels.
    #[must_use]
    pub fn with_images(self, slices: u32, pixels: usize) -> Self {
        Self { series: vec![slices], pixels, ..self }
    }

    /// Instances in it.
    #[must_use]
    pub fn instances(&self) -> u64 {
        self.series.iter().map(|count| u64::from(*count)).sum()
    }

    /// Series in it.
    #[must_use]
    pub fn series(&self) -> u64 {
        self.series.len() as u64
    }

    /// UID of a series, from 1.
    #[must_use]
    pub fn series_uid(&self, series: usize) -> String {
        below(&self.uid, series, "5")
    }

    /// UID of an instance of a series, both from 1.
    #[must_use]
    pub fn sop_uid(&self, series: usize, instance: u32) -> String {
        below(&self.uid, series * 1_000 + instance as usize, "7")
    }

    /// Its data sets in Explicit VR Little Endian, one after the other: headers without pixels.
    pub fn data_sets(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.series
            .iter()
            .enumerate()
            .flat_map(move |(series, count)| (1..=*count).map(move |instance| self.data_set(series + 1, instance)))
    }

    fn data_set(&self, series: usize, instance: u32) -> Vec<u8> {
        let mut random = Random::new(self.seed, &format!("instance {} {series} {instance}", self.number));
        let place = f64::from(instance) * 2.5;
        let orientation = ORIENTATIONS.get(series % ORIENTATIONS.len()).copied().unwrap_or_default();
        let header = DataSetBuilder::new()
            .text((0x0008, 0x0005), "CS", "ISO_IR 192")
            .text((0x0008, 0x0008), "CS", "ORIGINAL\\PRIMARY\\AXIAL")
            .uid((0x0008, 0x0016), sop_class(self.modality))
            .uid((0x0008, 0x0018), self.sop_uid(series, instance))
            .text((0x0008, 0x0020), "DA", &self.date)
            .text((0x0008, 0x0021), "DA", &self.date)
            .text((0x0008, 0x0023), "DA", &self.date)
            .text((0x0008, 0x0030), "TM", &self.time)
            .text((0x0008, 0x0033), "TM", format!("{}.{:03}", self.time, random.below(1_000)))
            .text((0x0008, 0x0050), "SH", &self.accession)
            .text((0x0008, 0x0060), "CS", self.modality)
            .text((0x0008, 0x0070), "LO", "Proof Systems")
            .text((0x0008, 0x0080), "LO", "Hospital of the Load")
            .name((0x0008, 0x0090), &self.referring)
            .text((0x0008, 0x1010), "SH", format!("STATION{}", self.number % 12))
            .text((0x0008, 0x1030), "LO", &self.description)
            .text((0x0008, 0x103E), "LO", format!("{orientation} {}", self.description))
            .name((0x0010, 0x0010), &self.patient_name)
            .text((0x0010, 0x0020), "LO", &self.patient_id)
            .text((0x0010, 0x0030), "DA", &self.birth_date)
            .text((0x0010, 0x0040), "CS", self.sex)
            .text((0x0018, 0x0015), "CS", "CHEST")
            .decimals((0x0018, 0x0050), &[2.5])
            .uid((0x0020, 0x000D), &self.uid)
            .uid((0x0020, 0x000E), self.series_uid(series))
            .text((0x0020, 0x0010), "SH", self.number.to_string())
            .integer((0x0020, 0x0011), i64::try_from(series).unwrap_or(0))
            .integer((0x0020, 0x0013), i64::from(instance))
            .decimals((0x0020, 0x0032), &[-170.5, -120.25, place])
            .decimals((0x0020, 0x0037), &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
            .uid((0x0020, 0x0052), format!("{}.99", self.series_uid(series)))
            .short((0x0028, 0x0002), 1)
            .text((0x0028, 0x0004), "CS", "MONOCHROME2")
            .short((0x0028, 0x0010), 512)
            .short((0x0028, 0x0011), 512)
            .decimals((0x0028, 0x0030), &[0.664, 0.664])
            .short((0x0028, 0x0100), 16)
            .short((0x0028, 0x0101), 12)
            .short((0x0028, 0x0102), 11)
            .short((0x0028, 0x0103), 0);
        // what they are makes no difference to a store that encrypts, and making them should cost nothing
        let shade = u8::try_from(random.below(256)).unwrap_or(0);
        let all = if self.pixels == 0 { header } else { header.pixels8(vec![shade; self.pixels]) };
        all.encode(part10::encoding_of(part10::EXPLICIT_VR_LITTLE_ENDIAN))
    }
}

/// The day so many days behind the first. Months of 28 days are in every calendar.
fn day(number: u64) -> String {
    format!("{:04}{:02}{:02}", 2019 + number / 336, 1 + number % 336 / 28, 1 + number % 28)
}

fn date(random: &mut Random, first_year: usize, years: usize) -> String {
    format!("{:04}{:02}{:02}", first_year + random.below(years), 1 + random.below(12), 1 + random.below(28))
}

/// As three kinds of makers form them: counters behind the device and the time, one long counter, a UUID.
fn study_uid(random: &mut Random, number: u64) -> String {
    let device = 10_000 + random.below(40);
    let drawn = random.bits();
    match drawn % 4 {
        0 | 1 => format!(
            "1.2.276.0.7230010.3.1.2.{device}.{}.{}.{number}",
            1_100_000_000 + drawn % 899_999_999,
            drawn % 99_991
        ),
        2 => format!("1.3.12.2.1107.5.2.6.{device}.3{:09}{:012}", number, drawn % 1_000_000_000_000),
        _ => {
            let uuid = (u128::from(drawn) << 64) | u128::from(random.bits());
            format!("2.25.{}", uuid | 1 << 127)
        }
    }
}

fn below(study: &str, number: usize, kind: &str) -> String {
    match study.strip_prefix("2.25.").and_then(|uuid| uuid.parse::<u128>().ok()) {
        // a UUID of its own, as far away from the study's as any other
        Some(uuid) => {
            let mut random = Random::new(number as u64, &format!("{kind} {uuid}"));
            let own = (u128::from(random.bits()) << 64) | u128::from(random.bits());
            format!("2.25.{}", own | 1 << 127)
        }
        None => format!("{study}{kind}{number:04}"),
    }
}

fn sop_class(modality: &str) -> &'static str {
    match modality {
        "CR" => "1.2.840.10008.5.1.4.1.1.1",
        "DX" => "1.2.840.10008.5.1.4.1.1.1.1",
        "CT" => "1.2.840.10008.5.1.4.1.1.2",
        "MR" => "1.2.840.10008.5.1.4.1.1.4",
        "US" => "1.2.840.10008.5.1.4.1.1.6.1",
        "MG" => "1.2.840.10008.5.1.4.1.1.1.2",
        "XA" => "1.2.840.10008.5.1.4.1.1.12.1",
        _ => "1.2.840.10008.5.1.4.1.1.128",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_study_is_equal_at_every_run_and_has_uids_of_its_own() {
        let mut uids = HashSet::new();
        let (mut series, mut instances) = (0, 0);
        for number in 0..2_000 {
            let one = study(7, number);
            assert!(one.data_sets().eq(study(7, number).data_sets()));
            series += one.series();
            instances += one.instances();
            for (at, count) in one.series.iter().enumerate() {
                for instance in 1..=*count {
                    let uid = one.sop_uid(at + 1, instance);
                    assert!(uid.parse::<kluis_dicom::Uid>().is_ok() && uids.insert(uid.clone()), "{uid}");
                }
                assert!(uids.insert(one.series_uid(at + 1)));
            }
            assert!(uids.insert(one.uid));
        }
        assert!((3.8..4.2).contains(&(series as f64 / 2_000.0)), "{series}");
        assert!((9.5..10.5).contains(&(instances as f64 / 2_000.0)), "{instances}");
    }
}
