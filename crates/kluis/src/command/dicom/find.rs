//! `kluis dicom find` (PS3.7 9.1.2).

use anyhow::{Result, bail};
use kluis_dicom::{Tag, dictionary};
use kluis_dimse::{command::Status, requestor::Found};
use serde_json::{Map, Value, json};

use super::{
    connect::{Peer, encoding, plain_offer},
    hex,
    keys::{self, Keys},
};
use crate::{
    cli::{FindArgs, Level, Model},
    command::Output,
    say::say,
};

/// What is asked for where nobody says: Patient ID and Name, dates, descriptions, numbers, and the unique keys.
const ASKED: &[(Level, &[u32])] = &[
    (Level::Patient, &[0x0010_0010, 0x0010_0020, 0x0010_0030, 0x0010_0040]),
    (
        Level::Study,
        &[
            0x0008_0020,
            0x0008_0030,
            0x0008_0050,
            0x0008_0061,
            0x0008_1030,
            0x0010_0010,
            0x0010_0020,
            0x0020_000D,
            0x0020_1206,
            0x0020_1208,
        ],
    ),
    (Level::Series, &[0x0008_0060, 0x0008_103E, 0x0020_000E, 0x0020_0011, 0x0020_1209]),
    (Level::Image, &[0x0008_0016, 0x0008_0018, 0x0020_0013]),
];

/// The same for a worklist (PS3.4 K.6.1.2.2).
const WORKLIST: &[&str] = &[
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepSequence.Modality",
    "ScheduledProcedureStepSequence.ScheduledStationAETitle",
    "ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepSequence.ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepSequence.ScheduledPerformingPhysicianName",
    "ScheduledProcedureStepSequence.ScheduledProcedureStepDescription",
    "ScheduledProcedureStepSequence.ScheduledProcedureStepID",
];

pub(super) async fn run(args: &FindArgs, output: &Output) -> Result<bool> {
    let peer = Peer::new(&args.connect)?;
    let keys = asked(args)?;
    let class = args.model.find_class();
    let mut link = peer.associate(vec![plain_offer(class)?], Vec::new()).await?;
    let context = link.context_of(&class.parse()?)?;
    let (syntax, encoding) = encoding(&link, context)?;
    let mut finding = link.find(context, &keys.write(encoding)).await?;
    let (mut matches, mut count, mut is_cancelled) = (Vec::new(), 0_u64, false);
    let end = loop {
        match finding.next().await? {
            Found::Match(_, identifier) => {
                let found = keys::to_json(&syntax, &identifier)?;
                if args.limit.is_none_or(|limit| count < limit) {
                    count += 1;
                    if output.is_json() { matches.push(Value::Object(found)) } else { print(&found) }
                }
                if args.limit == Some(count) && !is_cancelled {
                    is_cancelled = true;
                    finding.cancel().await?;
                }
            }
            Found::End(answer) => break answer,
        }
    };
    link.release().await?;
    let is_well = end.status == Status::SUCCESS || end.status == Status::CANCEL && is_cancelled;
    let document = json!({ "status": hex(end.status), "comment": end.comment, "matches": matches });
    output.print(&document, || {
        let comment = end.comment.as_deref().unwrap_or_default();
        say!("{count} matches; {} {comment}", hex(end.status));
    });
    Ok(is_well)
}

fn asked(args: &FindArgs) -> Result<Keys> {
    let mut keys = Keys::read(&args.keys)?;
    let only_typed = args.only;
    if args.model == Model::Worklist {
        if args.level.is_some() {
            bail!("a worklist has no level");
        }
        if !only_typed {
            for name in WORKLIST {
                add(&mut keys, name)?;
            }
        }
        return Ok(keys);
    }
    let level = args.level.unwrap_or(if args.model == Model::Patient { Level::Patient } else { Level::Study });
    if level == Level::Patient && args.model == Model::Study {
        bail!("the study root model has no PATIENT level; take --model patient");
    }
    keys::set_level(&mut keys, level)?;
    let by_level = ASKED.iter().find(|(of, _)| *of == level).map(|(_, tags)| *tags).unwrap_or_default();
    for tag in by_level.iter().filter(|_| !only_typed) {
        keys.or(Tag((tag >> 16) as u16, (tag & 0xFFFF) as u16), "")?;
    }
    Ok(keys)
}

/// Asks for an attribute, where nobody has named it.
fn add(keys: &mut Keys, name: &str) -> Result<()> {
    let path = kluis_dicom::query::parse_path(name)?;
    let mut place = Some(&keys.0);
    for sequence in path.iter().take(path.len().saturating_sub(1)) {
        let items = place.and_then(|attributes| attributes.get(&keys::name(*sequence))?.get("Value")?.get(0));
        place = items.and_then(Value::as_object);
    }
    let is_there = path.last().is_some_and(|tag| place.is_some_and(|place| place.contains_key(&keys::name(*tag))));
    if is_there { Ok(()) } else { keys.set(&path, "") }
}

/// One line for each attribute, sequences indented.
fn print(found: &Map<String, Value>) {
    let mut open: Vec<(usize, &Map<String, Value>, Vec<&String>)> = vec![(0, found, found.keys().rev().collect())];
    while let Some((depth, attributes, mut names)) = open.pop() {
        let Some(name) = names.pop() else { continue };
        let attribute = attributes.get(name);
        open.push((depth, attributes, names));
        let Some(attribute) = attribute else { continue };
        let number = u32::from_str_radix(name, 16).unwrap_or_default();
        let tag = Tag((number >> 16) as u16, (number & 0xFFFF) as u16);
        let keyword = dictionary::keyword(tag).unwrap_or("?");
        let indent = "  ".repeat(depth);
        if attribute.get("vr").and_then(Value::as_str) == Some("SQ") {
            say!("{indent}{keyword}");
            let items = attribute.get("Value").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for item in items.iter().rev().filter_map(Value::as_object) {
                open.push((depth.saturating_add(1), item, item.keys().rev().collect()));
            }
        } else {
            say!("{indent}{keyword:33} {}", keys::shown(attribute));
        }
    }
    say!("");
}
