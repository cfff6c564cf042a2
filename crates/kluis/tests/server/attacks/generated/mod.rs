//! Generated inputs over three doors at once: C-STORE, STOW-RS and import. No crash, no late answer, bounded memory, and
//! what was acknowledged comes back byte for byte.
//!
//! `KLUIS_HOSTILE_INPUTS=100000 KLUIS_HOSTILE_SEED=7` makes it longer or other; `cargo xtask hostile 100000` sets both.

mod doors;
mod inputs;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;

use self::{
    doors::{Answer, Association, Identity, import},
    inputs::{Input, input, mutated},
};
use super::hostile::{forget_peak, peak};
use crate::support::{
    Server,
    dicomweb::{data_set, find, get, multipart, retrieve},
};

/// Beyond the size of what is under way.
const MEMORY_ALLOWED: u64 = 64 << 20;
const TIME_ALLOWED: Duration = Duration::from_secs(2);
/// Inputs of one door between two looks at memory and at what was acknowledged.
const BATCH: u32 = 4 * inputs::KIND_COUNT;
/// How many in CI.
const INPUTS: u32 = 1_500;

fn asked<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What one input came to.
struct Outcome {
    number: u32,
    took: Duration,
    acknowledged: Vec<Acknowledged>,
}

/// An object that the node says it keeps.
struct Acknowledged {
    /// Where it can be retrieved.
    path: String,
    expected: Expected,
}

enum Expected {
    /// The data set that was sent.
    Exactly(Vec<u8>),
    /// Some stretch of what was sent: where a header or frame was changed, only the node can say where the object begins.
    Within(Vec<u8>),
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_inputs_do_no_harm_over_three_doors() -> Result<()> {
    let (inputs, seed) = (asked("KLUIS_HOSTILE_INPUTS", INPUTS), asked("KLUIS_HOSTILE_SEED", 1_u64));
    println!("{inputs} inputs of seed {seed}");
    let server = Server::start()?;
    let run = Run {
        http: server.http()?,
        token: server.token("admin")?,
        identity: Identity::device(&server, &server.device("SENDER", "store")?, "SENDER")?,
        server,
        seed,
    };
    let (begun, pid) = (Instant::now(), run.server.pid()?);
    let mut summary = Summary::default();
    let mut first = 0;
    while first < inputs {
        let last = (first + 3 * BATCH).min(inputs);
        run.batch(first..last, &mut summary)
            .await
            .with_context(|| format!("inputs {first} to {last} of seed {seed}"))?;
        first = last;
    }
    ensure!(run.server.pid()? == pid, "the node is another process");
    let log = std::fs::read_to_string(run.server.log())?;
    ensure!(!log.contains("panicked"), "the node panicked: {log}");
    println!("{inputs} inputs of seed {seed} in {:.0} s: {summary}", begun.elapsed().as_secs_f64());
    for (door, kept) in &summary.acknowledged {
        ensure!(*kept > 0, "nothing was acknowledged over {door}: the inputs are all refused");
    }
    ensure!(summary.acknowledged.len() == 3 && summary.refused > 0, "{summary}");
    let report = run.server.command(&["verify", "--full"])?;
    ensure!(report["findings"].as_array().is_some_and(Vec::is_empty), "{report}");
    Ok(())
}

#[derive(Default)]
struct Summary {
    acknowledged: BTreeMap<&'static str, u64>,
    refused: u64,
    slowest: Duration,
    memory: u64,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "acknowledged and given back {:?}, refused {}, slowest answer {:.0} ms, most memory {} MiB over the idle node",
            self.acknowledged,
            self.refused,
            self.slowest.as_secs_f64() * 1e3,
            self.memory >> 20
        )
    }
}

struct Run {
    server: Server,
    http: reqwest::Client,
    token: String,
    identity: Identity,
    seed: u64,
}

impl Run {
    /// The inputs of these numbers, a third over each door.
    async fn batch(&self, numbers: std::ops::Range<u32>, summary: &mut Summary) -> Result<()> {
        let of_door = |door: u32| {
            numbers.clone().filter(move |number| number / inputs::KIND_COUNT % 3 == door).collect::<Vec<_>>()
        };
        forget_peak(&self.server)?;
        let before = peak(&self.server)?;
        let (stored, stowed, imported) =
            tokio::try_join!(self.c_store(of_door(0)), self.stow(of_door(1)), self.import(of_door(2)))?;
        let taken = peak(&self.server)?.saturating_sub(before);
        let biggest = numbers.map(|number| input(self.seed, number).file().len() as u64).max().unwrap_or_default();
        ensure!(taken < 3 * biggest + MEMORY_ALLOWED, "{taken} bytes of memory for inputs of at most {biggest}");
        summary.memory = summary.memory.max(taken);
        for (door, outcomes) in [("C-STORE", stored), ("STOW-RS", stowed), ("import", imported)] {
            for outcome in outcomes {
                ensure!(outcome.took < TIME_ALLOWED, "input {} over {door} took {:?}", outcome.number, outcome.took);
                summary.slowest = summary.slowest.max(outcome.took);
                summary.refused += u64::from(outcome.acknowledged.is_empty());
                for acknowledged in outcome.acknowledged {
                    self.comes_back(&acknowledged)
                        .await
                        .with_context(|| format!("input {} over {door}, acknowledged", outcome.number))?;
                    *summary.acknowledged.entry(door).or_default() += 1;
                }
            }
        }
        let mut association = Association::open(&self.identity, &self.server).await?;
        ensure!(association.echo().await? == 0, "no C-ECHO behind the inputs");
        Ok(())
    }

    async fn c_store(&self, numbers: Vec<u32>) -> Result<Vec<Outcome>> {
        let mut association = Association::open(&self.identity, &self.server).await?;
        let mut outcomes = Vec::new();
        for number in numbers {
            let input = input(self.seed, number);
            // one in eleven comes as a stream of PDUs that was changed on its way
            let is_mutated = number % 11 == 0;
            let stream = association.store(input.transfer_syntax, &input.sop_instance, &input.data_set);
            let stream = if is_mutated { mutated(self.seed, number, &stream) } else { stream };
            let begun = Instant::now();
            let answer = association.answer(&stream, is_mutated).await?;
            let took = begun.elapsed();
            if is_mutated || !matches!(answer, Answer::Status(_)) {
                ensure!(is_mutated, "input {number} ended the association: {answer:?}");
                association = Association::open(&self.identity, &self.server).await?;
            }
            let mut acknowledged = Vec::new();
            if let (Answer::Status(0), false) = (&answer, is_mutated) {
                let found = self.json(&format!("/dicom-web/instances?SOPInstanceUID={}", input.sop_instance)).await?;
                let instance = found.get(0).context("acknowledged, and not found")?;
                let text = |tag: &str| instance[tag]["Value"][0].as_str().unwrap_or_default().to_owned();
                let path = format!(
                    "/dicom-web/studies/{}/series/{}/instances/{}",
                    text("0020000D"),
                    text("0020000E"),
                    text("00080018")
                );
                acknowledged.push(Acknowledged { path, expected: Expected::Exactly(input.data_set) });
            }
            outcomes.push(Outcome { number, took, acknowledged });
        }
        Ok(outcomes)
    }

    async fn stow(&self, numbers: Vec<u32>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for number in numbers {
            let input = input(self.seed, number);
            let body = multipart(&[input.file()]);
            let is_mutated = number % 7 == 0;
            let body = if is_mutated { mutated(self.seed, number, &body) } else { body };
            let begun = Instant::now();
            let request = self.http.post(format!("{}/dicom-web/studies", self.server.https)).bearer_auth(&self.token);
            let request = request
                .header("content-type", "multipart/related; type=\"application/dicom\"; boundary=kluis-test-boundary")
                .header("accept", "application/dicom+json");
            let response = request.body(body.clone()).send().await?;
            let status = response.status();
            let answer: Value = serde_json::from_str(&response.text().await?).unwrap_or_default();
            let took = begun.elapsed();
            ensure!(!status.is_server_error(), "input {number}: {status} {answer}");
            let kept = answer["00081199"]["Value"].as_array().cloned().unwrap_or_default();
            ensure!(
                !kept.is_empty() == matches!(status, StatusCode::OK | StatusCode::ACCEPTED),
                "input {number}: {status} {answer}"
            );
            let mut acknowledged = Vec::new();
            for item in kept {
                let url = item["00081190"]["Value"][0].as_str().context("no URL")?;
                let path = url.trim_start_matches(&self.server.https).to_owned();
                let expected = if is_mutated { Expected::Within(body.clone()) } else { expected(&input) };
                acknowledged.push(Acknowledged { path, expected });
            }
            outcomes.push(Outcome { number, took, acknowledged });
        }
        Ok(outcomes)
    }

    async fn import(&self, numbers: Vec<u32>) -> Result<Vec<Outcome>> {
        let socket = self.server.data().join("run/control.sock");
        let mut outcomes = Vec::new();
        for number in numbers {
            let input = input(self.seed, number);
            let begun = Instant::now();
            let (status, answer) = import(&socket, &input.file()).await.with_context(|| format!("input {number}"))?;
            let took = begun.elapsed();
            ensure!(matches!(status, 200 | 409), "input {number}: {status} {answer}");
            let mut acknowledged = Vec::new();
            if status == 200 {
                let study = answer["study"].as_str().context("no study")?;
                acknowledged
                    .push(Acknowledged { path: format!("/dicom-web/studies/{study}"), expected: expected(&input) });
            }
            outcomes.push(Outcome { number, took, acknowledged });
        }
        Ok(outcomes)
    }

    async fn comes_back(&self, acknowledged: &Acknowledged) -> Result<()> {
        let files = retrieve(&self.http, &self.server, &self.token, &acknowledged.path).await?;
        let is_there = files.iter().map(|file| data_set(file)).any(|returned| match &acknowledged.expected {
            Expected::Exactly(sent) => returned == sent,
            Expected::Within(sent) => !returned.is_empty() && find(sent, returned).is_some(),
        });
        ensure!(is_there, "{} objects come back, none as it was sent", files.len());
        Ok(())
    }

    async fn json(&self, path: &str) -> Result<Value> {
        Ok(get(&self.http, &self.server, &self.token, path, "application/dicom+json").await?.json().await?)
    }
}

fn expected(input: &Input) -> Expected {
    if input.is_head_whole { Expected::Exactly(input.data_set.clone()) } else { Expected::Within(input.file()) }
}
