//! Each kind of matching of C-FIND, asked for by a foreign program (conformance C05 to C36; PS3.4 C.2.2.2).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kluis_testkit::{SmallInstance, part10};
use serde_json::{Value, json};

use crate::support::{Server, dimse::find};

const STUDY_ROOT: &str = "1.2.840.10008.5.1.4.1.2.2.1";

/// One image of a study: names in UTF-8.
struct Image {
    study: u32,
    modality: &'static str,
    name: &'static str,
    id: &'static str,
    accession: &'static str,
    date: &'static str,
    time: &'static str,
    image_type: &'static str,
}

const IMAGES: &[Image] = &[
    Image {
        study: 1,
        modality: "CT",
        name: "Müller^Zoë",
        id: "A*1",
        accession: "ACC1",
        date: "20240101",
        time: "101500",
        image_type: "ORIGINAL\\PRIMARY",
    },
    Image {
        study: 1,
        modality: "MR",
        name: "Müller^Zoë",
        id: "A*1",
        accession: "ACC1",
        date: "20240101",
        time: "101500",
        image_type: "DERIVED\\SECONDARY\\MPR",
    },
    Image {
        study: 2,
        modality: "CT",
        name: "MULLER^ZOE",
        id: "AB1",
        accession: "",
        date: "20240102",
        time: "081000",
        image_type: "ORIGINAL\\PRIMARY",
    },
    Image {
        study: 3,
        modality: "US",
        name: "Yamada^Tarou=山田^太郎=やまだ^たろう",
        id: "P3",
        accession: "ACC3",
        date: "20240103",
        time: "235959.5",
        image_type: "ORIGINAL\\PRIMARY",
    },
];

fn stocked() -> Result<(Server, Vec<SmallInstance>, PathBuf)> {
    let server = Server::start()?;
    let folder = server.beside().join("images");
    std::fs::create_dir_all(&folder)?;
    let mut instances = Vec::new();
    for (at, image) in IMAGES.iter().enumerate() {
        let mut instance = SmallInstance::new(81, image.study, u32::try_from(at)?, 1);
        image.modality.clone_into(&mut instance.modality);
        image.id.clone_into(&mut instance.patient_id);
        image.date.clone_into(&mut instance.study_date);
        image.name.clone_into(&mut instance.patient_name);
        let set = instance
            .data_set()
            .text((0x0008, 0x0005), "CS", "ISO_IR 192")
            .text((0x0008, 0x0008), "CS", image.image_type)
            .text((0x0008, 0x0030), "TM", image.time)
            .text((0x0008, 0x0050), "SH", image.accession);
        let file = part10::file(&set, part10::EXPLICIT_VR_LITTLE_ENDIAN);
        std::fs::write(folder.join(format!("{at}.dcm")), file)?;
        instances.push(instance);
    }
    server.command(&["import", folder.to_str().context("path")?])?;
    let device = server.device("VIEW1", "find")?;
    Ok((server, instances, device))
}

/// Asks for studies; the numbers of those that were found, in order.
fn found(
    server: &Server,
    device: &Path,
    instances: &[SmallInstance],
    extended: &[u8],
    asked: &[Value],
) -> Result<Vec<Vec<u32>>> {
    let queries: Vec<Value> = asked
        .iter()
        .map(|keys| {
            let mut keys = keys.clone();
            for (name, value) in [("QueryRetrieveLevel", "STUDY"), ("StudyInstanceUID", "")] {
                if keys.get(name).is_none() {
                    keys[name] = json!(value);
                }
            }
            json!({ "model": STUDY_ROOT, "keys": keys, "extended": extended })
        })
        .collect();
    let answer = find(server, "VIEW1", Some((device, "VIEW1")), &json!(queries))?;
    assert_eq!(answer["error"], Value::Null, "{answer}");
    let studies = |answer: &Value| {
        let matches = answer["matches"].as_array().into_iter().flatten();
        let uids = matches.filter_map(|found| found["0020000D"]["Value"][0].as_str());
        let number = |uid: &str| {
            let at = instances.iter().position(|instance| instance.study == uid);
            at.map_or(0, |at| IMAGES[at].study)
        };
        let mut numbers: Vec<u32> = uids.map(number).collect();
        numbers.sort_unstable();
        numbers
    };
    Ok(answer["answers"].as_array().context("answers")?.iter().map(studies).collect())
}

fn held(
    server: &Server,
    device: &Path,
    instances: &[SmallInstance],
    extended: &[u8],
    cases: &[(Value, &[u32])],
) -> Result<()> {
    let asked: Vec<Value> = cases.iter().map(|(keys, _)| keys.clone()).collect();
    let answers = found(server, device, instances, extended, &asked)?;
    for ((keys, expected), found) in cases.iter().zip(answers) {
        assert_eq!(found, *expected, "{keys}");
    }
    Ok(())
}

#[test]
fn c05_c06_c07_c33_c34_text_and_names() -> Result<()> {
    let (server, instances, device) = stocked()?;
    let utf8 = |name: &str| json!({ "SpecificCharacterSet": "ISO_IR 192", "PatientName": name });
    held(
        &server,
        &device,
        &instances,
        &[],
        &[
            // C05: exactly one character
            (json!({ "PatientID": "A?1" }), &[1, 2]),
            (json!({ "PatientID": "A??1" }), &[]),
            // C06: a stored asterisk is a character like others
            (json!({ "PatientID": "A*1" }), &[1, 2]),
            (json!({ "PatientID": "?*1" }), &[1, 2]),
            // C07: neither case nor accents
            (json!({ "PatientName": "muller^zoe" }), &[1, 2]),
            (utf8("MÜLLER*"), &[1, 2]),
            // C33: each component group by itself
            (utf8("山田*"), &[3]),
            (utf8("*たろう"), &[3]),
            (json!({ "PatientName": "yamada^t*" }), &[3]),
            // C34: padding is not part of a value
            (json!({ "PatientID": " AB1  " }), &[2]),
            (json!({ "ModalitiesInStudy": "US " }), &[3]),
        ],
    )
}

#[test]
fn c08_c09_c10_dates_and_times() -> Result<()> {
    let (server, instances, device) = stocked()?;
    held(
        &server,
        &device,
        &instances,
        &[],
        &[
            (json!({ "StudyDate": "20240101-20240102" }), &[1, 2]),
            (json!({ "StudyDate": "20240102-" }), &[2, 3]),
            (json!({ "StudyDate": "-20240101" }), &[1]),
            (json!({ "StudyTime": "1000-1030" }), &[1]),
            (json!({ "StudyTime": "08-10" }), &[1, 2]),
            (json!({ "StudyTime": "2359-" }), &[3]),
            (json!({ "StudyTime": "-0810" }), &[2]),
        ],
    )
}

#[test]
fn c11_c27_c28_c29_what_was_agreed_on() -> Result<()> {
    let (server, instances, device) = stocked()?;
    // combined date and time, fuzzy names, empty values, multiple values
    let agreed = [0, 1, 1, 0, 0, 1, 1];
    held(
        &server,
        &device,
        &instances,
        &agreed,
        &[
            (json!({ "StudyDate": "20240101-20240102", "StudyTime": "1000-0900" }), &[1, 2]),
            (json!({ "StudyDate": "20240101-20240102", "StudyTime": "1020-0900" }), &[2]),
            (json!({ "AccessionNumber": "\"\"" }), &[2]),
            (json!({ "PatientID": "AB1\\P3" }), &[2, 3]),
            (json!({ "PatientName": "zoe" }), &[1, 2]),
        ],
    )?;
    // and without agreement
    held(
        &server,
        &device,
        &instances,
        &[],
        &[(json!({ "PatientName": "zoe" }), &[]), (json!({ "AccessionNumber": "\"\"" }), &[])],
    )
}

#[test]
fn c12_c13_c17_c31_c35_c36_lists_numbers_and_strange_keys() -> Result<()> {
    let (server, instances, device) = stocked()?;
    let both = format!("{}\\{}", instances[0].study, instances[3].study);
    held(
        &server,
        &device,
        &instances,
        &[],
        &[
            (json!({ "StudyInstanceUID": both }), &[1, 3]),
            (json!({ "ModalitiesInStudy": "MR" }), &[1]),
            // C31: an offset from UTC in the request is understood and changes no local time
            (json!({ "TimezoneOffsetFromUTC": "+0100", "StudyDate": "20240103" }), &[3]),
            // C36: retired keys are no error
            (json!({ "StudyDate": "20240103", "InterpretationAuthor": "", "StudyComments": "" }), &[3]),
        ],
    )?;
    let (study, series) = (&instances[1].study, &instances[1].series);
    let image = |key: &str, value: &str| {
        let mut keys = json!({ "QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": study, "SeriesInstanceUID": series,
            "SOPInstanceUID": "" });
        keys[key] = json!(value);
        json!({ "model": STUDY_ROOT, "keys": keys })
    };
    let queries = json!([
        image("InstanceNumber", "1"),
        image("InstanceNumber", "2"),
        image("ImageType", "SECONDARY"),
        image("ImageType", "PRIMARY"),
        { "model": STUDY_ROOT, "keys": { "QueryRetrieveLevel": "STUDY", "ModalitiesInStudy": "MR" } },
    ]);
    let answer = find(&server, "VIEW1", Some((&device, "VIEW1")), &queries)?;
    let counts: Vec<_> = answer["answers"]
        .as_array()
        .context("answers")?
        .iter()
        .map(|a| a["matches"].as_array().map(Vec::len))
        .collect();
    assert_eq!(counts, [Some(1), Some(0), Some(1), Some(0), Some(1)], "{answer}");
    // C13: matched by one, all are told
    let modalities = &answer["answers"][4]["matches"][0]["00080061"]["Value"];
    assert_eq!(*modalities, json!(["CT", "MR"]), "{answer}");
    Ok(())
}
