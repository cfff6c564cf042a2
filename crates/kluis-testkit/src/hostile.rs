//! Inputs that a gate must refuse by name within its limits, and damaged ones that it must repair.

use crate::{
    data_set::{DataSetBuilder, Encoding, Lengths, PIXEL_DATA},
    instance::{SECONDARY_CAPTURE, SmallInstance},
    part10,
    random::uid,
};

/// One input.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What is wrong with it, in a few words fit for a file name.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Files that are no valid DICOM in any reading: to be refused, whole, with a named error.
#[must_use]
pub fn refused() -> Vec<Hostile> {
    let mut all = no_dicom();
    all.extend(truncated(&SmallInstance::new(66, 1, 1, 1).file(), 24));
    all.extend(lying_lengths());
    all.extend([
        hostile("nested-10000-deep", in_data_set(&nested(10_000, Encoding::EXPLICIT_LITTLE))),
        hostile("nested-10000-deep-implicit", {
            let body = nested(10_000, Encoding::IMPLICIT_LITTLE);
            with_ids(&body, Encoding::IMPLICIT_LITTLE, part10::IMPLICIT_VR_LITTLE_ENDIAN)
        }),
        hostile("items-200000-in-a-sequence", in_data_set(&many_items(200_000))),
        hostile("elements-1100000", in_data_set(&many_elements(1_100_000))),
        hostile("deflate-bomb", deflate_bomb(256 << 20)),
        hostile("unknown-transfer-syntax", {
            part10::file(&SmallInstance::new(66, 1, 1, 2).data_set(), "1.2.840.10008.1.2.999")
        }),
        hostile("no-sop-instance-uid", {
            let set = SmallInstance::new(66, 1, 1, 3).data_set().without((0x0008, 0x0018));
            part10::file(&set, part10::EXPLICIT_VR_LITTLE_ENDIAN)
        }),
    ]);
    for (name, bad) in [("path", "../../../../etc/passwd"), ("letters", "1.2.abc"), ("too-long", &"1.".repeat(40))] {
        let mut instance = SmallInstance::new(66, 1, 1, 4);
        bad.clone_into(&mut instance.study);
        all.push(hostile(&format!("study-uid-{name}"), instance.file()));
    }
    all
}

/// Files that real devices write and whose meaning is beyond doubt: to be accepted, the data set unchanged. Each comes with
/// the data set that must be kept.
#[must_use]
pub fn repaired() -> Vec<(Hostile, Vec<u8>)> {
    let instance = SmallInstance::new(66, 2, 1, 1);
    let data_set = instance.data_set_bytes();
    let whole = instance.file();
    let without_group_length = [whole.get(..132), whole.get(144..)].into_iter().flatten().flatten().copied().collect();
    let mut meta_lies = whole.clone();
    for (byte, lie) in meta_lies.iter_mut().skip(140).zip([0xF0, 0xFF, 0xFF, 0xFF]) {
        *byte = lie;
    }
    let without_preamble = whole.get(128..).unwrap_or_default().to_vec();
    vec![
        (hostile("no-group-length", without_group_length), data_set.clone()),
        (hostile("no-preamble", without_preamble), data_set.clone()),
        // where group 0002 ends is beyond doubt all the same
        (hostile("file-meta-group-of-4-gib", meta_lies), data_set),
    ]
}

/// `bytes` cut short at `cuts` places spread over its length, the last byte's loss among them.
#[must_use]
pub fn truncated(bytes: &[u8], cuts: usize) -> Vec<Hostile> {
    let last = bytes.len().saturating_sub(1);
    (1..=cuts)
        .map(|cut| last.saturating_mul(cut).checked_div(cuts).unwrap_or_default())
        .map(|length| hostile(&format!("truncated-at-{length}"), bytes.get(..length).unwrap_or_default().to_vec()))
        .collect()
}

/// Sequences of undefined length inside each other, none of them closed: `depth` of them in about 20 bytes each.
#[must_use]
pub fn nested(depth: usize, encoding: Encoding) -> Vec<u8> {
    let one: &[u8] = if encoding.explicit_vr {
        b"\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF"
    } else {
        b"\x08\0\x40\x11\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF"
    };
    one.repeat(depth)
}

/// A deflated file of a few hundred kilobytes a hundred MiB, whose pixels inflate to `inflated` bytes of zeros.
#[must_use]
pub fn deflate_bomb(inflated: usize) -> Vec<u8> {
    let head = SmallInstance::new(66, 3, 1, 1).data_set().without(PIXEL_DATA).encode(Encoding::EXPLICIT_LITTLE);
    let length = u32::try_from(inflated & !1).unwrap_or(u32::MAX - 1);
    let pixels = [b"\xE0\x7F\x10\0OB\0\0".as_slice(), &length.to_le_bytes()].concat();
    let stream = deflate_run(&[head, pixels].concat(), inflated & !1);
    file_of(&stream, part10::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
}

/// A deflate stream (RFC 1951) of `literal` as it is and then `zeros` zero bytes, packed as 258 in 13 bits.
#[must_use]
pub fn deflate_run(literal: &[u8], zeros: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    for chunk in literal.chunks(65_535) {
        bits.push(0b000, 3);
        bits.align();
        let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
        bits.out.extend_from_slice(&length.to_le_bytes());
        bits.out.extend_from_slice(&(!length).to_le_bytes());
        bits.out.extend_from_slice(chunk);
    }
    bits.push(0b011, 3); // last block, fixed codes
    let runs = zeros.saturating_sub(1) / 258;
    let single = zeros.saturating_sub(runs.saturating_mul(258));
    for _ in 0..single {
        bits.push_reversed(0x30, 8); // literal 0
    }
    for _ in 0..runs {
        bits.push_reversed(0b1100_0101, 8); // length 258
        bits.push_reversed(0, 5); // distance 1
    }
    bits.push(0, 7); // end of block
    bits.align();
    bits.out
}

fn no_dicom() -> Vec<Hostile> {
    vec![
        hostile("empty", Vec::new()),
        hostile("one-byte", vec![0x44]),
        hostile("text", b"This is a shopping list: bread, milk, two onions.\n".repeat(40)),
        hostile("pdf", b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\n".repeat(40)),
        hostile("png", [b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR".as_slice(), &[7; 4000]].concat()),
        hostile("zeros", vec![0; 100_000]),
        hostile("ones", vec![0xFF; 100_000]),
        hostile("preamble-only", vec![0; 128]),
        hostile("prefix-only", [[0; 128].as_slice(), b"DICM"].concat()),
    ]
}

fn lying_lengths() -> Vec<Hostile> {
    let four_gib = b"\x09\0\x10\0OB\0\0\xFE\xFF\xFF\xFF";
    let item_beyond_sequence =
        b"\x08\0\x40\x11SQ\0\0\x10\0\0\0\xFE\xFF\0\xE0\x40\0\0\0\x08\0\0\x01SH\0\0\x08\0\x04\x01LO\0\0";
    let element_beyond_item =
        b"\x08\0\x40\x11SQ\0\0\x12\0\0\0\xFE\xFF\0\xE0\x0A\0\0\0\x08\0\0\x01SH\x20\0A1\x08\0\x04\x01LO\x20\0                 ";
    let fragment_lies =
        b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0\xFE\xFF\0\xE0\xF0\xFF\xFF\x7F\x01\x02";
    let fragments_unclosed =
        b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0\xFE\xFF\0\xE0\x02\0\0\0\x01\x02";
    let stray_delimiter = b"\xFE\xFF\x0D\xE0\0\0\0\0";
    vec![
        hostile("element-of-4-gib", in_data_set(four_gib)),
        hostile("item-beyond-its-sequence", in_data_set(item_beyond_sequence)),
        hostile("element-beyond-its-item", in_data_set(element_beyond_item)),
        hostile("fragment-length-lies", file_of_pixels(fragment_lies)),
        hostile("fragments-unclosed", file_of_pixels(fragments_unclosed)),
        hostile("stray-item-delimiter", in_data_set(stray_delimiter)),
    ]
}

fn many_items(count: usize) -> Vec<u8> {
    let head: &[u8] = b"\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF";
    [head, &b"\xFE\xFF\0\xE0\0\0\0\0".repeat(count), b"\xFE\xFF\xDD\xE0\0\0\0\0"].concat()
}

/// Empty private elements in ascending order of their tags.
fn many_elements(count: usize) -> Vec<u8> {
    let tags =
        (0x0009..0x7FDF_u16).step_by(2).flat_map(|group| (0x1000..=0xFFFF_u16).map(move |element| (group, element)));
    let mut out = Vec::with_capacity(count.saturating_mul(8));
    for (group, element) in tags.take(count) {
        out.extend_from_slice(&group.to_le_bytes());
        out.extend_from_slice(&element.to_le_bytes());
        out.extend_from_slice(b"LO\0\0");
    }
    out
}

fn hostile(name: &str, bytes: Vec<u8>) -> Hostile {
    Hostile { name: name.to_owned(), bytes }
}

/// A valid beginning (group 0008, up to the SOP Instance UID), then `rest`.
fn in_data_set(rest: &[u8]) -> Vec<u8> {
    with_ids(rest, Encoding::EXPLICIT_LITTLE, part10::EXPLICIT_VR_LITTLE_ENDIAN)
}

fn with_ids(rest: &[u8], encoding: Encoding, transfer_syntax: &str) -> Vec<u8> {
    let ids = DataSetBuilder::new()
        .with_lengths(Lengths::Undefined)
        .uid((0x0008, 0x0016), SECONDARY_CAPTURE)
        .uid((0x0008, 0x0018), uid(66, "hostile"))
        .encode(encoding);
    file_of(&[&ids, rest].concat(), transfer_syntax)
}

/// A valid instance up to its pixels, then `pixels`, in an encapsulated syntax.
fn file_of_pixels(pixels: &[u8]) -> Vec<u8> {
    let head = SmallInstance::new(66, 4, 1, 1).data_set().without(PIXEL_DATA).encode(Encoding::EXPLICIT_LITTLE);
    file_of(&[&head, pixels].concat(), part10::JPEG_BASELINE)
}

fn file_of(data_set: &[u8], transfer_syntax: &str) -> Vec<u8> {
    part10::file_around(data_set, SECONDARY_CAPTURE, &uid(66, "hostile"), transfer_syntax)
}

/// Bits in the order of RFC 1951 3.1.1: least significant first.
#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, bits: u32, count: u32) {
        self.held |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.extend_from_slice(&self.held.to_le_bytes()[..1]);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Huffman codes go most significant bit first.
    fn push_reversed(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.push(0, 8 - self.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_has_a_name_of_its_own() {
        let all = refused();
        let names: std::collections::BTreeSet<_> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn a_repaired_file_ends_with_the_data_set_to_keep() {
        for (file, data_set) in repaired() {
            assert!(file.bytes.ends_with(&data_set), "{}", file.name);
        }
    }

    #[test]
    fn a_bomb_is_small() {
        assert!(deflate_bomb(64 << 20).len() < 500_000);
    }
}
