//! Structured inputs: data sets and associations that are nearly in order, made by proptest, through the same targets.
//!
//! `PROPTEST_CASES=100000` makes it longer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use kluis_dicom::{
    limits::Limits,
    part10::{Event, Gate, Outline, Refusal, Source, Value},
};
use kluis_dimse::{
    command::{CommandField, CommandSet, element},
    pdu::{self, Abort, AbortSource, AssociateRq, Pdu, Pdv, ProposedContext, UserInformation},
};
use kluis_hostile::target;
use kluis_testkit::{DataSetBuilder, Encoding, Lengths, part10};
use proptest::{collection::vec, prelude::*, sample::select};

const TEXT: [&str; 12] = ["AE", "CS", "DA", "DS", "IS", "LO", "LT", "PN", "SH", "TM", "UI", "UT"];

/// An element of a data set, or a sequence of further ones.
#[derive(Debug, Clone)]
enum Element {
    Text((u16, u16), &'static str, Vec<u8>),
    Binary((u16, u16), &'static str, Vec<u8>),
    Words((u16, u16), Vec<u16>),
    Sequence((u16, u16), bool, Vec<Vec<Element>>),
}

/// Private tags, so that the dictionary has no opinion of the representation.
fn tag() -> impl Strategy<Value = (u16, u16)> {
    (0x0009_u16..0x0060, 0x1000_u16..0x10FF).prop_map(|(group, number)| (group | 1, number))
}

fn elements() -> impl Strategy<Value = Vec<Element>> {
    let leaf = prop_oneof![
        (tag(), select(&TEXT[..]), vec(any::<u8>(), 0..40)).prop_map(|(tag, vr, text)| Element::Text(tag, vr, text)),
        (tag(), select(&["OB", "UN"][..]), vec(any::<u8>(), 0..5_000))
            .prop_map(|(tag, vr, bytes)| Element::Binary(tag, vr, bytes)),
        (tag(), vec(any::<u16>(), 0..4)).prop_map(|(tag, words)| Element::Words(tag, words)),
    ];
    let tree = leaf.prop_recursive(6, 60, 4, |inner| {
        (tag(), any::<bool>(), vec(vec(inner, 0..4), 0..4))
            .prop_map(|(tag, is_defined, items)| Element::Sequence(tag, is_defined, items))
    });
    vec(tree, 1..8)
}

fn built(elements: &[Element], lengths: Lengths) -> DataSetBuilder {
    elements.iter().fold(DataSetBuilder::new().with_lengths(lengths), |set, element| match element {
        Element::Text(tag, vr, text) => set.encoded_text(*tag, vr, text),
        Element::Binary(tag, vr, bytes) => {
            let even = bytes.len() & !1;
            set.bytes(*tag, vr, bytes[..even].to_vec())
        }
        Element::Words(tag, words) => set.words16(*tag, "US", words.clone()),
        Element::Sequence(tag, is_defined, items) => {
            let inner = if *is_defined { Lengths::Defined } else { Lengths::Undefined };
            set.sequence(*tag, items.iter().map(|item| built(item, inner)).collect())
        }
    })
}

fn passed(syntax: &str, bytes: &[u8]) -> Result<Outline, Refusal> {
    let mut gate = Gate::new(Source::DataSet { transfer_syntax: syntax.parse().unwrap() }, Limits::default())?;
    gate.push(bytes)?;
    gate.finish().map(|(_, outline)| outline)
}

/// Elements and sequences as the events show them.
fn counted(outline: &Outline) -> (usize, usize, usize) {
    let (mut elements, mut sequences, mut bytes) = (0, 0, 0);
    for event in outline.header.events() {
        match event {
            Event::Element { value, .. } => {
                elements += 1;
                bytes += match value {
                    Value::Inline(inline) => inline.len(),
                    Value::Bulk { span, .. } => usize::try_from(span.length).unwrap(),
                };
            }
            Event::SequenceStart { .. } => sequences += 1,
            _ => {}
        }
    }
    (elements, sequences, bytes)
}

proptest! {
    /// Any data set passes in each encoding, and shows the same elements in all of them.
    #[test]
    fn data_sets_pass_whole_in_every_encoding(elements in elements(), is_defined: bool) {
        let lengths = if is_defined { Lengths::Defined } else { Lengths::Undefined };
        let set = built(&elements, lengths);
        let little = passed(part10::EXPLICIT_VR_LITTLE_ENDIAN, &set.encode(Encoding::EXPLICIT_LITTLE)).unwrap();
        prop_assert!(little.repairs.is_empty(), "{:?}", little.repairs);
        let big = passed(part10::EXPLICIT_VR_BIG_ENDIAN, &set.encode(Encoding::EXPLICIT_BIG)).unwrap();
        prop_assert_eq!(counted(&little), counted(&big));
        // in implicit VR a private sequence of defined length is bytes to whoever does not know it
        if !is_defined && !has_defined(&elements) {
            let implicit = passed(part10::IMPLICIT_VR_LITTLE_ENDIAN, &set.encode(Encoding::IMPLICIT_LITTLE)).unwrap();
            prop_assert_eq!(counted(&little), counted(&implicit));
        }
    }

    /// Nearly a data set: what holds for any bytes holds here, where parsers get far.
    #[test]
    fn changed_data_sets_hold(
        elements in elements(), choice in 1_u8..4, seed: u32, changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let encoding = [Encoding::EXPLICIT_LITTLE, Encoding::IMPLICIT_LITTLE, Encoding::EXPLICIT_BIG][usize::from(choice) - 1];
        let mut bytes = built(&elements, Lengths::Undefined).encode(encoding);
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        for name in ["byte_gate", "dicom_json", "frames"] {
            let head = if name == "byte_gate" { [&[choice, 0xFF], &seed.to_be_bytes()[..]].concat() } else { vec![choice] };
            (target(name).unwrap().check)(&[head.as_slice(), &bytes].concat());
        }
    }

    /// Associations of PDUs in any order, whole or changed in a few places.
    #[test]
    fn associations_hold(
        steps in vec(step(), 0..12), seed: u32, changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3), is_opened: bool,
    ) {
        let mut stream: Vec<u8> = steps.concat();
        for (place, byte) in changes {
            if !stream.is_empty() {
                let at = place.index(stream.len());
                stream[at] = byte;
            }
        }
        let input = [&[u8::from(is_opened)], &seed.to_be_bytes()[..], &[0], &stream].concat();
        (target("association").unwrap().check)(&input);
        (target("pdu").unwrap().check)(&[&seed.to_be_bytes()[..], &stream].concat());
    }
}

fn has_defined(elements: &[Element]) -> bool {
    elements.iter().any(|element| match element {
        Element::Sequence(_, is_defined, items) => *is_defined || items.iter().any(|item| has_defined(item)),
        _ => false,
    })
}

fn written(pdu: &Pdu) -> Vec<u8> {
    let mut bytes = Vec::new();
    pdu::write(pdu, &mut bytes).unwrap();
    bytes
}

/// One PDU, or several, as a peer may send them.
fn step() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => any::<u8>().prop_map(|version| written(&Pdu::AssociateRq(Box::new(request(version))))),
        6 => (0_u8..6, any::<bool>(), select(&CommandField::REQUESTS[..])).prop_map(|(id, has_data_set, field)| message(id, has_data_set, field)),
        4 => (0_u8..6, any::<bool>(), any::<bool>(), vec(any::<u8>(), 0..200))
            .prop_map(|(context_id, is_command, is_last, bytes)| written(&Pdu::Data(vec![Pdv { context_id, is_command, is_last, bytes }]))),
        1 => Just(written(&Pdu::ReleaseRq)),
        1 => Just(written(&Pdu::ReleaseRp)),
        1 => any::<u8>().prop_map(|reason| written(&Pdu::Abort(Abort { source: AbortSource::User, reason }))),
    ]
}

fn message(context_id: u8, has_data_set: bool, field: CommandField) -> Vec<u8> {
    let mut set = CommandSet::default();
    let class = if context_id == 1 { "1.2.840.10008.1.1" } else { "1.2.840.10008.5.1.4.1.1.2" };
    set.set_uid(element::AFFECTED_SOP_CLASS_UID, &class.parse().unwrap());
    set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, &"1.2.3".parse().unwrap());
    set.set_us(element::COMMAND_FIELD, field.0);
    set.set_us(element::MESSAGE_ID, 1);
    set.set_us(element::DATA_SET_TYPE, if has_data_set { 1 } else { 0x0101 });
    let mut bytes = Vec::new();
    set.write(&mut bytes);
    written(&Pdu::Data(vec![Pdv { context_id, is_command: true, is_last: true, bytes }]))
}

fn request(version: u8) -> AssociateRq {
    let context = |id, class: &str| ProposedContext {
        id,
        abstract_syntax: class.parse().ok(),
        transfer_syntaxes: vec!["1.2.840.10008.1.2".parse().unwrap()],
    };
    AssociateRq {
        protocol_version: u16::from(version % 4),
        called_ae: *b"KLUIS           ",
        calling_ae: *b"MODALITY        ",
        reserved: [0; 32],
        application_context: pdu::APPLICATION_CONTEXT.parse().ok(),
        contexts: vec![context(1, "1.2.840.10008.1.1"), context(3, "1.2.840.10008.5.1.4.1.1.2"), context(5, "1.2.3")],
        user: UserInformation { maximum_length: Some(16_384), ..UserInformation::default() },
    }
}
