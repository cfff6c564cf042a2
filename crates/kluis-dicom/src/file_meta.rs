//! Writes the head of a DICOM file: preamble, prefix and file meta information (PS3.10 7.1).

use crate::{AeTitle, Uid};

/// What the file meta information says.
#[derive(Debug, Clone, Copy)]
pub struct FileMeta<'a> {
    /// (0002,0002) Media Storage SOP Class UID.
    pub sop_class: &'a Uid,
    /// (0002,0003) Media Storage SOP Instance UID.
    pub sop_instance: &'a Uid,
    /// (0002,0010) Transfer Syntax UID.
    pub transfer_syntax: &'a Uid,
    /// (0002,0016) Source Application Entity Title.
    pub source_ae: Option<&'a AeTitle>,
    /// (0002,0012) Implementation Class UID: of this program.
    pub implementation_class: &'a Uid,
    /// (0002,0013) Implementation Version Name: of this program, at most 16 characters.
    pub implementation_version: &'a str,
}

/// 128 zeros, `DICM` and group 0002 in explicit VR little endian, ready to stand in front of the data set.
#[must_use]
pub fn write(meta: &FileMeta<'_>) -> Vec<u8> {
    let mut group = Vec::with_capacity(512);
    element(&mut group, 0x0001, b"OB", &[0, 1]);
    element(&mut group, 0x0002, b"UI", meta.sop_class.as_str().as_bytes());
    element(&mut group, 0x0003, b"UI", meta.sop_instance.as_str().as_bytes());
    element(&mut group, 0x0010, b"UI", meta.transfer_syntax.as_str().as_bytes());
    element(&mut group, 0x0012, b"UI", meta.implementation_class.as_str().as_bytes());
    let version = meta.implementation_version.as_bytes();
    element(&mut group, 0x0013, b"SH", version.get(..16).unwrap_or(version));
    if let Some(ae) = meta.source_ae {
        element(&mut group, 0x0016, b"AE", ae.as_str().as_bytes());
    }
    let mut head = vec![0; 128];
    head.extend_from_slice(b"DICM");
    let length = u32::try_from(group.len()).unwrap_or(u32::MAX);
    element(&mut head, 0x0000, b"UL", &length.to_le_bytes());
    head.extend_from_slice(&group);
    head
}

/// Writes one element of group 0002; no value of ours comes near 64 KiB, and a longer one is cut.
fn element(out: &mut Vec<u8>, number: u16, vr: &[u8; 2], value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX - 1)).unwrap_or(value);
    let padded = value.len() + value.len() % 2;
    out.extend_from_slice(&[0x02, 0x00]);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(vr);
    if vr == b"OB" {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&u32::try_from(padded).unwrap_or(0).to_le_bytes());
    } else {
        out.extend_from_slice(&u16::try_from(padded).unwrap_or(0).to_le_bytes());
    }
    out.extend_from_slice(value);
    if value.len() % 2 == 1 {
        // PS3.5 9.1: UIDs are padded with NUL, text with a space.
        out.push(if vr == b"UI" { 0 } else { b' ' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part10::{Outline, Source};

    #[test]
    fn file_meta_is_as_the_standard_wants_it() {
        let (class, instance) = ("1.2.840.10008.5.1.4.1.1.2".parse().unwrap(), "1.2.3".parse().unwrap());
        let (syntax, own) = ("1.2.840.10008.1.2.4.50".parse().unwrap(), "2.25.1".parse().unwrap());
        let ae = "CT_1".parse().unwrap();
        for (source_ae, version, ends) in [
            (None, "KLUIS", &b"\x02\0\x13\0SH\x06\0KLUIS "[..]),
            (Some(&ae), "KLUIS_0123456789ABC", b"\x02\0\x13\0SH\x10\0KLUIS_0123456789\x02\0\x16\0AE\x04\0CT_1"),
        ] {
            let mut file = write(&FileMeta {
                sop_class: &class,
                sop_instance: &instance,
                transfer_syntax: &syntax,
                source_ae,
                implementation_class: &own,
                implementation_version: version,
            });
            assert!(file.starts_with(&[0; 128]) && file[128..].starts_with(b"DICM\x02\0\0\0UL\x04\0"));
            assert_eq!(u32::from_le_bytes(file[140..144].try_into().unwrap()) as usize, file.len() - 144);
            assert_eq!(&file[144..158], b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01");
            assert!(file.windows(14).any(|part| part == b"\x02\0\x03\0UI\x06\x001.2.3\0"));
            assert!(file.ends_with(ends));
            let meta = file[132..].to_vec();
            file.extend_from_slice(b"\x08\0\x18\0UI\x06\x001.2.3\0");
            let outline = Outline::of(Source::File, &file).unwrap();
            assert_eq!((&outline.transfer_syntax, outline.file_meta, outline.repairs), (&syntax, meta, vec![]));
        }
    }
}
