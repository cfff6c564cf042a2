//! Any number of hostile inputs out of a seed: data sets with lying lengths, sequences, fragments and character sets, and
//! real ones that were cut, changed and put together wrongly. Input `n` of a seed is always the same.

use kluis_testkit::{
    data_set::{DataSetBuilder, Encoding, Lengths, PIXEL_DATA},
    hostile,
    instance::{CT_IMAGE, SmallInstance},
    part10,
    random::Random,
};

/// Lengths that parsers get wrong: nothing, one, one less and more than there is, and the ends of the fields.
const LENGTHS: [u32; 12] =
    [0, 1, 2, 3, 0x7FFF, 0xFFFE, 0x1_0000, 0x1_0001, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, u32::MAX];
/// All representations of PS3.5 6.2, and letters that are none.
const REPRESENTATIONS: [&[u8; 2]; 38] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"OB", b"OD", b"OF", b"OL",
    b"OV", b"OW", b"PN", b"SH", b"SL", b"SQ", b"SS", b"ST", b"SV", b"TM", b"UC", b"UI", b"UL", b"UN", b"UR", b"US",
    b"UT", b"UV", b"??", b"ZZ", b"\0\0", b"sq",
];
const TAGS: [(u16, u16); 22] = [
    (0x0000, 0x0000),
    (0x0002, 0x0010),
    (0x0004, 0x1220),
    (0x0008, 0x0000),
    (0x0008, 0x0005),
    (0x0008, 0x0016),
    (0x0008, 0x1140),
    (0x0009, 0x0010),
    (0x0009, 0x1001),
    (0x0010, 0x0010),
    (0x0010, 0x0020),
    (0x0020, 0x000D),
    (0x0028, 0x0008),
    (0x0028, 0x0010),
    (0x0028, 0x0103),
    (0x0040, 0x0275),
    (0x7FE0, 0x0001),
    (0x7FE0, 0x0010),
    (0xFFFA, 0xFFFA),
    (0xFFFE, 0xE000),
    (0xFFFE, 0xE00D),
    (0xFFFE, 0xE0DD),
];
const CHARACTER_SETS: [&str; 14] = [
    "ISO_IR 100",
    "ISO_IR 192",
    "GB18030",
    "GBK",
    "ISO_IR 13",
    "ISO_IR 166",
    "ISO 2022 IR 6\\ISO 2022 IR 87\\ISO 2022 IR 159",
    "\\ISO 2022 IR 149",
    "ISO 2022 IR 58\\GB18030",
    "ISO_IR 9999",
    "ISO_IR 192\\ISO_IR 100",
    "\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\",
    "../../etc",
    "",
];
const SYNTAXES: [&str; 5] = [
    part10::EXPLICIT_VR_LITTLE_ENDIAN,
    part10::IMPLICIT_VR_LITTLE_ENDIAN,
    part10::EXPLICIT_VR_BIG_ENDIAN,
    part10::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    part10::JPEG_BASELINE,
];

/// One input.
#[derive(Debug, Clone)]
pub struct Input {
    /// What was done to it.
    pub kind: &'static str,
    /// Preamble and file meta information, as they belong before the data set.
    pub head: Vec<u8>,
    /// The data set, or what is left of it.
    pub data_set: Vec<u8>,
    /// Of the data set.
    pub transfer_syntax: &'static str,
    /// Whether the head is as it belongs.
    pub is_head_whole: bool,
    /// SOP Instance UID that the data set had at first; the class is CT Image Storage.
    pub sop_instance: String,
}

impl Input {
    /// The file.
    #[must_use]
    pub fn file(&self) -> Vec<u8> {
        [self.head.as_slice(), &self.data_set].concat()
    }
}

type Maker = fn(&mut Random, &SmallInstance, &'static str) -> Vec<u8>;

/// How many kinds there are.
pub const KIND_COUNT: u32 = KINDS.len() as u32;

/// What is made, in turn.
const KINDS: [(&str, Maker); 12] = [
    ("as it should be", |_, instance, syntax| encoded(&instance.data_set(), syntax)),
    ("a length that lies", lying_length),
    ("sequences", sequences),
    ("cut short", cut_short),
    ("changed bytes", changed),
    ("pieces put together wrongly", spliced),
    ("groups out of place", misplaced),
    ("a deflated stream", deflated),
    ("fragments", fragments),
    ("character sets", character_sets),
    ("an element of any kind", any_element),
    ("many small elements", many_elements),
];

/// Input `number` of this seed.
#[must_use]
pub fn input(seed: u64, number: u32) -> Input {
    let random = &mut Random::new(seed, &format!("generated input {number}"));
    let mut instance = SmallInstance::new(seed, number, 1, 1);
    instance.side_pixels = [1, 4, 16, 64][random.below(4)];
    CT_IMAGE.clone_into(&mut instance.sop_class);
    let (kind, make) = KINDS[number as usize % KINDS.len()];
    let transfer_syntax = match kind {
        "a deflated stream" => part10::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        "fragments" => part10::JPEG_BASELINE,
        // a data set that is no deflate stream is refused at its first byte: rarely is enough
        _ => SYNTAXES[[0, 0, 1, 1, 2, 4, 0, 3][random.below(8)]],
    };
    let data_set = make(random, &instance, transfer_syntax);
    let mut head = part10::file_around(&[], CT_IMAGE, &instance.sop_instance, transfer_syntax);
    let is_head_whole = random.below(20) > 0;
    if !is_head_whole {
        let at = 128 + random.below(head.len() - 128);
        head[at] ^= 1 << random.below(8);
    }
    Input { kind, head, data_set, transfer_syntax, is_head_whole, sop_instance: instance.sop_instance }
}

/// A request body, or a stream of PDUs, with a few bytes changed, lost, or there twice.
#[must_use]
pub fn mutated(seed: u64, number: u32, bytes: &[u8]) -> Vec<u8> {
    let random = &mut Random::new(seed, &format!("mutated stream {number}"));
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        mutate(random, &mut bytes);
    }
    bytes
}

fn encoded(set: &DataSetBuilder, syntax: &str) -> Vec<u8> {
    let bytes = set.encode(part10::encoding_of(syntax));
    if syntax == part10::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN { hostile::deflate_run(&bytes, 0) } else { bytes }
}

/// What every object needs to be kept, without pixels: what stands behind it is the matter.
fn beginning(instance: &SmallInstance, syntax: &str) -> Vec<u8> {
    instance.data_set().without(PIXEL_DATA).encode(part10::encoding_of(syntax))
}

/// The header of an element or item in the encoding of the syntax.
fn header(tag: (u16, u16), vr: &[u8; 2], length: u32, syntax: &str) -> Vec<u8> {
    let Encoding { explicit_vr, big_endian } = part10::encoding_of(syntax);
    let short = |number: u16| if big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
    let long = |number: u32| if big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
    let mut bytes = [short(tag.0), short(tag.1)].concat();
    if !explicit_vr || tag.0 == 0xFFFE {
        bytes.extend(long(length));
        return bytes;
    }
    bytes.extend(vr);
    if [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"].contains(&vr) {
        bytes.extend([0, 0]);
        bytes.extend(long(length));
    } else {
        bytes.extend(short(u16::try_from(length & 0xFFFF).unwrap_or_default()));
    }
    bytes
}

/// A length of the lattice, or one around what there is.
fn length(random: &mut Random, rest: usize) -> u32 {
    let rest = u32::try_from(rest).unwrap_or_default();
    match random.below(6) {
        0 => rest.saturating_sub(1),
        1 => rest,
        2 => rest + 1,
        _ => LENGTHS[random.below(LENGTHS.len())],
    }
}

fn lying_length(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let rest = random.below(300);
    let tag = TAGS[random.below(TAGS.len())];
    let vr = REPRESENTATIONS[random.below(REPRESENTATIONS.len())];
    let length = length(random, rest);
    [beginning(instance, syntax), header(tag, vr, length, syntax), random.bytes(rest)].concat()
}

fn any_element(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let mut bytes = beginning(instance, syntax);
    for _ in 0..=random.below(6) {
        let tag = (0x0029 + 2 * u16::try_from(random.below(1_000)).unwrap_or_default(), 0x1001);
        let vr = REPRESENTATIONS[random.below(REPRESENTATIONS.len())];
        let value = random.below(200);
        bytes.extend(header(tag, vr, u32::try_from(value).unwrap_or_default(), syntax));
        bytes.extend(random.bytes(value));
    }
    bytes
}

fn sequences(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let mut bytes = beginning(instance, syntax);
    let depth = [1, 2, 8, 31, 32, 33, 60][random.below(7)];
    let is_closed = random.below(3) > 0;
    for _ in 0..depth {
        let lie = random.below(40) == 0;
        let said = if lie { length(random, 20) } else { u32::MAX };
        bytes.extend(header((0x0040, 0x0275), b"SQ", said, syntax));
        bytes.extend(header(
            (0xFFFE, 0xE000),
            b"  ",
            if random.below(40) == 0 { length(random, 8) } else { u32::MAX },
            syntax,
        ));
    }
    bytes.extend(header((0x0040, 0x1001), b"SH", 2, syntax));
    bytes.extend(b"A ");
    if is_closed {
        for _ in 0..depth {
            bytes.extend(header((0xFFFE, 0xE00D), b"  ", 0, syntax));
            bytes.extend(header((0xFFFE, 0xE0DD), b"  ", u32::from(random.below(60) == 0), syntax));
        }
    }
    bytes
}

fn cut_short(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let mut bytes = encoded(&rich(instance, Lengths::Undefined), syntax);
    bytes.truncate(random.below(bytes.len()));
    bytes
}

fn changed(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let lengths = if random.below(2) == 0 { Lengths::Defined } else { Lengths::Undefined };
    let mut bytes = encoded(&rich(instance, lengths), syntax);
    for _ in 0..=random.below(8) {
        mutate(random, &mut bytes);
    }
    bytes
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(40)).min(bytes.len());
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][random.below(6)],
        2 => drop(bytes.drain(at..end)),
        3 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        4 => bytes[at..end].fill(0xFF),
        _ => {
            let number = length(random, bytes.len() - at).to_le_bytes();
            for (to, from) in bytes.iter_mut().skip(at).zip(number) {
                *to = from;
            }
        }
    }
}

fn spliced(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let one = encoded(&rich(instance, Lengths::Defined), syntax);
    let other = encoded(&rich(instance, Lengths::Undefined), SYNTAXES[random.below(3)]);
    let (from, to) = (random.below(one.len()), random.below(other.len()));
    [one.get(..from).unwrap_or_default(), other.get(to..).unwrap_or_default()].concat()
}

fn misplaced(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let stray = |random: &mut Random| {
        let tag = TAGS[random.below(TAGS.len())];
        [header(tag, b"LO", 4, syntax), b"abcd".to_vec()].concat()
    };
    match random.below(3) {
        0 => [stray(random), encoded(&instance.data_set(), syntax)].concat(),
        1 => [encoded(&instance.data_set(), syntax), stray(random)].concat(),
        _ => [beginning(instance, syntax), stray(random), stray(random), vec![0; random.below(700)]].concat(),
    }
}

fn deflated(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let head = beginning(instance, syntax);
    let largest = if random.below(40) == 0 { 26 } else { 14 };
    let pixels = 2 << random.below(largest);
    let said = if random.below(3) == 0 { length(random, pixels) } else { u32::try_from(pixels).unwrap_or_default() };
    let literal = [head, header(PIXEL_DATA, b"OB", said, syntax)].concat();
    let mut stream = hostile::deflate_run(&literal, pixels);
    match random.below(4) {
        0 => mutate(random, &mut stream),
        1 => stream.truncate(random.below(stream.len())),
        2 => stream.extend(random.bytes(8)),
        _ => {}
    }
    stream
}

fn fragments(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let mut bytes = beginning(instance, syntax);
    bytes.extend(header(PIXEL_DATA, [b"OB", b"OW", b"UN", b"OB"][random.below(4)], u32::MAX, syntax));
    let table: Vec<u8> =
        (0..random.below(5)).flat_map(|_| LENGTHS[random.below(LENGTHS.len())].to_le_bytes()).collect();
    bytes.extend(header((0xFFFE, 0xE000), b"  ", u32::try_from(table.len()).unwrap_or_default(), syntax));
    bytes.extend(table);
    for _ in 0..random.below(6) {
        let real = 2 * random.below(40);
        let said = if random.below(6) == 0 { length(random, real) } else { u32::try_from(real).unwrap_or_default() };
        let tag = if random.below(20) == 0 { TAGS[random.below(TAGS.len())] } else { (0xFFFE, 0xE000) };
        bytes.extend(header(tag, b"OB", said, syntax));
        bytes.extend(random.bytes(real));
    }
    if random.below(5) > 0 {
        bytes.extend(header((0xFFFE, 0xE0DD), b"  ", 0, syntax));
    }
    bytes
}

fn character_sets(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let name: Vec<u8> = (0..random.below(80))
        .flat_map(|_| match random.below(5) {
            0 => [b"\x1b$B".as_slice(), b"\x1b(J", b"\x1b$)C", b"\x1b-A", b"\x1b", b"\x1b$"][random.below(6)].to_vec(),
            1 => b"^=\\\n\r\t\0"[random.below(7)..].iter().copied().take(1).collect(),
            _ => random.bytes(3),
        })
        .collect();
    let set = instance
        .data_set()
        .text((0x0008, 0x0005), "CS", CHARACTER_SETS[random.below(CHARACTER_SETS.len())])
        .encoded_text((0x0010, 0x0010), "PN", &name)
        .encoded_text((0x0008, 0x1030), "LO", &name);
    encoded(&set, syntax)
}

fn many_elements(random: &mut Random, instance: &SmallInstance, syntax: &'static str) -> Vec<u8> {
    let mut bytes = beginning(instance, syntax);
    let items = random.below(2) == 0;
    let count = [10, 1_000, 20_000][random.below(3)];
    if items {
        bytes.extend(header((0x0040, 0x0275), b"SQ", u32::MAX, syntax));
    }
    for number in 0..count {
        let number = u16::try_from(number % 0xEFFF).unwrap_or_default();
        let tag = if items { (0xFFFE, 0xE000) } else { (0x0041, 0x1000 + number) };
        bytes.extend(header(tag, b"LO", 0, syntax));
    }
    if items && random.below(4) > 0 {
        bytes.extend(header((0xFFFE, 0xE0DD), b"  ", 0, syntax));
    }
    bytes
}

/// An instance with sequences and values of many representations.
fn rich(instance: &SmallInstance, lengths: Lengths) -> DataSetBuilder {
    let item = || DataSetBuilder::new().with_lengths(lengths).text((0x0040, 0x0009), "SH", "STEP");
    instance
        .data_set()
        .with_lengths(lengths)
        .text((0x0008, 0x0005), "CS", "ISO_IR 192")
        .code((0x0008, 0x1032), "1", "99", "one")
        .sequence((0x0040, 0x0275), vec![item(), item().sequence((0x0040, 0x0008), vec![item()])])
        .double((0x0018, 0x9087), 1.5)
        .decimals((0x0028, 0x0030), &[0.5, 0.5])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_equal_for_equal_numbers_and_every_kind_is_made() {
        let mut kinds = std::collections::BTreeSet::new();
        for number in 0..300 {
            let (one, again) = (input(1, number), input(1, number));
            assert_eq!(one.file(), again.file());
            assert!(one.file().len() < 1 << 20, "{} of {} bytes", one.kind, one.file().len());
            kinds.insert(one.kind);
        }
        assert_eq!(kinds.len(), KINDS.len());
        assert_ne!(input(1, 4).file(), input(2, 4).file());
    }

    #[test]
    fn mutated_streams_differ() {
        let stream = vec![7; 400];
        assert!((0..50).filter(|number| mutated(1, *number, &stream) != stream).count() > 40);
    }
}
