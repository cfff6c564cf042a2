//! The transfer syntaxes of PS3.6 Table A-1, retired ones included.
//!
//! Left out: RFC 2557 MIME encapsulation and XML encoding (both retired), which wrap a data set instead of encoding one.

/// A transfer syntax (PS3.5 10 and annex A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferSyntax {
    /// Its UID.
    pub uid: &'static str,
    /// Its name, without the remark about being a default.
    pub name: &'static str,
    /// How the data set is written.
    pub encoding: Encoding,
    /// How pixel data is written.
    pub pixels: PixelEncoding,
    /// Media type of a frame or video as stored (PS3.18 Table 8.7.3-5); `None` where that is `application/octet-stream`.
    pub media_type: Option<&'static str>,
    /// Whether the standard has retired it.
    pub is_retired: bool,
}

/// How the elements of a data set are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// Elements name their value representation.
    pub explicit_vr: bool,
    /// Most significant byte first.
    pub big_endian: bool,
    /// The data set as a whole is deflated (RFC 1951).
    pub deflated: bool,
}

/// How the value of pixel data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelEncoding {
    /// As one value (PS3.5 8.2), or outside of the data set.
    Native,
    /// In fragments (PS3.5 A.4).
    Encapsulated,
}

use PixelEncoding::{Encapsulated, Native};

const IMPLICIT: Encoding = Encoding { explicit_vr: false, big_endian: false, deflated: false };
const EXPLICIT: Encoding = Encoding { explicit_vr: true, big_endian: false, deflated: false };
const BIG: Encoding = Encoding { explicit_vr: true, big_endian: true, deflated: false };
const DEFLATED: Encoding = Encoding { explicit_vr: true, big_endian: false, deflated: true };

/// UID of implicit VR little endian, which every application understands (PS3.5 10.1).
pub const IMPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
/// UID of explicit VR little endian.
pub const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// UID of explicit VR big endian (retired).
pub const EXPLICIT_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// The syntax with this UID.
#[must_use]
pub fn lookup(uid: &str) -> Option<&'static TransferSyntax> {
    TABLE.iter().find(|syntax| syntax.uid == uid)
}

/// Every syntax.
#[must_use]
pub fn all() -> &'static [TransferSyntax] {
    TABLE
}

const fn row(
    uid: &'static str,
    name: &'static str,
    encoding: Encoding,
    pixels: PixelEncoding,
    media_type: Option<&'static str>,
    is_retired: bool,
) -> TransferSyntax {
    TransferSyntax { uid, name, encoding, pixels, media_type, is_retired }
}

#[rustfmt::skip]
const TABLE: &[TransferSyntax] = &[
    row("1.2.840.10008.1.2", "Implicit VR Little Endian", IMPLICIT, Native, None, false),
    row("1.2.840.10008.1.2.1", "Explicit VR Little Endian", EXPLICIT, Native, None, false),
    row("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", EXPLICIT, Encapsulated, None, false),
    row("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", DEFLATED, Native, None, false),
    row("1.2.840.10008.1.2.2", "Explicit VR Big Endian", BIG, Native, None, true),
    row("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", EXPLICIT, Encapsulated, Some("image/jpeg"), false),
    row("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 & 4)", EXPLICIT, Encapsulated, Some("image/jpeg"), false),
    row("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 & 5)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 & 8)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 & 9)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 & 12)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 & 13)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", EXPLICIT, Encapsulated, Some("image/jpeg"), false),
    row("1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 & 18)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 & 19)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 & 22)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 & 23)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 & 26)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 & 27)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)", EXPLICIT, Encapsulated, Some("image/jpeg"), true),
    row("1.2.840.10008.1.2.4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])", EXPLICIT, Encapsulated, Some("image/jpeg"), false),
    row("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless Image Compression", EXPLICIT, Encapsulated, Some("image/jls"), false),
    row("1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", EXPLICIT, Encapsulated, Some("image/jls"), false),
    row("1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression (Lossless Only)", EXPLICIT, Encapsulated, Some("image/jp2"), false),
    row("1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression", EXPLICIT, Encapsulated, Some("image/jp2"), false),
    row("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)", EXPLICIT, Encapsulated, Some("image/jpx"), false),
    row("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression", EXPLICIT, Encapsulated, Some("image/jpx"), false),
    row("1.2.840.10008.1.2.4.94", "JPIP Referenced", EXPLICIT, Native, None, false),
    row("1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", DEFLATED, Native, None, false),
    row("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", EXPLICIT, Encapsulated, Some("video/mpeg"), false),
    row("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", EXPLICIT, Encapsulated, Some("video/mpeg"), false),
    row("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", EXPLICIT, Encapsulated, Some("video/mpeg"), false),
    row("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level", EXPLICIT, Encapsulated, Some("video/mpeg"), false),
    row("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", EXPLICIT, Encapsulated, Some("video/mp4"), false),
    row("1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", EXPLICIT, Encapsulated, Some("video/mp4"), false),
    row("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", EXPLICIT, Encapsulated, Some("video/mp4"), false),
    row("1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", EXPLICIT, Encapsulated, Some("video/mp4"), false),
    row("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", EXPLICIT, Encapsulated, Some("video/mp4"), false),
    row("1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", EXPLICIT, Encapsulated, Some("video/mp4"), false),
    row("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", EXPLICIT, Encapsulated, Some("video/mp4"), false),
    row("1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", EXPLICIT, Encapsulated, Some("video/mp4"), false),
    row("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", EXPLICIT, Encapsulated, Some("video/mp4"), false),
    row("1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", EXPLICIT, Encapsulated, Some("video/mp4"), false),
    row("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", EXPLICIT, Encapsulated, Some("video/H265"), false),
    row("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", EXPLICIT, Encapsulated, Some("video/H265"), false),
    row("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", EXPLICIT, Encapsulated, Some("image/jxl"), false),
    row("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", EXPLICIT, Encapsulated, Some("image/jxl"), false),
    row("1.2.840.10008.1.2.4.112", "JPEG XL", EXPLICIT, Encapsulated, Some("image/jxl"), false),
    row("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)", EXPLICIT, Encapsulated, Some("image/jphc"), false),
    row("1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)", EXPLICIT, Encapsulated, Some("image/jphc"), false),
    row("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 Image Compression", EXPLICIT, Encapsulated, Some("image/jphc"), false),
    row("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", EXPLICIT, Native, None, false),
    row("1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", DEFLATED, Native, None, false),
    row("1.2.840.10008.1.2.5", "RLE Lossless", EXPLICIT, Encapsulated, Some("image/dicom-rle"), false),
    row("1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video", EXPLICIT, Native, None, false),
    row("1.2.840.10008.1.2.7.2", "SMPTE ST 2110-20 Uncompressed Interlaced Active Video", EXPLICIT, Native, None, false),
    row("1.2.840.10008.1.2.7.3", "SMPTE ST 2110-30 PCM Digital Audio", EXPLICIT, Native, None, false),
    row("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", EXPLICIT, Encapsulated, None, false),
    row("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian", IMPLICIT, Native, None, true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_syntax_table() {
        for (uid, explicit_vr, big_endian, deflated, pixels, media_type) in [
            ("1.2.840.10008.1.2", false, false, false, Native, None),
            ("1.2.840.10008.1.2.1", true, false, false, Native, None),
            ("1.2.840.10008.1.2.1.98", true, false, false, Encapsulated, None),
            ("1.2.840.10008.1.2.1.99", true, false, true, Native, None),
            ("1.2.840.10008.1.2.2", true, true, false, Native, None),
            ("1.2.840.10008.1.2.4.50", true, false, false, Encapsulated, Some("image/jpeg")),
            ("1.2.840.10008.1.2.4.66", true, false, false, Encapsulated, Some("image/jpeg")),
            ("1.2.840.10008.1.2.4.80", true, false, false, Encapsulated, Some("image/jls")),
            ("1.2.840.10008.1.2.4.91", true, false, false, Encapsulated, Some("image/jp2")),
            ("1.2.840.10008.1.2.4.93", true, false, false, Encapsulated, Some("image/jpx")),
            ("1.2.840.10008.1.2.4.94", true, false, false, Native, None),
            ("1.2.840.10008.1.2.4.95", true, false, true, Native, None),
            ("1.2.840.10008.1.2.4.100.1", true, false, false, Encapsulated, Some("video/mpeg")),
            ("1.2.840.10008.1.2.4.106", true, false, false, Encapsulated, Some("video/mp4")),
            ("1.2.840.10008.1.2.4.112", true, false, false, Encapsulated, Some("image/jxl")),
            ("1.2.840.10008.1.2.4.203", true, false, false, Encapsulated, Some("image/jphc")),
            ("1.2.840.10008.1.2.4.205", true, false, true, Native, None),
            ("1.2.840.10008.1.2.5", true, false, false, Encapsulated, Some("image/dicom-rle")),
            ("1.2.840.10008.1.2.7.3", true, false, false, Native, None),
            ("1.2.840.10008.1.2.8.1", true, false, false, Encapsulated, None),
        ] {
            let syntax = lookup(uid).unwrap();
            assert_eq!(syntax.encoding, Encoding { explicit_vr, big_endian, deflated }, "{uid}");
            assert_eq!((syntax.pixels, syntax.media_type), (pixels, media_type), "{uid}");
        }
        assert_eq!(lookup("1.2.840.113619.5.2"), None);
        assert_eq!(lookup("1.2.840.10008.1.2.6.1"), None);
    }

    #[test]
    fn transfer_syntaxes_are_unique_and_valid() {
        assert_eq!(all().len(), 61);
        for (index, syntax) in all().iter().enumerate() {
            syntax.uid.parse::<crate::Uid>().unwrap();
            assert!(all()[..index].iter().all(|other| other.uid != syntax.uid), "{}", syntax.uid);
        }
    }
}
