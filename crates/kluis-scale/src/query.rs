//! Queries as QIDO-RS and C-FIND ask them, through the gate, over keys that are there and keys that are not.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use kluis_archive::{Archive, act};
use kluis_dicom::{
    Tag,
    query::{Filter, Level, Matching, Query},
};
use kluis_testkit::random::Random;

use crate::{
    figures::{self, quantile},
    load::Progress,
    names,
    population::{self, Study},
    site,
};

const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
const ACCESSION: Tag = Tag(0x0008, 0x0050);
const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const DESCRIPTION: Tag = Tag(0x0008, 0x1030);
const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const STUDY_UID: Tag = Tag(0x0020, 0x000D);
const SERIES_UID: Tag = Tag(0x0020, 0x000E);
const SOP_UID: Tag = Tag(0x0008, 0x0018);

/// What a C-FIND of a workstation asks to be returned.
const RETURN_KEYS: [Tag; 8] = [
    Tag(0x0008, 0x0030),
    Tag(0x0008, 0x0090),
    DESCRIPTION,
    Tag(0x0010, 0x0030),
    Tag(0x0010, 0x0040),
    Tag(0x0020, 0x0010),
    Tag(0x0020, 0x1206),
    Tag(0x0020, 0x1208),
];

/// One shape of query.
pub struct Shape {
    /// What it is called in the table.
    pub name: &'static str,
    make: fn(&mut Dice) -> Asked,
}

/// A query, and what its answer must be.
pub struct Asked {
    query: Query,
    /// How many rows, where that is known.
    rows: Option<usize>,
    /// A study that must be among them.
    holds: Option<String>,
}

/// Draws keys.
pub struct Dice {
    random: Random,
    progress: Progress,
}

impl Dice {
    fn study(&mut self) -> Study {
        let number = self.random.bits() % self.progress.studies.max(1);
        population::study(self.progress.seed, number)
    }

    fn absent(&mut self) -> Study {
        population::study(self.progress.seed ^ 0xABCD, self.random.bits() % self.progress.studies.max(1))
    }

    fn day(&mut self) -> String {
        self.study().date
    }
}

fn single(tag: Tag, text: &str) -> Filter {
    Filter { path: vec![tag], matching: Matching::Single(text.to_owned()) }
}

fn wild(tag: Tag, text: &str) -> Filter {
    Filter { path: vec![tag], matching: Matching::Wildcard(text.to_owned()) }
}

fn days(from: &str, to: &str) -> Filter {
    let matching = Matching::Range { from: Some(from.to_owned()), to: Some(to.to_owned()) };
    Filter { path: vec![STUDY_DATE], matching }
}

fn asked(filters: Vec<Filter>) -> Asked {
    Asked { query: Query { filters, ..Query::all(Level::Study, 100) }, rows: None, holds: None }
}

fn found(filters: Vec<Filter>, study: Study) -> Asked {
    Asked { holds: Some(study.uid), ..asked(filters) }
}

/// The shapes, as they stand in the measurements.
pub const SHAPES: [Shape; 24] = [
    Shape {
        name: "Patient ID",
        make: |dice| {
            let s = dice.study();
            asked(vec![single(PATIENT_ID, &s.patient_id)])
        },
    },
    Shape {
        name: "Patient ID, absent",
        make: |_| Asked { rows: Some(0), ..asked(vec![single(PATIENT_ID, "99999999")]) },
    },
    Shape {
        name: "Accession Number",
        make: |dice| {
            let s = dice.study();
            found(vec![single(ACCESSION, &s.accession)], s)
        },
    },
    Shape { name: "Accession, absent", make: |_| Asked { rows: Some(0), ..asked(vec![single(ACCESSION, "B1")]) } },
    Shape {
        name: "Accession prefix",
        make: |dice| {
            let s = dice.study();
            asked(vec![wild(ACCESSION, &format!("{}*", s.accession.get(..8).unwrap_or_default()))])
        },
    },
    Shape {
        name: "Study UID",
        make: |dice| {
            let s = dice.study();
            Asked { rows: Some(1), ..found(vec![single(STUDY_UID, &s.uid)], s) }
        },
    },
    Shape {
        name: "Study UID, absent",
        make: |dice| {
            let s = dice.absent();
            Asked { rows: Some(0), ..asked(vec![single(STUDY_UID, &s.uid)]) }
        },
    },
    Shape {
        name: "name prefix, common",
        make: |dice| {
            let rank = dice.random.below(20);
            asked(vec![wild(PATIENT_NAME, &format!("{}*", names::surname(rank)))])
        },
    },
    Shape {
        name: "name prefix, rare",
        make: |dice| {
            let rank = 5_000 + dice.random.below(30_000);
            asked(vec![wild(PATIENT_NAME, &format!("{}*", names::surname(rank)))])
        },
    },
    Shape {
        name: "name prefix, whole name",
        make: |dice| {
            let s = dice.study();
            asked(vec![wild(PATIENT_NAME, &format!("{}*", s.patient_name))])
        },
    },
    Shape {
        name: "name prefix, 3 letters",
        make: |dice| {
            let s = dice.study();
            let three: String = s.patient_name.chars().take(3).collect();
            asked(vec![wild(PATIENT_NAME, &format!("{three}*"))])
        },
    },
    Shape { name: "name prefix, absent", make: |_| Asked { rows: Some(0), ..asked(vec![wild(PATIENT_NAME, "QXZ*")]) } },
    Shape {
        name: "one day",
        make: |dice| {
            let day = dice.day();
            asked(vec![days(&day, &day)])
        },
    },
    Shape {
        name: "one week",
        make: |dice| {
            let day = dice.day();
            let month = day.get(..6).unwrap_or_default().to_owned();
            asked(vec![days(&format!("{month}10"), &format!("{month}16"))])
        },
    },
    Shape {
        name: "one month",
        make: |dice| {
            let day = dice.day();
            let month = day.get(..6).unwrap_or_default().to_owned();
            asked(vec![days(&format!("{month}01"), &format!("{month}31"))])
        },
    },
    Shape { name: "all years", make: |_| asked(vec![days("19900101", "20401231")]) },
    Shape { name: "no key, newest first", make: |_| asked(Vec::new()) },
    Shape {
        name: "page 10 of all",
        make: |_| {
            let mut all = asked(Vec::new());
            all.query.offset = 1_000;
            all
        },
    },
    Shape {
        name: "modality, one day",
        make: |dice| {
            let s = dice.study();
            found(vec![days(&s.date, &s.date), single(MODALITIES_IN_STUDY, s.modality)], s)
        },
    },
    Shape {
        name: "modality, one month",
        make: |dice| {
            let s = dice.study();
            let month = s.date.get(..6).unwrap_or_default().to_owned();
            asked(vec![days(&format!("{month}01"), &format!("{month}31")), single(MODALITIES_IN_STUDY, s.modality)])
        },
    },
    Shape {
        name: "name prefix, three years",
        make: |dice| {
            let s = dice.study();
            let family = s.patient_name.split('^').next().unwrap_or_default().to_owned();
            asked(vec![wild(PATIENT_NAME, &format!("{family}*")), days("20200101", "20221231")])
        },
    },
    Shape {
        name: "name infix",
        make: |dice| {
            let s = dice.study();
            let infix: String = s.patient_name.chars().skip(2).take(6).filter(|c| *c != '^').collect();
            asked(vec![wild(PATIENT_NAME, &format!("*{infix}*"))])
        },
    },
    Shape {
        name: "series of a study",
        make: |dice| {
            let s = dice.study();
            let query = Query { level: Level::Series, study: s.uid.parse().ok(), ..Query::all(Level::Series, 100) };
            Asked { query, rows: usize::try_from(s.series()).ok(), holds: None }
        },
    },
    Shape {
        name: "instances of a study",
        make: |dice| {
            let s = dice.study();
            let query = Query { level: Level::Instance, study: s.uid.parse().ok(), ..Query::all(Level::Instance, 100) };
            Asked { query, rows: usize::try_from(s.instances()).ok(), holds: None }
        },
    },
];

/// Queries by a UID below the study alone, as relational queries ask them.
pub const RELATIONAL: [Shape; 2] = [
    Shape {
        name: "series by its UID alone",
        make: |dice| {
            let s = dice.study();
            let filters = vec![single(SERIES_UID, &s.series_uid(1))];
            Asked { query: Query { filters, ..Query::all(Level::Series, 100) }, rows: Some(1), holds: Some(s.uid) }
        },
    },
    Shape {
        name: "instance by study and its UID",
        make: |dice| {
            let s = dice.study();
            let filters = vec![single(SOP_UID, &s.sop_uid(1, 1))];
            Asked {
                query: Query { filters, study: s.uid.parse().ok(), ..Query::all(Level::Instance, 100) },
                rows: Some(1),
                holds: Some(s.uid),
            }
        },
    },
];

/// Time of one shape.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Half are quicker.
    pub median: Duration,
    /// One in a hundred is slower.
    pub p99: Duration,
    /// The slowest.
    pub slowest: Duration,
    /// Processor time of one, which is the same on a busy machine.
    pub processor: Duration,
    /// Rows of all answers.
    pub rows: u64,
}

/// Asks each shape whose name contains `only` so many times, holds the answers against what must be found, and prints the times.
///
/// # Errors
/// The first answer that is wrong.
pub async fn run(dir: &Path, rounds: usize, seed: u64, only: &str) -> Result<Vec<(&'static str, Timing)>> {
    let progress = Progress::read(dir)?;
    let (archive, _) = site::open(dir, Duration::from_secs(300)).await?;
    let answers = ask_all(&archive, progress, rounds, seed, only).await;
    archive.close().await?;
    answers
}

/// As [`run`], on an archive that is open.
///
/// # Errors
/// The first answer that is wrong.
pub async fn ask_all(
    archive: &Archive,
    progress: Progress,
    rounds: usize,
    seed: u64,
    only: &str,
) -> Result<Vec<(&'static str, Timing)>> {
    println!("{:<32} {:>9} {:>9} {:>9} {:>9} {:>9}", "query", "p50 ms", "p99 ms", "max ms", "cpu ms", "rows");
    let mut all = Vec::new();
    for shape in SHAPES.iter().chain(&RELATIONAL).filter(|shape| shape.name.contains(only)) {
        let mut dice = Dice { random: Random::new(seed, shape.name), progress };
        let mut times = Vec::with_capacity(rounds);
        let mut rows = 0;
        let processor = figures::processor();
        for round in 0..rounds {
            let mut asked = (shape.make)(&mut dice);
            if round % 2 == 1 {
                asked.query.include = RETURN_KEYS.to_vec();
                let universal = |tag: &Tag| Filter { path: vec![*tag], matching: Matching::Universal };
                asked.query.filters.extend(RETURN_KEYS.iter().map(universal));
                asked.query.limit = 101;
            }
            let begun = Instant::now();
            let count = ask(archive, &asked).await.with_context(|| format!("{} (round {round})", shape.name))?;
            times.push(begun.elapsed());
            rows += count as u64;
        }
        times.sort_unstable();
        let timing = Timing {
            median: quantile(&times, 0.5),
            p99: quantile(&times, 0.99),
            slowest: quantile(&times, 1.0),
            processor: (figures::processor() - processor) / u32::try_from(rounds).unwrap_or(1).max(1),
            rows,
        };
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "{:<32} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9}",
            shape.name,
            ms(timing.median),
            ms(timing.p99),
            ms(timing.slowest),
            ms(timing.processor),
            rows
        );
        all.push((shape.name, timing));
    }
    Ok(all)
}

async fn ask(archive: &Archive, asked: &Asked) -> Result<usize> {
    let level = match asked.query.level {
        Level::Study => kluis_policy::Level::Study,
        Level::Series => kluis_policy::Level::Series,
        Level::Instance => kluis_policy::Level::Instance,
    };
    let permit = archive.admit(&site::radiologist(), site::ORIGIN, act::Search { level }).await?;
    let answer = archive.search(permit, &asked.query).await?;
    let count = answer.matches.len();
    if let Some(rows) = asked.rows {
        anyhow::ensure!(count == rows, "{count} rows instead of {rows}");
    }
    if let Some(uid) = &asked.holds {
        let is_there = answer.matches.iter().any(|row| row.study.as_str() == uid);
        anyhow::ensure!(is_there || answer.has_more, "a study is not among the {count} rows");
    }
    answer.complete();
    Ok(count)
}
