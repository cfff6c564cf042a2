//! One match as an identifier (PS3.4 C.4.1.1.3.2): every key that was asked for, with its value or without. Pure.

use kluis_dicom::{
    AeTitle, Tag, Uid, VR, data_set,
    identifier::Key,
    transfer_syntax::{self, Encoding},
};
use serde_json::{Map, Value, json};

use crate::query::{Asked, QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE};

const FAILED_SOP_INSTANCE_UID_LIST: Tag = Tag(0x0008, 0x0058);

/// The bytes of an answer: the keys of the request, Query/Retrieve Level, our AE title, and the unique key of the level.
pub(crate) fn write(asked: &Asked, attributes: &Map<String, Value>, ae: &AeTitle, encoding: Encoding) -> Vec<u8> {
    let mut answer = Map::new();
    for key in asked.wanted.iter().filter(|key| key.path.len() == 1) {
        let Some(tag) = key.path.first() else { continue };
        answer.insert(name(*tag), value(key, attributes.get(&name(*tag)), &asked.wanted));
    }
    let unique = name(asked.level.unique_key());
    if let Some(attribute) = attributes.get(&unique) {
        answer.insert(unique, attribute.clone());
    }
    answer.insert(name(QUERY_RETRIEVE_LEVEL), json!({ "vr": "CS", "Value": [asked.level.name()] }));
    answer.insert(name(RETRIEVE_AE_TITLE), json!({ "vr": "AE", "Value": [ae.as_str()] }));
    data_set::write(&answer, encoding)
}

/// An identifier with a Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2).
pub(crate) fn failed_list(failed: &[Uid], encoding: Encoding) -> Vec<u8> {
    // with an explicit VR a value of UI has 65,534 bytes at most: those that fit
    let mut room = usize::from(u16::MAX - 1);
    let fits = |uid: &&str| {
        let is_room = room.checked_sub(uid.len().saturating_add(1));
        room = is_room.unwrap_or(0);
        is_room.is_some()
    };
    let uids: Vec<&str> = failed.iter().map(Uid::as_str).take_while(fits).collect();
    let attribute = json!({ "vr": "UI", "Value": uids });
    data_set::write(&Map::from_iter([(name(FAILED_SOP_INSTANCE_UID_LIST), attribute)]), encoding)
}

/// How answers in this transfer syntax are written; `None` where it is none for messages without pixels.
pub(crate) fn encoding(transfer_syntax: &str) -> Option<Encoding> {
    let is_ours = [
        transfer_syntax::IMPLICIT_LITTLE_ENDIAN,
        transfer_syntax::EXPLICIT_LITTLE_ENDIAN,
        transfer_syntax::EXPLICIT_BIG_ENDIAN,
    ]
    .contains(&transfer_syntax);
    transfer_syntax::lookup(transfer_syntax).filter(|_| is_ours).map(|syntax| syntax.encoding)
}

/// An attribute as it is kept, of a sequence only what its item was asked for; without a value where nothing is kept.
fn value(key: &Key, kept: Option<&Value>, wanted: &[Key]) -> Value {
    let Some(kept) = kept else { return json!({ "vr": key.vr.to_string() }) };
    let within: Vec<String> = wanted
        .iter()
        .filter(|other| other.path.len() == 2 && other.path.first() == key.path.first())
        .filter_map(|other| other.path.last().map(|tag| name(*tag)))
        .collect();
    if key.vr != VR::SQ || within.is_empty() {
        return kept.clone();
    }
    let items = kept.get("Value").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let items: Vec<Value> = items
        .iter()
        .filter_map(Value::as_object)
        .map(|item| {
            item.iter().filter(|(name, _)| within.contains(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
        })
        .map(Value::Object)
        .collect();
    json!({ "vr": "SQ", "Value": items })
}

fn name(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.0, tag.1)
}

#[cfg(test)]
mod tests {
    use kluis_dicom::{
        identifier::Identifier,
        part10::Source,
        query::{Level, Query},
    };

    use super::*;
    use crate::query::{QueryLevel, STUDY_INSTANCE_UID};

    #[test]
    fn c03_c18_c25_every_key_comes_back_with_its_value_or_without() {
        let key = |path: &[Tag], vr| Key { path: path.to_vec(), vr, text: String::new() };
        let request = Tag(0x0040, 0x0275);
        let asked = Asked {
            level: QueryLevel::Study,
            query: Query::all(Level::Study, 1),
            wanted: vec![
                key(&[Tag(0x0008, 0x0020)], VR::DA),
                key(&[Tag(0x0010, 0x0010)], VR::PN),
                key(&[Tag(0x0018, 0x0050)], VR::DS),
                key(&[request], VR::SQ),
                key(&[request, Tag(0x0040, 0x0009)], VR::SH),
            ],
        };
        let kept = json!({
            "00080020": { "vr": "DA", "Value": ["20240131"] },
            "00100010": { "vr": "PN", "Value": [{ "Alphabetic": "Müller" }] },
            "00100020": { "vr": "LO", "Value": ["not asked for"] },
            "0020000D": { "vr": "UI", "Value": ["1.2.3"] },
            "00400275": { "vr": "SQ", "Value": [
                { "00400009": { "vr": "SH", "Value": ["S1"] }, "00400007": { "vr": "LO", "Value": ["not asked"] } }] },
        });
        let uid = transfer_syntax::IMPLICIT_LITTLE_ENDIAN;
        let ae = "KLUIS".parse().unwrap();
        let bytes = write(&asked, kept.as_object().unwrap(), &ae, encoding(uid).unwrap());
        let read = Identifier::read(Source::DataSet { transfer_syntax: uid.parse().unwrap() }, &bytes).unwrap();
        let found: Vec<_> =
            read.keys.iter().map(|key| (key.path.clone(), key.text.trim_end_matches([' ', '\0']))).collect();
        assert_eq!(
            found,
            [
                (vec![Tag(0x0008, 0x0020)], "20240131"),
                (vec![QUERY_RETRIEVE_LEVEL], "STUDY"),
                (vec![RETRIEVE_AE_TITLE], "KLUIS"),
                (vec![Tag(0x0010, 0x0010)], "Müller"),
                (vec![Tag(0x0018, 0x0050)], ""),
                (vec![STUDY_INSTANCE_UID], "1.2.3"),
                (vec![request], ""),
                (vec![request, Tag(0x0040, 0x0009)], "S1"),
            ]
        );
    }

    #[test]
    fn a_failed_list_that_is_too_long_names_those_that_fit() {
        let failed: Vec<Uid> = (1_000..4_000).map(|n| format!("1.2.826.0.1.3680043.10.{n}").parse().unwrap()).collect();
        for uid in [transfer_syntax::EXPLICIT_LITTLE_ENDIAN, transfer_syntax::IMPLICIT_LITTLE_ENDIAN] {
            let bytes = failed_list(&failed, encoding(uid).unwrap());
            let read = Identifier::read(Source::DataSet { transfer_syntax: uid.parse().unwrap() }, &bytes).unwrap();
            let listed = read.value(FAILED_SOP_INSTANCE_UID_LIST).unwrap().split('\\').count();
            assert!((2_300..3_000).contains(&listed), "{listed}");
        }
    }

    #[test]
    fn pixel_syntaxes_are_none_for_answers() {
        assert!(encoding("1.2.840.10008.1.2").is_some() && encoding("1.2.840.10008.1.2.2").is_some());
        assert!(encoding("1.2.840.10008.1.2.4.50").is_none() && encoding("1.2.840.10008.1.2.1.99").is_none());
    }
}
