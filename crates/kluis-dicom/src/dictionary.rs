//! The data dictionary (PS3.6): keywords, tags and value representations.

use dicom_core::{
    Tag, VR,
    dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr},
};
use dicom_dictionary_std::StandardDataDictionary;

/// Sets the tables up, which takes some milliseconds: else whoever asks first waits for it.
pub fn load() {
    let _ = (vr(Tag(0x0008, 0x0018)), tag("SOPInstanceUID"));
}

/// The VR of an attribute; `None` where the standard does not know it (private attributes among them).
///
/// Where the VR depends on other attributes: `US` for "US or SS", `OW` for "OB or OW" (PS3.5 A.1), `OB` for pixel data.
#[must_use]
pub fn vr(tag: Tag) -> Option<VR> {
    if !tag.0.is_multiple_of(2) {
        return match tag.1 {
            0 => Some(VR::UL),
            0x10..=0xFF => Some(VR::LO),
            _ => None,
        };
    }
    Some(match StandardDataDictionary.by_tag(tag)?.vr() {
        VirtualVr::Exact(vr) => vr,
        VirtualVr::Xs | VirtualVr::Lt => VR::US,
        VirtualVr::Ox => VR::OW,
        VirtualVr::Px => VR::OB,
        _ => return None,
    })
}

/// The tag of a keyword such as `StudyDate`; letter case counts.
#[must_use]
pub fn tag(keyword: &str) -> Option<Tag> {
    StandardDataDictionary.by_name(keyword).map(DataDictionaryEntry::tag)
}

/// The keyword of a tag.
#[must_use]
pub fn keyword(tag: Tag) -> Option<&'static str> {
    StandardDataDictionary.by_tag(tag).map(|entry| entry.alias)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionary_knows_both_ways() {
        for (name, number, representation) in [
            ("PatientName", Tag(0x0010, 0x0010), VR::PN),
            ("StudyInstanceUID", Tag(0x0020, 0x000D), VR::UI),
            ("RequestAttributesSequence", Tag(0x0040, 0x0275), VR::SQ),
            ("SmallestImagePixelValue", Tag(0x0028, 0x0106), VR::US),
            ("PixelData", Tag(0x7FE0, 0x0010), VR::OB),
        ] {
            assert_eq!(tag(name), Some(number), "{name}");
            assert_eq!(keyword(number), Some(name));
            assert_eq!(vr(number), Some(representation), "{name}");
        }
        assert_eq!(tag("patientname"), None);
        assert_eq!(vr(Tag(0x0009, 0x0010)), Some(VR::LO));
        assert_eq!(vr(Tag(0x0009, 0x1010)), None);
        assert_eq!(vr(Tag(0x0008, 0x0000)), Some(VR::UL));
    }
}
