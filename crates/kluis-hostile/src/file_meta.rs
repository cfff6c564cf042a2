//! File meta information (PS3.10 7.1): what is written is read as it was meant, in front of any data set.

use kluis_dicom::{
    AeTitle, Uid,
    file_meta::{self, FileMeta},
    part10::{RepairKind, Source},
};

use crate::{
    byte_gate::{limits, pass, same},
    input::{Input, slices},
};

/// `seed of the slices (4) | bytes behind preamble and prefix`: any group 0002, and our own in front of what follows it.
pub fn file_meta(data: &[u8]) {
    let mut input = Input(data);
    let seed = input.long();
    let file = [&[0; 128], b"DICM".as_slice(), input.0].concat();
    let whole = pass(Source::File, limits(0), &[&file]);
    same(&whole, &pass(Source::File, limits(0), &slices(seed, &file)));
    let Ok((data_set, outline)) = whole else { return };
    assert!(file.ends_with(&data_set));
    assert!(file.get(132..).is_some_and(|rest| rest.starts_with(&outline.file_meta)), "file meta is not what came");
    let (Ok(class), Ok(instance), Ok(own)) =
        ("1.2.840.10008.5.1.4.1.1.2".parse::<Uid>(), "1.2.3".parse(), "2.25.1".parse())
    else {
        return;
    };
    let ae: Option<AeTitle> = "KLUIS".parse().ok();
    let head = file_meta::write(&FileMeta {
        sop_class: &class,
        sop_instance: &instance,
        transfer_syntax: &outline.transfer_syntax,
        source_ae: ae.as_ref().filter(|_| seed % 2 == 0),
        implementation_class: &own,
        implementation_version: "KLUIS_FUZZ_LONGER_THAN_16",
    });
    assert_eq!(head.len() % 2, 0);
    let ours = [head.as_slice(), &data_set].concat();
    let again = pass(Source::File, limits(0), &[&ours]);
    // (0002,xxxx) in front of a data set that begins with it would be taken for file meta: such objects have no other form
    if data_set.starts_with(&[2, 0]) {
        return;
    }
    assert!(again.is_ok(), "behind our file meta it is refused: {:?}", again.err());
    let Ok((kept, read)) = again else { return };
    assert!(kept == data_set, "behind our file meta it is another data set");
    assert_eq!(read.header, outline.header);
    assert_eq!(read.transfer_syntax, outline.transfer_syntax);
    assert_eq!(Some(read.file_meta.as_slice()), head.get(132..));
    let is_of_head = |kind| {
        matches!(
            kind,
            RepairKind::FileMetaLengthWrong
                | RepairKind::FileMetaImplicit
                | RepairKind::TransferSyntaxWrong
                | RepairKind::FileMetaLengthMissing
        )
    };
    assert!(!read.repairs.iter().any(|repair| is_of_head(repair.kind)), "our own file meta is repaired");
}
