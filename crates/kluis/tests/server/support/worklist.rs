//! Entries of a worklist and performed steps, made up.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Server;

pub const MODALITY_WORKLIST: &str = "1.2.840.10008.5.1.4.31";
pub const PERFORMED_STEP: &str = "1.2.840.10008.3.1.2.3.3";

/// An entry: study, patient and step have this number.
pub fn entry(number: u32, station: &str, date: &str, time: &str) -> Value {
    json!({
        "00080050": { "vr": "SH", "Value": [format!("A{number}")] },
        "00080090": { "vr": "PN", "Value": [{ "Alphabetic": "Ref^Erring" }] },
        "00100010": { "vr": "PN", "Value": [{ "Alphabetic": format!("Patient^{number}") }] },
        "00100020": { "vr": "LO", "Value": [format!("P{number}")] },
        "00100030": { "vr": "DA", "Value": ["19700101"] },
        "0020000D": { "vr": "UI", "Value": [study(number)] },
        "00321060": { "vr": "LO", "Value": ["Chest"] },
        "00401001": { "vr": "SH", "Value": [format!("R{number}")] },
        "00400100": { "vr": "SQ", "Value": [{
            "00080060": { "vr": "CS", "Value": ["CT"] },
            "00400001": { "vr": "AE", "Value": [station] },
            "00400002": { "vr": "DA", "Value": [date] },
            "00400003": { "vr": "TM", "Value": [time] },
            "00400006": { "vr": "PN", "Value": [{ "Alphabetic": "Per^Forming" }] },
            "00400007": { "vr": "LO", "Value": ["Chest with contrast"] },
            "00400008": { "vr": "SQ", "Value": [{
                "00080100": { "vr": "SH", "Value": ["C1"] },
                "00080102": { "vr": "SH", "Value": ["99TEST"] },
                "00080104": { "vr": "LO", "Value": ["Chest CT"] },
            }] },
            "00400009": { "vr": "SH", "Value": [format!("S{number}")] },
        }] },
    })
}

pub fn study(number: u32) -> String {
    format!("1.2.826.0.1.3680043.10.9.{number}")
}

/// A performed step of that entry, as it begins.
pub fn step(number: u32) -> Value {
    json!({
        "00080060": { "vr": "CS", "Value": ["CT"] },
        "00100010": { "vr": "PN", "Value": [{ "Alphabetic": format!("Patient^{number}") }] },
        "00100020": { "vr": "LO", "Value": [format!("P{number}")] },
        "00400241": { "vr": "AE", "Value": ["CT1"] },
        "00400244": { "vr": "DA", "Value": ["20261123"] },
        "00400245": { "vr": "TM", "Value": ["0810"] },
        "00400252": { "vr": "CS", "Value": ["IN PROGRESS"] },
        "00400253": { "vr": "SH", "Value": ["PPS"] },
        "00400270": { "vr": "SQ", "Value": [{
            "0020000D": { "vr": "UI", "Value": [study(number)] },
            "00400009": { "vr": "SH", "Value": [format!("S{number}")] },
        }] },
        "00400340": { "vr": "SQ" },
    })
}

/// Takes entries in by `kluis worklist import`; fails where one is refused.
pub fn put(server: &Server, entries: &[Value]) -> Result<Vec<Value>> {
    let folder = server.beside().join("worklist");
    std::fs::create_dir_all(&folder)?;
    let mut arguments = vec!["worklist".to_owned(), "import".to_owned()];
    for (number, entry) in entries.iter().enumerate() {
        let file = folder.join(format!("{number}.json"));
        std::fs::write(&file, serde_json::to_vec(entry)?)?;
        arguments.push(file.to_str().context("path")?.to_owned());
    }
    let answer = server.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(answer["entries"].as_array().context("entries")?.clone())
}

/// All entries: patient id and state, in the order of the list.
pub fn states(server: &Server) -> Result<Vec<(String, String)>> {
    let listed = server.command(&["worklist", "list"])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = listed.as_array().context("entries")?;
    Ok(entries
        .iter()
        .map(|entry| (text(&entry["attributes"]["00100020"]["Value"][0]), text(&entry["state"])))
        .collect())
}
