//! Identifiers of searches that nothing can match, in Implicit VR Little Endian (PS3.5 A.1).

use kluis_dicom::Uid;

/// A UID that no object anywhere has: 2.25 and 122 random bits (PS3.5 B.2).
pub(crate) fn impossible_uid() -> Option<Uid> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    // a version 4 UUID, as PS3.5 asks for
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76) | (0x4 << 76);
    let bits = bits & !(0x3 << 62) | (0x2 << 62);
    format!("2.25.{bits}").parse().ok()
}

/// An AE title that nobody was given: 12 random letters.
pub(crate) fn random_title() -> String {
    let mut bytes = [0_u8; 12];
    // without randomness the title is still one that nobody has
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes.iter().map(|byte| char::from(b'A' + byte % 26)).collect()
}

/// One element.
fn element(out: &mut Vec<u8>, group: u16, element: u16, value: &str, padding: u8) {
    let mut value = value.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(padding);
    }
    out.extend_from_slice(&group.to_le_bytes());
    out.extend_from_slice(&element.to_le_bytes());
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or_default().to_le_bytes());
    out.extend_from_slice(&value);
}

/// STUDY level, Study Instance UID alone: nothing else is asked back (PS3.4 C.6.2.1, C.4.1).
pub(crate) fn study(uid: &Uid) -> Vec<u8> {
    let mut out = Vec::new();
    element(&mut out, 0x0008, 0x0052, "STUDY", b' ');
    element(&mut out, 0x0020, 0x000D, uid.as_str(), 0);
    out
}

/// PATIENT level of the patient root: Patient ID is the unique key (PS3.4 C.6.1.1.2).
pub(crate) fn patient(uid: &Uid) -> Vec<u8> {
    let mut out = Vec::new();
    element(&mut out, 0x0008, 0x0052, "PATIENT", b' ');
    element(&mut out, 0x0010, 0x0020, uid.as_str(), b' ');
    out
}

/// A worklist of no patient (PS3.4 K.6.1.2.2).
pub(crate) fn worklist(uid: &Uid) -> Vec<u8> {
    let mut out = Vec::new();
    element(&mut out, 0x0010, 0x0020, uid.as_str(), b' ');
    element(&mut out, 0x0020, 0x000D, uid.as_str(), 0);
    out
}

/// All studies, Study Instance UID alone: for counting, where the scope allows it.
pub(crate) fn every_study() -> Vec<u8> {
    let mut out = Vec::new();
    element(&mut out, 0x0008, 0x0052, "STUDY", b' ');
    element(&mut out, 0x0020, 0x000D, "", 0);
    out
}
