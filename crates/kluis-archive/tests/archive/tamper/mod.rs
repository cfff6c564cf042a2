//! Thousands of manipulations of a whole archive, each one found, with its place, and undone.
//!
//! `KLUIS_TAMPER` is how many (a few hundred without it), `KLUIS_TAMPER_SEED` makes a run again.

mod ledger;
mod packs;
mod rows;
mod stage;
mod wanted;

use std::collections::BTreeMap;

use kluis_archive::{Finding, Place};
use kluis_testkit::random::Random;

use self::{packs::Manipulation, stage::Stage, wanted::Wanted};

/// Manipulations where nothing else is asked for.
const COUNT: usize = 250;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_manipulation_is_found_and_located() {
    let count = number("KLUIS_TAMPER").map_or(COUNT, |count| count as usize);
    let seed = number("KLUIS_TAMPER_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("{count} manipulations, KLUIS_TAMPER_SEED={seed}");
    let stage = Stage::build().await;
    let clean = stage.look(|_| {}, stage.notes.clone()).await.unwrap();
    assert!(clean.report.findings.is_empty(), "{:?}", clean.report.findings);
    stage.restore();

    let kinds: Vec<&(&str, Manipulation)> = packs::KINDS.iter().chain(ledger::KINDS).chain(rows::KINDS).collect();
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let mut missed = Vec::new();
    let mut round = 0;
    while done.values().sum::<usize>() < count {
        let (name, manipulate) = kinds[round % kinds.len()];
        let mut random = Random::new(seed, &format!("{name} {round}"));
        round += 1;
        let is_live = random.below(2) == 0 && (name.starts_with("pack") || name.contains("tile or bundle"));
        let mut wanted = None;
        let looked = if is_live {
            stage.look(|stage| wanted = manipulate(stage, &mut random), Vec::new()).await
        } else {
            wanted = manipulate(&stage, &mut random);
            stage.look(|_| {}, Vec::new()).await
        };
        if let Some(wanted) = wanted {
            *done.entry(name).or_default() += 1;
            let findings = places(&stage, looked, &wanted);
            let lost: Vec<&Wanted> =
                wanted.iter().filter(|wanted| !findings.iter().any(|(_, place)| wanted.is(place))).collect();
            if !lost.is_empty() {
                eprintln!("round {round}, {name}, live: {is_live}: not found {lost:?} among {findings:?}");
                missed.push(name);
            }
        }
        stage.restore();
        assert!(round < count * 20 + kinds.len() * 20, "the kinds find nothing to do: {done:?}");
    }
    for (name, count) in &done {
        println!("{count:6}  {name}");
    }
    assert!(missed.is_empty(), "not found or not located: {missed:?}");
}

/// What was told, with its places: findings, the refusal of a store, and what the start mended.
fn places(stage: &Stage, looked: Result<stage::Seen, stage::Refusal>, wanted: &[Wanted]) -> Vec<(String, Place)> {
    let seen = match looked {
        Ok(seen) => seen,
        Err(refusal) => {
            let place = Place { entry: refusal.departed, ..(*refusal.place).clone() };
            let departed = refusal.departed.map(|_| ("departed".to_owned(), place));
            return std::iter::once((refusal.what, *refusal.place)).chain(departed).collect();
        }
    };
    let mut all: Vec<(String, Place)> =
        seen.report.findings.into_iter().map(|Finding { what, place, .. }| (what, place)).collect();
    for pack in seen.cuts {
        all.push(("cut at the start".to_owned(), Place { pack: Some(pack), offset: Some(0), ..Place::default() }));
    }
    if all.is_empty() && seen.report.renewed_tiles > 0 {
        // the journal still had the entries: the files are again what they were
        for log in ["objects", "audit"].into_iter().filter(|log| is_mended(stage, log)) {
            let place = Place { log: Some(log), ..Place::default() };
            if wanted.iter().any(|wanted| wanted.is(&place)) {
                all.push(("written anew at the start".to_owned(), place));
            }
        }
    }
    // an older checkpoint takes nothing from the log: its entries are told as not yet signed, and are signed again
    if all.is_empty() {
        let behind = seen.report.checkpoints.iter().filter(|head| head.unsigned > 1);
        all.extend(behind.map(|head| ("not signed".to_owned(), Place { log: Some(head.log), ..Place::default() })));
    }
    all
}

/// Whether the tiles of a log are those that were there.
fn is_mended(stage: &Stage, log: &str) -> bool {
    let now = stage.files();
    let mut tiles = stage.pristine.iter().filter(|(path, _)| path.starts_with(format!("{log}/tile")));
    tiles.all(|(path, bytes)| now.get(path) == Some(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_back_as_a_whole_is_found_by_a_kept_checkpoint() {
    let stage = Stage::build().await;
    stage.roll_back(|_| true);
    let seen = stage.look(|_| {}, Vec::new()).await.unwrap();
    assert!(seen.report.findings.is_empty(), "nothing inside can know: {:?}", seen.report.findings);
    let seen = stage.look(|_| {}, stage.notes.clone()).await.unwrap();
    for log in ["objects", "audit"] {
        let of_log = |finding: &&Finding| finding.place.log == Some(log);
        let found: Vec<&Finding> = seen.report.findings.iter().filter(of_log).collect();
        assert_eq!(found.len(), 1, "{:?}: {}", seen.report.findings, ledger::EVERYTHING);
        assert!(found[0].what.contains("ROLLED BACK"), "{found:?}");
        // what is under the saved checkpoint cannot be under the one of now
        assert_eq!(found[0].place.entry.map(|entry| entry >= ledger::size(&stage.old, log)), Some(true), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_index_is_brought_forward() {
    let stage = Stage::build().await;
    stage.roll_back(|path| path == std::path::Path::new("index.db"));
    let seen = stage.look(|_| {}, stage.notes.clone()).await.unwrap();
    assert!(seen.replayed.records > 100, "{:?}", seen.replayed);
    assert!(seen.report.findings.is_empty(), "{}: {:?}", rows::OLD_INDEX, seen.report.findings);
}
