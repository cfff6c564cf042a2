//! What is looked at when nothing is going wrong: every promise that was made is kept, and nothing else is there.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use kluis_archive::{Archive, Origin, RetrieveError, VerifyOptions, act};
use kluis_dicom::query::{Level, Query};
use kluis_ledger::{Log, leaf_hash, proof};
use kluis_policy::{Door, Principal, Target};
use kluis_vault::{Position, RecordKind};

use crate::{
    machine::{Machine, Running, chain},
    model::{Item, Model, items},
};

pub const ORIGIN: Origin = Origin { door: Door::Web, peer: None };

/// Everything. The archive must be in good order: nothing is made to fail meanwhile.
pub async fn everything(machine: &Machine, running: &Running, model: &mut Model) {
    visible(&running.archive, model, true).await.unwrap_or_else(|error| panic!("what is kept cannot be read: {error}"));
    running.archive.settle().await.unwrap_or_else(|error| panic!("cannot settle: {}", chain(&error)));
    log("objects", &running.objects, model);
    log("audit", &running.audit, model);
    trail(running, model);
    packs(machine, running, model).await;
    let permit = running.archive.admit(&Principal::Operator, ORIGIN, act::VerifyArchive).await.unwrap();
    let report = running.archive.verify(permit, VerifyOptions { full: true, since: Vec::new() }).await.unwrap();
    assert!(report.findings.is_empty(), "a false alarm: {:?}", report.findings);
}

/// Retrieves and searches all. Whatever comes must be right; `is_strict`: and all must come.
pub async fn visible(archive: &Archive, model: &mut Model, is_strict: bool) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let studies: BTreeSet<&str> = items().iter().map(|item| item.study.as_str()).collect();
    for study in studies {
        for (uid, bytes) in study_bytes(archive, study).await? {
            let item = number(&uid);
            assert!(seen.insert(item), "object {item} is shown twice");
            model.seen(item, &bytes);
        }
    }
    if is_strict {
        model.all_seen(&seen);
    }
    let act = act::Search { level: kluis_policy::Level::Instance };
    let permit = archive.admit(&Principal::Operator, ORIGIN, act).await.map_err(|error| chain(&error))?;
    let found = archive.search(permit, &Query::all(Level::Instance, 100)).await.map_err(|error| chain(&error))?;
    let listed: Vec<usize> = found.matches.iter().map(|row| number(row.instance.as_ref().unwrap().as_str())).collect();
    assert!(
        listed.iter().copied().collect::<BTreeSet<_>>() == seen && listed.len() == seen.len(),
        "{listed:?}, {seen:?}"
    );
    found.complete();
    Ok(())
}

fn number(uid: &str) -> usize {
    items().iter().position(|item: &Item| item.sop_instance == uid).expect("an object that nobody sent")
}

async fn study_bytes(archive: &Archive, study: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let act = act::Retrieve { target: Target::study(study.parse().unwrap()) };
    let permit = archive.admit(&Principal::Operator, ORIGIN, act).await.map_err(|error| chain(&error))?;
    let holding = match archive.holding(permit).await {
        Ok(holding) => holding,
        Err(RetrieveError::NotFound) => return Ok(Vec::new()),
        Err(error) => return Err(chain(&error)),
    };
    let mut all = Vec::new();
    for instance in &holding.instances {
        let reader = archive.open_instance(&holding, instance).await.map_err(|error| chain(&error))?;
        let mut bytes = Vec::new();
        let mut parts = Box::pin(reader.data_set());
        while let Some(part) = parts.next().await {
            bytes.extend_from_slice(&part.map_err(|error| chain(&error))?);
        }
        all.push((instance.ids.sop_instance.as_str().to_owned(), bytes));
    }
    holding.complete();
    Ok(all)
}

/// The signed head goes on from the last one that was seen, and every leaf is proved under it.
fn log(name: &'static str, log: &Log, model: &mut Model) {
    let head = log.checkpoint().unwrap();
    if let Some((size, root)) = model.heads.insert(name, (head.size, head.root)) {
        assert!(size <= head.size, "the {name} log had {size} signed leaves and has {}", head.size);
        let path = log.consistency_proof(size, head.size).unwrap();
        proof::verify_consistency(size, head.size, &path, &root, &head.root).unwrap();
    }
    for index in 0..head.size {
        let leaf = leaf_hash(&log.entry(index).unwrap());
        let path = log.inclusion_proof(index, head.size).unwrap();
        proof::verify_inclusion(&leaf, index, head.size, &path, &head.root).unwrap();
    }
}

/// For each study about which something was acknowledged there is the begin of an act that stored.
fn trail(running: &Running, model: &Model) {
    let stored: BTreeSet<String> = (0..running.audit.size())
        .map(|index| serde_json::from_slice::<serde_json::Value>(&running.audit.entry(index).unwrap()).unwrap())
        .filter(|event| event["act"] == "store" && event["kind"] == "begin")
        .filter_map(|event| event["study"].as_str().map(str::to_owned))
        .collect();
    assert!(stored.len() >= model.studies.len(), "acknowledged, but not in the trail: {stored:?}, {:?}", model.studies);
}

/// Packs, rows and leaves account for each other: no rest of an object that was given up, and each whole object in the
/// packs is a version that the index has, or a second copy of one.
async fn packs(machine: &Machine, running: &Running, model: &Model) {
    let rests: Vec<String> = machine.disk.names().into_iter().filter(|name| name.ends_with(".part")).collect();
    assert!(rests.is_empty(), "rests of objects that were given up: {rests:?}");
    let mut versions: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    let mut count = 0;
    for (item, known) in &model.objects {
        let conflicts = running.index.conflicts(&items()[*item].sop_instance.parse().unwrap()).await.unwrap();
        let aside: BTreeSet<[u8; 32]> = conflicts.iter().map(|conflict| conflict.digest).collect();
        for version in &known.aside {
            assert!(aside.contains(&of(*item, *version)), "object {item}: version {version} is not kept aside");
        }
        count += conflicts.len() + usize::from(known.pinned.is_some());
        let shown = known.pinned.map(|version| of(*item, version));
        versions.extend(aside.into_iter().chain(shown).map(|digest| (digest, *item)));
    }
    assert_eq!(running.objects.size(), count as u64, "one leaf for each version, and no other");
    let mut position = Position::default();
    loop {
        let records = running.vault.vault.scan(position, 256).await.unwrap();
        let Some((last, _)) = records.last() else { break };
        position = last.end();
        for (location, header) in records {
            if header.kind == RecordKind::Manifest {
                continue;
            }
            let key = running.study_keys.get(header.key).await.unwrap().expect("a study key is lost");
            let object = running.vault.vault.open(location, &key).await.unwrap();
            let bytes = object.read(0..object.plain_len()).await.unwrap();
            let digest = *blake3::hash(&bytes).as_bytes();
            assert!(versions.contains_key(&digest), "{location}: an orphan in the packs");
        }
    }
}

fn of(item: usize, version: usize) -> [u8; 32] {
    *blake3::hash(&items()[item].data_sets[version]).as_bytes()
}
