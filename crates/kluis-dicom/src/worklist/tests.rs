use super::*;

fn entry() -> Value {
    json!({
        "00080050": { "vr": "SH", "Value": ["A1"] },
        "00100010": { "vr": "PN", "Value": [{ "Alphabetic": "Müller^Zoë" }] },
        "00100020": { "vr": "LO", "Value": ["P1"] },
        "0020000D": { "vr": "UI", "Value": ["1.2.3"] },
        "00401001": { "vr": "SH", "Value": ["R1"] },
        "00400100": { "vr": "SQ", "Value": [{
            "00080060": { "vr": "CS", "Value": ["CT"] },
            "00400001": { "vr": "AE", "Value": ["CT1", "CT2"] },
            "00400002": { "vr": "DA", "Value": ["20261123"] },
            "00400003": { "vr": "TM", "Value": ["0815"] },
            "00400009": { "vr": "SH", "Value": ["S1"] },
        }] },
    })
}

fn changed(path: &str, value: Option<Value>) -> Result<Entry, EntryError> {
    let mut json = entry();
    let (parent, last) = path.rsplit_once('/').unwrap();
    let parent = if parent.is_empty() { &mut json } else { json.pointer_mut(parent).unwrap() };
    match value {
        Some(value) => parent[last] = value,
        None => _ = parent.as_object_mut().unwrap().remove(last),
    }
    read_json(json.to_string().as_bytes()).and_then(Entry::new)
}

const STEP: &str = "/00400100/Value/0";

#[test]
fn an_entry_is_read_with_what_it_is_looked_up_by() {
    for text in [entry().to_string(), format!("[{}]", entry())] {
        let read = Entry::new(read_json(text.as_bytes()).unwrap()).unwrap();
        assert_eq!((read.study.as_str(), read.step_id.as_str()), ("1.2.3", "S1"));
        assert_eq!((read.start_date.as_str(), read.start_time.as_str()), ("20261123", "081500.000000"));
        assert_eq!(read.stations, ["CT1", "CT2"]);
        assert_eq!(Value::Object(read.attributes.clone()), entry());
        assert_eq!(format!("{read:?}"), "Entry(..)");
    }
}

#[test]
fn what_an_entry_lacks_is_named() {
    for tag in REQUIRED {
        assert_eq!(changed(&format!("/{}", name(tag)), None), Err(EntryError::Missing(tag)));
    }
    for tag in REQUIRED_OF_STEP {
        assert_eq!(changed(&format!("{STEP}/{}", name(tag)), None), Err(EntryError::Missing(tag)));
    }
    let empty = json!({ "vr": "LO", "Value": ["  "] });
    assert_eq!(changed("/00100020", Some(empty)), Err(EntryError::Missing(Tag(0x0010, 0x0020))));
    let steps = entry()["00400100"]["Value"][0].clone();
    let two = json!({ "vr": "SQ", "Value": [steps, steps] });
    assert_eq!(changed("/00400100", Some(two)), Err(EntryError::Steps));
    assert_eq!(changed("/00400100", None), Err(EntryError::Steps));
    let date = json!({ "vr": "DA", "Value": ["20261340"] });
    assert_eq!(changed(&format!("{STEP}/00400002"), Some(date)), Err(EntryError::Invalid(START_DATE)));
    let uid = json!({ "vr": "UI", "Value": ["patient"] });
    assert_eq!(changed("/0020000D", Some(uid)), Err(EntryError::Invalid(STUDY_INSTANCE_UID)));
}

#[test]
fn what_is_no_dicom_json_is_refused() {
    let birth = Tag(0x0010, 0x0030);
    for (attribute, error) in [
        (json!({ "vr": "LO", "Value": ["20000101"] }), EntryError::Attribute(birth)),
        (json!({ "vr": "XX" }), EntryError::Attribute(birth)),
        (json!({ "Value": [] }), EntryError::Attribute(birth)),
        (json!({ "vr": "DA", "Value": "20000101" }), EntryError::Attribute(birth)),
        (json!({ "vr": "DA", "Value": [["20000101"]] }), EntryError::Attribute(birth)),
        (json!({ "vr": "DA", "BulkDataURI": "http://127.0.0.1/" }), EntryError::Attribute(birth)),
        (json!({ "vr": "DA", "Value": ["x".repeat(70_000)] }), EntryError::TooLong(birth)),
    ] {
        assert_eq!(changed("/00100030", Some(attribute.clone())), Err(error), "{attribute}");
    }
    let deep = (0..40).fold(json!({}), |inner, _| json!({ "00400100": { "vr": "SQ", "Value": [inner] } }));
    assert_eq!(read_json(deep.to_string().as_bytes()), Err(EntryError::TooDeep));
    for text in ["", "[]", "[1]", "1", "{\"PatientName\":{\"vr\":\"PN\"}}", "[{},{}]"] {
        assert_eq!(read_json(text.as_bytes()), Err(EntryError::NotJson), "{text}");
    }
    let pixels = json!({ "7FE00010": { "vr": "OW", "InlineBinary": "AAAA" } });
    assert_eq!(read_json(pixels.to_string().as_bytes()), Err(EntryError::TooLong(Tag(0x7FE0, 0x0010))));
}

#[test]
fn the_status_stands_in_the_step() {
    let mut attributes = entry().as_object().unwrap().clone();
    set_status(&mut attributes, "STARTED");
    let step = items(&attributes, STEP_SEQUENCE).next().unwrap();
    assert_eq!(first_text(step, STEP_STATUS).as_deref(), Some("STARTED"));
}

/// Text goes out in one repertoire: an item that named another would be read in that.
#[test]
fn a_character_set_inside_an_item_changes_no_name() {
    let set = json!({ "vr": "CS", "Value": ["ISO_IR 192"] });
    let entry = changed(&format!("{STEP}/00080005"), Some(set)).unwrap();
    assert_eq!(first_text(&entry.attributes, Tag(0x0010, 0x0010)).as_deref(), Some("Müller^Zoë"));
    let read = |physician: &str| {
        let physician = json!({ "vr": "PN", "Value": [{ "Alphabetic": physician }] });
        let mut json = self::entry();
        json["00400100"]["Value"][0]["00080005"] = json!({ "vr": "CS", "Value": ["ISO_IR 192"] });
        json["00400100"]["Value"][0]["00400006"] = physician;
        let read = read_json(json.to_string().as_bytes()).unwrap();
        first_text(items(&read, STEP_SEQUENCE).next().unwrap(), Tag(0x0040, 0x0006))
    };
    assert_eq!(read("Überall^É").as_deref(), Some("Überall^É"));
}

/// A value of one byte takes a hundred times that in memory: what would is refused before it is taken apart.
#[test]
fn more_values_than_any_entry_has_are_refused() {
    let names = |values: usize| {
        let mut text = vec![b'a'];
        text.extend(b"\\a".repeat(values - 1));
        text.push(b' ');
        text.truncate(text.len() & !1);
        // Other Patient Names (0010,1001), PN in Explicit VR Little Endian
        let mut bytes = vec![0x10, 0, 0x01, 0x10, b'P', b'N'];
        bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text);
        bytes
    };
    let source = || Source::DataSet { transfer_syntax: transfer_syntax::EXPLICIT_LITTLE_ENDIAN.parse().unwrap() };
    assert!(read(source(), &names(1_000)).is_ok());
    let mut many: Vec<u8> = Vec::new();
    for element in 0x01_u8..=0x02 {
        let mut one = names(30_000);
        one[2] = element;
        many.extend(one);
    }
    assert_eq!(read(source(), &many), Err(EntryError::TooMany));
}
