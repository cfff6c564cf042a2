//! Properties: the outline does not depend on how bytes arrive, shows what was written, and nothing cut or changed passes
//! for what it is not.

use dicom_core::{Tag, VR};
use proptest::prelude::*;

use super::super::{Header, Refusal, Source, test_data::*};
use super::{BIG_UID, DEFLATED_UID, EXPLICIT_UID, IMPLICIT_UID, JPEG_UID, data_set, pass};
use crate::{limits::Limits, transfer_syntax};

/// So small that short values are bulk too.
fn limits() -> Limits {
    Limits { inline_binary_bytes: 24, inline_text_bytes: 40, ..Limits::default() }
}

/// Values whose representation is the same in implicit VR.
fn any_value() -> impl Strategy<Value = Node> {
    let element = prop::sample::select(vec![
        (0x0008, 0x0018, VR::UI),
        (0x0009, 0x1001, VR::UN),
        (0x0010, 0x0010, VR::PN),
        (0x0018, 0x0050, VR::DS),
        (0x0028, 0x0010, VR::US),
        (0x0028, 0x3006, VR::OW),
        (0x0040, 0xA160, VR::UT),
        (0x0042, 0x0011, VR::OB),
        (0x0066, 0x0016, VR::OF),
        (0x7FE0, 0x0010, VR::OW),
    ]);
    let bytes = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..12),
        1 => prop::collection::vec(any::<u8>(), 20..60),
        1 => Just(b"\xFE\xFF\xDD\xE0\0\0\0\0".to_vec()),
    ];
    (element, bytes).prop_map(|((group, element, vr), bytes)| value(group, element, vr, bytes))
}

fn any_fragments() -> impl Strategy<Value = Node> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    (bytes(), prop::collection::vec(bytes(), 0..4)).prop_map(|(table, fragments)| Node::Fragments {
        tag: Tag(0x7FE0, 0x0010),
        table,
        fragments,
    })
}

fn any_nodes(is_encapsulated: bool) -> impl Strategy<Value = Vec<Node>> {
    let leaf =
        if is_encapsulated { prop_oneof![6 => any_value(), 1 => any_fragments()].boxed() } else { any_value().boxed() };
    let node =
        leaf.prop_recursive(4, 40, 4, |inner| {
            let item = (any::<bool>(), prop::collection::vec(inner, 0..4))
                .prop_map(|(is_undefined, nodes)| Item { is_undefined, nodes });
            let tag = prop::sample::select(vec![Tag(0x0008, 0x1140), Tag(0x0040, 0xA730), Tag(0x5200, 0x9230)]);
            (tag, any::<bool>(), prop::collection::vec(item, 0..4))
                .prop_map(|(tag, is_undefined, items)| Node::Sequence { tag, is_undefined, items })
        });
    prop::collection::vec(node, 1..8)
}

/// A data set in any encoding; UN of undefined length is added where VR is explicit.
fn any_data_set() -> impl Strategy<Value = (&'static str, Vec<Node>)> {
    let uid = prop::sample::select(vec![IMPLICIT_UID, EXPLICIT_UID, BIG_UID, DEFLATED_UID, JPEG_UID]);
    (uid, any::<bool>()).prop_flat_map(|(uid, has_unknown)| {
        (Just(uid), any_nodes(uid == JPEG_UID), any_nodes(false)).prop_map(move |(uid, mut nodes, inner)| {
            if has_unknown && uid != IMPLICIT_UID && uid != BIG_UID {
                let items = vec![Item { is_undefined: true, nodes: inner }];
                nodes.push(Node::Unknown { tag: Tag(0x0009, 0x1003), items });
            }
            (uid, nodes)
        })
    })
}

fn encoded(uid: &str, nodes: &[Node]) -> (Vec<u8>, Vec<u8>) {
    let encoding = transfer_syntax::lookup(uid).unwrap().encoding;
    let plain = write(nodes, encoding);
    let stored = if encoding.deflated { deflated(&plain) } else { plain.clone() };
    (plain, stored)
}

/// Cuts bytes at places given as parts of 65536.
fn cut<'a>(bytes: &'a [u8], places: &[u16]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = places.iter().map(|place| bytes.len() * usize::from(*place) / 65536).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn outline_shows_what_was_written_however_it_arrives(
        (uid, nodes) in any_data_set(),
        places in prop::collection::vec(any::<u16>(), 0..12),
        is_file in any::<bool>(),
    ) {
        let (plain, stored) = encoded(uid, &nodes);
        let (source, bytes) =
            if is_file { (Source::File, file(uid, &stored)) } else { (data_set(uid), stored.clone()) };
        let whole = pass(source.clone(), limits(), [&bytes[..]]).unwrap();
        prop_assert_eq!(&whole, &pass(source.clone(), limits(), cut(&bytes, &places)).unwrap());
        prop_assert_eq!(&whole, &pass(source, limits(), bytes.chunks(1)).unwrap());
        let (kept, outline) = whole;
        prop_assert_eq!(&kept, &stored);
        prop_assert_eq!(outline.data_set_length, stored.len() as u64);
        prop_assert_eq!(outline.inflated_length, plain.len() as u64);
        prop_assert_eq!(outline.transfer_syntax.as_str(), uid);
        prop_assert_eq!(seen(&outline, &plain), expected(&nodes));
        let cut_out: u64 = outline.header.bulk().iter().map(|span| span.length).sum();
        prop_assert_eq!(outline.header.as_bytes().len() as u64 + cut_out, plain.len() as u64);
        let json = serde_json::to_string(&outline).unwrap();
        prop_assert_eq!(serde_json::from_str::<super::super::Outline>(&json).unwrap(), outline);
    }

    #[test]
    fn what_is_cut_off_is_refused_except_between_elements((uid, nodes) in any_data_set()) {
        prop_assume!(uid != DEFLATED_UID);
        let (plain, _) = encoded(uid, &nodes);
        let encoding = transfer_syntax::lookup(uid).unwrap().encoding;
        let mut ends = vec![0];
        for count in 1..=nodes.len() {
            ends.push(write(&nodes[..count], encoding).len());
        }
        for length in 0..=plain.len() {
            let passed = pass(data_set(uid), limits(), [&plain[..length]]);
            match passed {
                Ok(_) => prop_assert!(length > 0 && ends.contains(&length), "{} of {} passed", length, plain.len()),
                Err(Refusal::NoElements) => prop_assert_eq!(length, 0),
                Err(Refusal::Truncated(place)) => {
                    prop_assert!(!ends.contains(&length), "{} of {} refused", length, plain.len());
                    prop_assert!(place.offset <= length as u64);
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }

    #[test]
    fn deflated_bytes_that_are_cut_off_are_refused((_, nodes) in any_data_set(), place in any::<u16>()) {
        let (_, stored) = encoded(DEFLATED_UID, &nodes);
        let length = stored.len() * usize::from(place) / 65536;
        prop_assert!(pass(data_set(DEFLATED_UID), limits(), [&stored[..length]]).is_err());
    }

    #[test]
    fn changed_bytes_never_panic_and_never_show_what_is_not_there(
        (uid, nodes) in any_data_set(),
        changes in prop::collection::vec((any::<u16>(), any::<u8>()), 1..6),
        step in 1usize..40,
        is_file in any::<bool>(),
    ) {
        let (_, stored) = encoded(uid, &nodes);
        let (source, mut bytes) =
            if is_file { (Source::File, file(uid, &stored)) } else { (data_set(uid), stored) };
        for (place, byte) in changes {
            let at = bytes.len() * usize::from(place) / 65536;
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
        }
        let whole = pass(source.clone(), limits(), [&bytes[..]]);
        let pieces = pass(source, limits(), bytes.chunks(step));
        prop_assert_eq!(whole.is_ok(), pieces.is_ok());
        if let Ok((kept, outline)) = whole {
            prop_assert_eq!(&outline, &pieces.unwrap().1);
            let mut events = outline.header.events();
            let mut inline = 0;
            for event in events.by_ref() {
                if let super::super::Event::Element { value: super::super::Value::Inline(value), .. } = event {
                    inline += value.len();
                }
            }
            prop_assert_eq!(events.depth(), 0);
            prop_assert!(inline <= outline.header.as_bytes().len());
            prop_assert!(outline.header.bulk().iter().all(|span| span.offset + span.length <= outline.inflated_length));
            prop_assert_eq!(kept.len() as u64, outline.data_set_length);
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), uid in 0usize..5) {
        let uid = [IMPLICIT_UID, EXPLICIT_UID, BIG_UID, DEFLATED_UID, JPEG_UID][uid];
        let _ = pass(data_set(uid), limits(), [&bytes[..]]);
        let _ = pass(Source::File, limits(), [&bytes[..]]);
        let _ = pass(Source::File, limits(), [&file(uid, &bytes)[..]]);
    }

    #[test]
    fn events_of_a_forged_header_end(bytes in prop::collection::vec(any::<u8>(), 0..200), explicit in any::<bool>()) {
        let forged = serde_json::json!({
            "bytes": bytes, "explicit_vr": explicit, "big_endian": false,
            "bulk": [{"header_position": 8, "tag": [1, 2], "offset": 0, "length": u64::MAX, "kind": "Value"}],
        });
        let header: Header = serde_json::from_value(forged).unwrap();
        prop_assert!(header.events().count() <= bytes.len());
    }
}
