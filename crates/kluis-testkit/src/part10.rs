//! DICOM files (PS3.10 7.1): preamble, prefix, file meta information, data set.

use crate::data_set::{DataSetBuilder, Encoding};

/// Implicit VR Little Endian.
pub const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian.
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Deflated Explicit VR Little Endian.
pub const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1.99";
/// Explicit VR Big Endian (retired).
pub const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
/// JPEG Baseline (Process 1).
pub const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";

const IMPLEMENTATION_CLASS: &str = "2.25.161803398874989484820458683436563811";

/// The encoding that a transfer syntax asks for; every encapsulated syntax is Explicit VR Little Endian (PS3.5 A.4).
#[must_use]
pub fn encoding_of(transfer_syntax: &str) -> Encoding {
    match transfer_syntax {
        IMPLICIT_VR_LITTLE_ENDIAN => Encoding::IMPLICIT_LITTLE,
        EXPLICIT_VR_BIG_ENDIAN => Encoding::EXPLICIT_BIG,
        _ => Encoding::EXPLICIT_LITTLE,
    }
}

/// A whole file. SOP class and instance are those of the data set (empty where it has none). A deflated syntax is named
/// in the file meta information, but the data set is left as it is: use [`file_around`] with bytes already deflated.
#[must_use]
pub fn file(data_set: &DataSetBuilder, transfer_syntax: &str) -> Vec<u8> {
    let class = data_set.text_at((0x0008, 0x0016)).unwrap_or_default();
    let instance = data_set.text_at((0x0008, 0x0018)).unwrap_or_default();
    file_around(&data_set.encode(encoding_of(transfer_syntax)), class, instance, transfer_syntax)
}

/// A whole file around a data set that is already encoded.
#[must_use]
pub fn file_around(data_set: &[u8], sop_class: &str, sop_instance: &str, transfer_syntax: &str) -> Vec<u8> {
    let meta = DataSetBuilder::new()
        .bytes((0x0002, 0x0001), "OB", vec![0, 1])
        .uid((0x0002, 0x0002), sop_class)
        .uid((0x0002, 0x0003), sop_instance)
        .uid((0x0002, 0x0010), transfer_syntax)
        .uid((0x0002, 0x0012), IMPLEMENTATION_CLASS)
        .text((0x0002, 0x0013), "SH", "KLUIS_TESTKIT")
        .encode(Encoding::EXPLICIT_LITTLE);
    let group_length = DataSetBuilder::new()
        .long((0x0002, 0x0000), u32::try_from(meta.len()).unwrap_or_default())
        .encode(Encoding::EXPLICIT_LITTLE);
    [&[0; 128], b"DICM".as_slice(), &group_length, &meta, data_set].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_opens_with_preamble_prefix_and_a_true_group_length() {
        let set = DataSetBuilder::new().uid((0x0008, 0x0016), "1.2.3").uid((0x0008, 0x0018), "1.2.3.4");
        let bytes = file(&set, EXPLICIT_VR_LITTLE_ENDIAN);
        assert!(bytes[..128].iter().all(|&byte| byte == 0));
        assert_eq!(&bytes[128..132], b"DICM");
        let group_length = u32::from_le_bytes(bytes[140..144].try_into().unwrap()) as usize;
        assert_eq!(&bytes[144 + group_length..], set.encode(Encoding::EXPLICIT_LITTLE));
    }
}
