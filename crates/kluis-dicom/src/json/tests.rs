//! PS3.18 Annex F, attribute by attribute.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{part10::Source, sample::Sample};

fn written(outline: &Outline) -> Json {
    let mut out = Vec::new();
    write(outline, &|index| format!("bulk/{index}"), &mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn attribute_table() {
    let le = |numbers: &[f64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let cases: Vec<(VR, Vec<u8>, Json)> = vec![
        (VR::LO, b"a \\b".to_vec(), json!({"vr": "LO", "Value": ["a", "b"]})),
        (VR::LO, b"".to_vec(), json!({"vr": "LO"})),
        (VR::LO, b"  ".to_vec(), json!({"vr": "LO"})),
        (VR::LO, b"\\b\\".to_vec(), json!({"vr": "LO", "Value": [null, "b", null]})),
        (VR::LT, b"a\\b\r\n ".to_vec(), json!({"vr": "LT", "Value": ["a\\b\r\n"]})),
        (VR::UI, b"1.2\0".to_vec(), json!({"vr": "UI", "Value": ["1.2"]})),
        (VR::UI, b"1.2\\1.3".to_vec(), json!({"vr": "UI", "Value": ["1.2", "1.3"]})),
        (VR::CS, b" MR ".to_vec(), json!({"vr": "CS", "Value": ["MR"]})),
        (VR::IS, b" 12\\-3 ".to_vec(), json!({"vr": "IS", "Value": [12, -3]})),
        (VR::IS, b"12.0".to_vec(), json!({"vr": "IS", "Value": ["12.0"]})),
        (VR::DS, b"1.5\\\\1,5 ".to_vec(), json!({"vr": "DS", "Value": [1.5, null, "1,5"]})),
        (VR::PN, b"A^B==C".to_vec(), json!({"vr": "PN", "Value": [{"Alphabetic": "A^B", "Phonetic": "C"}]})),
        (VR::PN, b"A\\=\\=B".to_vec(), json!({"vr": "PN", "Value": [{"Alphabetic": "A"}, null, {"Ideographic": "B"}]})),
        (VR::AT, vec![0x10, 0, 0x1A, 0], json!({"vr": "AT", "Value": ["0010001A"]})),
        (VR::US, vec![1, 0, 255, 255], json!({"vr": "US", "Value": [1, 65535]})),
        (VR::SS, vec![255, 255], json!({"vr": "SS", "Value": [-1]})),
        (VR::UV, (1u64 << 53).to_le_bytes().to_vec(), json!({"vr": "UV", "Value": [9_007_199_254_740_992u64]})),
        (VR::UV, u64::MAX.to_le_bytes().to_vec(), json!({"vr": "UV", "Value": ["18446744073709551615"]})),
        (VR::SV, i64::MIN.to_le_bytes().to_vec(), json!({"vr": "SV", "Value": ["-9223372036854775808"]})),
        (VR::FD, le(&[1.5, -1e300]), json!({"vr": "FD", "Value": [1.5, -1e300]})),
        (
            VR::FD,
            le(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
            json!({"vr": "FD", "Value": ["NaN", "Infinity", "-Infinity"]}),
        ),
        (VR::FL, 0.1f32.to_le_bytes().to_vec(), json!({"vr": "FL", "Value": [f64::from(0.1f32)]})),
        (VR::OB, vec![1, 2, 3, 4], json!({"vr": "OB", "InlineBinary": "AQIDBA=="})),
        (VR::OW, vec![], json!({"vr": "OW"})),
        (VR::UN, vec![1, 2], json!({"vr": "UN", "InlineBinary": "AQI="})),
        (VR::UT, "q\"\u{1}\u{1f}é".as_bytes().to_vec(), json!({"vr": "UT", "Value": ["q\"\u{1}\u{1f}é"]})),
    ];
    for (vr, bytes, expected) in cases {
        // A private attribute: nothing but the VR says what it is.
        let outline =
            Sample::little_endian().with((0x0009, 0x0010), VR::LO, "KLUIS").with((0x0009, 0x1001), vr, &bytes);
        assert_eq!(written(&outline.outline())["00091001"], expected, "{vr} {bytes:?}");
    }
}

#[test]
fn data_set_as_a_whole() {
    let item = Sample::little_endian().with((0x0040, 0x0009), VR::SH, "STEP1");
    let outline = Sample::little_endian()
        .with((0x0008, 0x0000), VR::UL, [0, 0, 0, 0])
        .with((0x0008, 0x0005), VR::CS, "ISO_IR 100")
        .with((0x0010, 0x0010), VR::PN, b"Buc^J\xe9r\xf4me")
        .with((0x0010, 0x0020), VR::UN, "4711")
        .with_sequence((0x0040, 0x0275), vec![item, Sample::little_endian()])
        .with_sequence((0x0040, 0x0555), vec![])
        .with((0x7FE0, 0x0010), VR::OW, vec![7; 8192])
        .outline();
    assert_eq!(
        written(&outline),
        json!({
            "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Buc^Jérôme"}]},
            "00100020": {"vr": "LO", "Value": ["4711"]},
            "00400275": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["STEP1"]}}, {}]},
            "00400555": {"vr": "SQ"},
            "7FE00010": {"vr": "OW", "BulkDataURI": "bulk/0"},
        })
    );
}

#[test]
fn charset_of_an_item_ends_with_the_item() {
    let inner =
        Sample::little_endian().with((0x0008, 0x0005), VR::CS, "ISO_IR 126").with((0x0008, 0x0104), VR::LO, b"\xc4");
    let inherits = Sample::little_endian().with((0x0008, 0x0104), VR::LO, b"\xc4");
    let outline = Sample::little_endian()
        .with((0x0008, 0x0005), VR::CS, "ISO_IR 144")
        .with_sequence((0x0008, 0x1032), vec![inner, inherits])
        .with((0x0010, 0x0010), VR::PN, b"\xc4")
        .outline();
    let json = written(&outline);
    assert_eq!(json["00081032"]["Value"][0]["00080104"]["Value"][0], "Δ");
    assert_eq!(json["00081032"]["Value"][0]["00080005"]["Value"][0], "ISO_IR 192");
    assert_eq!(json["00081032"]["Value"][1]["00080104"]["Value"][0], "Ф");
    assert_eq!(json["00100010"]["Value"][0]["Alphabetic"], "Ф");
}

#[test]
fn big_endian_gives_the_same() {
    let outline = Sample::big_endian()
        .with((0x0009, 0x0010), VR::LO, "KLUIS")
        .with((0x0009, 0x1001), VR::OW, [1, 2, 3, 4])
        .with((0x0009, 0x1002), VR::AT, [0x00, 0x10, 0x00, 0x1A])
        .with((0x0028, 0x0010), VR::US, [2, 0])
        .outline();
    let json = written(&outline);
    assert_eq!(json["00091001"]["InlineBinary"], "AgEEAw==");
    assert_eq!(json["00091002"]["Value"], json!(["0010001A"]));
    assert_eq!(json["00280010"]["Value"], json!([512]));
}

#[test]
fn uri_of_bulk_is_escaped() {
    let outline = Sample::little_endian().with((0x7FE0, 0x0010), VR::OB, vec![0; 8192]).outline();
    let mut out = Vec::new();
    write(&outline, &|_| "a\"b".to_owned(), &mut out);
    assert_eq!(serde_json::from_slice::<Json>(&out).unwrap()["7FE00010"]["BulkDataURI"], "a\"b");
}

#[test]
fn events_that_end_early_leave_valid_json() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    for event in [
        Event::SequenceStart { tag: Tag(0x0040, 0x0275) },
        Event::ItemStart,
        Event::SequenceStart { tag: Tag(0x0002, 0x0001) },
        Event::ItemStart,
        Event::Element { tag: Tag(0x0010, 0x0010), vr: VR::PN, value: Value::Inline(b"skipped") },
        Event::ItemEnd,
        Event::SequenceEnd,
        Event::Element { tag: Tag(0x0010, 0x0020), vr: VR::LO, value: Value::Inline(b"1") },
        Event::Element { tag: Tag(0x0010, 0x0020), vr: VR::LO, value: Value::Inline(b"2") },
    ] {
        writer.event(event, false, &|_| String::new());
    }
    writer.finish();
    assert_eq!(
        serde_json::from_slice::<Json>(&out).unwrap(),
        json!({"00400275": {"vr": "SQ", "Value": [{"00100020": {"vr": "LO", "Value": ["1"]}}]}})
    );
}

/// Elements of any VR with any bytes, sequences around some of them: what the gate lets pass and JSON finds hard.
fn any_elements() -> impl Strategy<Value = Vec<(u16, [u8; 2], Vec<u8>, bool)>> {
    const VRS: [&[u8; 2]; 22] = [
        b"PN", b"LO", b"LT", b"UT", b"CS", b"UI", b"IS", b"DS", b"DA", b"TM", b"AT", b"US", b"SS", b"FL", b"FD", b"UV",
        b"SV", b"OB", b"OW", b"UN", b"UR", b"ZZ",
    ];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..24),
        "[0-9eE.+\\\\ -]{0,24}".prop_map(String::into_bytes),
        "[a^=\\\\\u{1b}$B\"\u{1}é]{0,24}".prop_map(String::into_bytes),
    ];
    let element = (any::<u16>(), prop::sample::select(&VRS[..]).prop_map(|vr| *vr), value, any::<bool>());
    prop::collection::vec(element, 0..20)
}

fn data_set(charset: &str, elements: &[(u16, [u8; 2], Vec<u8>, bool)]) -> Vec<u8> {
    let charset = if charset.len() % 2 == 1 { format!("{charset} ") } else { charset.to_owned() };
    let mut bytes = vec![8, 0, 5, 0, b'C', b'S', u8::try_from(charset.len()).unwrap(), 0];
    bytes.extend_from_slice(charset.as_bytes());
    let mut sorted = elements.to_vec();
    sorted.sort_by_key(|(element, ..)| *element);
    for (element, vr, value, is_nested) in sorted {
        let mut written = vec![0x09, 0x00];
        written.extend_from_slice(&element.to_le_bytes());
        written.extend_from_slice(&vr);
        let mut value = value;
        if value.len() % 2 == 1 {
            value.push(b' ');
        }
        let is_long = matches!(&vr, b"OB" | b"OW" | b"UN" | b"UT" | b"UR" | b"UV" | b"SV" | b"ZZ");
        if is_long {
            written.extend_from_slice(&[0, 0]);
            written.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
        } else {
            written.extend_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes());
        }
        written.extend_from_slice(&value);
        if is_nested {
            bytes.extend_from_slice(&[0x09, 0x00]);
            bytes.extend_from_slice(&element.to_le_bytes());
            bytes.extend_from_slice(b"SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff");
            bytes.extend_from_slice(&written);
            bytes.extend_from_slice(b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0");
        } else {
            bytes.extend_from_slice(&written);
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn json_parses_and_is_bounded_whatever_the_values(
        charset in prop::sample::select(vec!["", "ISO_IR 100", "ISO_IR 192", "\\ISO 2022 IR 87", "GB18030", "nonsense"]),
        elements in any_elements(),
    ) {
        let bytes = data_set(charset, &elements);
        let source = Source::DataSet { transfer_syntax: "1.2.840.10008.1.2.1".parse().unwrap() };
        if let Ok(outline) = Outline::of(source, &bytes) {
            let mut out = Vec::new();
            write(&outline, &|index| format!("bulk/{index}"), &mut out);
            let parsed = serde_json::from_slice::<Json>(&out);
            prop_assert!(parsed.is_ok_and(|json| json.is_object()), "{}", String::from_utf8_lossy(&out));
            prop_assert!(out.len() <= 12 * bytes.len() + 64, "{} from {}", out.len(), bytes.len());
        }
    }

    #[test]
    fn json_parses_whatever_the_bytes(implicit in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let uid = if implicit { "1.2.840.10008.1.2" } else { "1.2.840.10008.1.2.1" };
        if let Ok(outline) = Outline::of(Source::DataSet { transfer_syntax: uid.parse().unwrap() }, &bytes) {
            let mut out = Vec::new();
            write(&outline, &|index| format!("bulk/{index}"), &mut out);
            prop_assert!(serde_json::from_slice::<Json>(&out).is_ok());
        }
    }
}
