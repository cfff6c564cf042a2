//! Files: with everything, and without what devices leave out.

use dicom_core::VR;

use super::super::{Outline, Refusal, RepairKind, Source, test_data::*};
use super::{BIG_UID, DEFLATED_UID, EXPLICIT_UID, IMPLICIT_UID, JPEG_UID, pass};
use crate::limits::Limits;

fn nodes() -> Vec<Node> {
    vec![
        value(0x0008, 0x0005, VR::CS, "ISO_IR 100"),
        value(0x0008, 0x0018, VR::UI, "1.2.3\0"),
        value(0x0010, 0x0010, VR::PN, "Doe^Jane"),
    ]
}

/// Pushed whole and byte by byte, which must agree.
fn read(bytes: &[u8]) -> Result<(Vec<u8>, Outline), Refusal> {
    let whole = pass(Source::File, Limits::default(), [bytes]);
    assert_eq!(whole, pass(Source::File, Limits::default(), bytes.chunks(1)));
    whole
}

fn meta(uid: &str, declared: Option<u32>) -> Vec<u8> {
    let mut nodes = vec![value(2, 0x10, VR::UI, padded(uid))];
    if let Some(length) = declared {
        nodes.insert(0, value(2, 0, VR::UL, length.to_le_bytes()));
    }
    write(&nodes, EXPLICIT)
}

#[test]
fn heads_that_are_repaired() {
    use RepairKind::*;
    let explicit = write(&nodes(), EXPLICIT);
    let implicit = write(&nodes(), IMPLICIT);
    let big = write(&nodes(), BIG);
    let deflated = deflated(&explicit);
    let preamble = [&[0; 128][..], b"DICM"].concat();
    let right = Some(8 + EXPLICIT_UID.len() as u32 + 1);
    let implicit_meta = write(&[value(2, 0x10, VR::UI, padded(EXPLICIT_UID))], IMPLICIT);
    for (name, head, data_set, uid, repairs) in [
        ("in order", [&preamble[..], &meta(EXPLICIT_UID, right)].concat(), &explicit, EXPLICIT_UID, &[][..]),
        (
            "no length",
            [&preamble[..], &meta(EXPLICIT_UID, None)].concat(),
            &explicit,
            EXPLICIT_UID,
            &[FileMetaLengthMissing],
        ),
        ("wrong length", [&preamble[..], &meta(BIG_UID, Some(9))].concat(), &big, BIG_UID, &[FileMetaLengthWrong]),
        ("deflated", file(DEFLATED_UID, &[]), &deflated, DEFLATED_UID, &[]),
        ("encapsulated", file(JPEG_UID, &[]), &explicit, JPEG_UID, &[]),
        (
            "no preamble",
            [b"DICM", &meta(EXPLICIT_UID, right)[..]].concat(),
            &explicit,
            EXPLICIT_UID,
            &[PreambleMissing],
        ),
        ("no prefix", meta(IMPLICIT_UID, None), &implicit, IMPLICIT_UID, &[PrefixMissing, FileMetaLengthMissing]),
        (
            "implicit meta",
            [&preamble[..], &implicit_meta].concat(),
            &explicit,
            EXPLICIT_UID,
            &[FileMetaImplicit, FileMetaLengthMissing],
        ),
        ("bare explicit", vec![], &explicit, EXPLICIT_UID, &[FileMetaMissing]),
        ("bare implicit", vec![], &implicit, IMPLICIT_UID, &[FileMetaMissing]),
        ("bare big endian", vec![], &big, BIG_UID, &[FileMetaMissing]),
        (
            "no syntax",
            [&preamble[..], &write(&[value(2, 2, VR::UI, "1.2\0")], EXPLICIT)].concat(),
            &implicit,
            IMPLICIT_UID,
            &[FileMetaLengthMissing, TransferSyntaxMissing],
        ),
        ("not explicit", file(EXPLICIT_UID, &[]), &implicit, IMPLICIT_UID, &[TransferSyntaxWrong]),
        ("not implicit", file(IMPLICIT_UID, &[]), &explicit, EXPLICIT_UID, &[TransferSyntaxWrong]),
        ("not little", file(EXPLICIT_UID, &[]), &big, BIG_UID, &[TransferSyntaxWrong]),
    ] {
        let (kept, outline) = read(&[&head[..], data_set].concat()).expect(name);
        assert_eq!(&kept, data_set, "{name}");
        assert_eq!(outline.transfer_syntax.as_str(), uid, "{name}");
        let kinds: Vec<_> = outline.repairs.iter().map(|repair| repair.kind).collect();
        assert_eq!(kinds, repairs, "{name}");
        assert_eq!(seen(&outline, &explicit).len(), 3, "{name}");
        assert!(head.ends_with(&outline.file_meta), "{name}");
        assert_eq!(outline.file_meta.is_empty(), head.is_empty(), "{name}");
    }
}

#[test]
fn deflated_stream_that_begins_like_file_meta() {
    // An empty block of fixed codes is 02 00, as is the group of file meta; then a stored block, and the last one, empty.
    let data_set = write(&nodes(), EXPLICIT);
    let length = data_set.len() as u16;
    let head = [&[2, 0][..], &length.to_le_bytes(), &(!length).to_le_bytes()].concat();
    let stored = [&head[..], &data_set, &[1, 0, 0, 0xFF, 0xFF]].concat();
    let (kept, outline) = read(&file(DEFLATED_UID, &stored)).unwrap();
    assert_eq!((kept, outline.inflated_length), (stored, data_set.len() as u64));
}

#[test]
fn heads_that_are_refused() {
    let explicit = write(&nodes(), EXPLICIT);
    let mut too_long = [&[0; 128][..], b"DICM"].concat();
    header(dicom_core::Tag(2, 0x102), VR::OB, 70_000, EXPLICIT, &mut too_long);
    let mut undefined = [&[0; 128][..], b"DICM"].concat();
    header(dicom_core::Tag(2, 1), VR::OB, UNDEFINED, EXPLICIT, &mut undefined);
    let no_syntax = [&[0; 128][..], b"DICM", &write(&[value(2, 2, VR::UI, "1.2\0")], EXPLICIT)].concat();
    for (name, bytes, refused) in [
        ("nothing", vec![], "the bytes are no DICOM file"),
        ("text", b"<?xml version=\"1.0\"?>".to_vec(), "the bytes are no DICOM file"),
        ("zeros", vec![0; 4096], "the bytes are no DICOM file"),
        ("archive", [b"PK\x03\x04", &[7; 300][..]].concat(), "the bytes are no DICOM file"),
        ("private", file("1.2.840.113619.5.2", &explicit), "transfer syntax 1.2.840.113619.5.2 is unknown"),
        ("no UID", file("patient", &explicit), "the transfer syntax is no UID"),
        ("no syntax", no_syntax, "the file does not say its transfer syntax"),
        ("no data set", file(EXPLICIT_UID, &[]), "there is no data element"),
        ("long", too_long, "the file meta information is longer than 65536 bytes"),
        ("undefined", undefined, "the file meta information is malformed: (0002,0001) at offset 0, depth 0"),
        ("cut", file(EXPLICIT_UID, &[])[..150].to_vec(), "the bytes end inside the file meta information"),
        ("prefix only", [&[0; 128][..], b"DICM"].concat(), "the bytes are no DICOM file"),
    ] {
        assert_eq!(read(&bytes).map(|_| ()).unwrap_err().to_string(), refused, "{name}");
    }
}

#[test]
fn file_meta_of_many_small_elements_is_bounded() {
    let mut bytes = [&[0; 128][..], b"DICM"].concat();
    while bytes.len() < 100_000 {
        bytes.extend_from_slice(&write(&[value(2, 0x16, VR::AE, "ABCDEFGH")], EXPLICIT));
    }
    assert_eq!(read(&bytes), Err(Refusal::FileMetaTooLong { limit: 65536 }));
}

#[test]
fn unknown_syntax_of_a_data_set_is_refused_at_once() {
    let source = Source::DataSet { transfer_syntax: "1.2.3".parse().unwrap() };
    let refused = super::super::Gate::new(source, Limits::default()).err();
    assert_eq!(refused, Some(Refusal::UnknownTransferSyntax { uid: "1.2.3".parse().unwrap() }));
}
