//! D01 to D10: what a DICOM service lets a stranger do, proved by keys that nothing has.
//!
//! At most two random AE titles are tried. Nothing is stored, nothing real is retrieved, every association is released or
//! aborted, and a peer that becomes slow is left alone.

use std::time::Duration;

use kluis_dimse::{
    command::Status,
    pdu::{AssociateAc, ContextResult, RejectResult},
};
use tokio::time::timeout;

use super::peer::Peer;
use crate::{
    fingerprint,
    guard::Refusal,
    scan::{Bucket, Dicom, Level, Product, Proof, words_of_peer},
    wire::{
        association::{Answer, Association, CALLING, Operation, Request, VERIFICATION},
        identifier,
    },
};

const STUDY_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
const STUDY_MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";
const STUDY_GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
const PATIENT_FIND: &str = "1.2.840.10008.5.1.4.1.2.1.1";
const WORKLIST_FIND: &str = "1.2.840.10008.5.1.4.31";
/// A class under 2.25 that nobody has: who takes it takes anything.
const NO_CLASS: &str = "2.25.99311826240459337735164207421346117421";

/// What is asked for in one association (D05), with the words under which it is told. Contexts are numbered in this order.
const OFFERS: [(&str, &str); 14] = [
    (VERIFICATION, "echo"),
    (STUDY_FIND, "find-study"),
    (PATIENT_FIND, "find-patient"),
    (WORKLIST_FIND, "find-worklist"),
    (STUDY_GET, "get-study"),
    (STUDY_MOVE, "move-study"),
    ("1.2.840.10008.5.1.4.1.1.2", "store-ct"),
    ("1.2.840.10008.5.1.4.1.1.4", "store-mr"),
    ("1.2.840.10008.5.1.4.1.1.7", "store-secondary-capture"),
    ("1.2.840.10008.5.1.4.1.1.1.1", "store-digital-x-ray"),
    ("1.2.840.10008.5.1.4.1.1.6.1", "store-ultrasound"),
    ("1.2.840.10008.1.20.1", "commit"),
    ("1.2.840.10008.5.1.4.34.6.1", "procedure-step-push"),
    (NO_CLASS, "no-such-class"),
];

/// An answer may take three times as long as the first, and this much more, before the peer is left alone.
const SLOWER: u32 = 3;
const SLOWER_BY: Duration = Duration::from_millis(100);
/// Matches that are counted, bytes and time that are spent on it.
const COUNT_MAX: u64 = 10_000;
const COUNT_BYTES: usize = 16 << 20;
const COUNT_TIME: Duration = Duration::from_secs(60);

/// What was found out about a DICOM service.
pub(crate) struct Found {
    pub(crate) dicom: Dicom,
    pub(crate) product: Product,
    pub(crate) level: Level,
    pub(crate) read_level: Level,
    pub(crate) proof: Proof,
    pub(crate) studies: Option<Bucket>,
    /// The peer became slow and was left alone.
    pub(crate) is_spared: bool,
}

impl Found {
    fn new() -> Self {
        Self {
            dicom: Dicom::default(),
            product: Product::default(),
            level: Level::E1,
            read_level: Level::E1,
            proof: Proof::Proved,
            studies: None,
            is_spared: false,
        }
    }

    fn reads(&mut self, level: Level) {
        self.read_level = self.read_level.max(level);
        if level >= self.level {
            (self.level, self.proof) = (level, Proof::Proved);
        }
    }

    fn writes(&mut self) {
        if self.level < Level::E5 {
            (self.level, self.proof) = (Level::E5, Proof::Negotiated);
        }
    }

    fn outcome(&mut self, what: &str, outcome: Operation) {
        let text = match outcome {
            Operation::Done(status, _) => format!("status {:04X}", status.0),
            Operation::Stopped(_) => "found something under a key that nothing has".to_owned(),
            Operation::Aborted => "aborted".to_owned(),
            Operation::Silent => "no answer in time".to_owned(),
        };
        self.dicom.outcomes.insert(what.to_owned(), text);
    }

    fn greet(&mut self, accepted: &AssociateAc) {
        let user = &accepted.user;
        let uid = user.implementation_class_uid.as_ref().map(|uid| uid.as_str().to_owned());
        let version = user.implementation_version.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        self.dicom.maximum_length = user.maximum_length;
        self.dicom.implementation_version = version.as_deref().and_then(words_of_peer);
        self.product = fingerprint::dicom(uid.as_deref(), self.dicom.implementation_version.as_deref());
        self.dicom.implementation_class_uid = uid;
    }
}

/// The request that a stranger would make: a called title that nobody has, and a calling one that nobody knows.
pub(crate) struct Stranger {
    called: String,
    calling: String,
}

impl Stranger {
    pub(crate) fn new() -> Self {
        Self { called: identifier::random_title(), calling: identifier::random_title() }
    }

    /// D01: Verification alone.
    pub(crate) fn request(&self) -> Request<'_> {
        Request { called: &self.called, calling: &self.calling, sop_classes: &[VERIFICATION] }
    }
}

/// Goes on from the first answer that was DICOM. `known` is the AE title that the owner says it has.
pub(crate) async fn check(
    peer: Peer<'_>,
    stranger: &Stranger,
    first: Answer,
    known: Option<&str>,
) -> Result<Found, Refusal> {
    let mut found = Found::new();
    let mut called = stranger.called.as_str();
    let mut answer = first;
    if let Some(rejection) = rejection(&answer) {
        found.dicom.rejection = Some(rejection);
        note_rejection(&mut found.dicom, rejection);
        // the one further attempt: the title that the owner knows it by
        if let Some(known) = known.filter(|_| found.dicom.checks_called_ae == Some(true)) {
            called = known;
            let request = Request { called, ..stranger.request() };
            answer = peer.associate("D03", request).await?;
            if let Some([1, 1, 3]) = self::rejection(&answer) {
                found.dicom.checks_calling_ae = Some(true);
            }
        }
    }
    let Answer::Accepted(association, accepted) = answer else { return Ok(found) };
    found.dicom.checks_called_ae.get_or_insert(false);
    found.dicom.checks_calling_ae = Some(false);
    found.greet(&accepted);
    let Some(first_echo) = echo(*association, &accepted, &mut found).await else { return Ok(found) };
    let slowest = first_echo.saturating_mul(SLOWER).max(first_echo + SLOWER_BY);
    let strangers = Request { called, ..stranger.request() };
    offers(peer, strangers, slowest, &mut found).await?;
    Ok(found)
}

fn rejection(answer: &Answer) -> Option<[u8; 3]> {
    match answer {
        Answer::Rejected(rejected) => Some([rejected.result.code(), rejected.source, rejected.reason]),
        _ => None,
    }
}

/// PS3.8 Table 9-21.
fn note_rejection(dicom: &mut Dicom, rejection: [u8; 3]) {
    match rejection {
        [result, 1, 7] if RejectResult::from(result) == RejectResult::Permanent => dicom.checks_called_ae = Some(true),
        [result, 1, 3] if RejectResult::from(result) == RejectResult::Permanent => dicom.checks_calling_ae = Some(true),
        _ => {}
    }
}

/// Verification, released; how long the answer took. None where it is not answered, and then no more is asked.
async fn echo(mut association: Association, accepted: &AssociateAc, found: &mut Found) -> Option<Duration> {
    let is_taken = |id: u8| accepted.contexts.iter().any(|reply| reply.id == id && is_accepted(reply.result));
    if !is_taken(1) {
        // an association without a context is let in all the same: what else it offers is asked for
        found.reads(Level::E2);
        association.release().await;
        return Some(Duration::ZERO);
    }
    let took = association.echo(1).await;
    found.reads(Level::E2);
    found.dicom.outcomes.insert("echo".to_owned(), took.map_or("not answered", |_| "status 0000").to_owned());
    association.release().await;
    took
}

fn is_accepted(result: ContextResult) -> bool {
    result == ContextResult::Acceptance
}

/// D05 to D10 on one association, and on further ones where an operation ended it.
async fn offers(peer: Peer<'_>, stranger: Request<'_>, slowest: Duration, found: &mut Found) -> Result<(), Refusal> {
    let classes: Vec<&'static str> = OFFERS.iter().map(|(class, _)| *class).collect();
    let request = Request { sop_classes: &classes, ..stranger };
    let Answer::Accepted(association, accepted) = peer.associate("D05", request).await? else { return Ok(()) };
    let contexts = (1..=u8::MAX).step_by(2);
    let taken: Vec<(u8, &str, &str)> = contexts
        .zip(OFFERS)
        .filter(|(id, _)| accepted.contexts.iter().any(|reply| reply.id == *id && is_accepted(reply.result)))
        .map(|(id, (class, word))| (id, class, word))
        .collect();
    for (_, _, word) in &taken {
        match *word {
            "no-such-class" => found.dicom.takes_any_class = true,
            word => found.dicom.offered.push(word.to_owned()),
        }
    }
    // negotiation only: what was agreed to is not done
    if found.dicom.offered.iter().any(|word| word.starts_with("store-")) {
        found.writes();
    }
    let mut standing = Some(*association);
    for (id, class, word) in taken {
        if !matches!(word, "find-study" | "find-patient" | "find-worklist" | "get-study" | "move-study") {
            continue;
        }
        let mut association = match standing.take() {
            Some(association) => association,
            None => match peer.associate(check_of(word), request).await? {
                Answer::Accepted(association, _) => *association,
                _ => return Ok(()),
            },
        };
        if peer.guard.stop().reason().is_some() {
            association.release().await;
            return Err(Refusal::Stopped);
        }
        if is_slow(&mut association, slowest, found).await {
            association.release().await;
            return Ok(());
        }
        let outcome = operate(&mut association, id, class, word, found).await;
        match outcome {
            Operation::Done(..) => standing = Some(association),
            _ => drop(association),
        }
    }
    if let Some(association) = standing {
        count(peer, association, found).await;
    }
    Ok(())
}

fn check_of(word: &str) -> &'static str {
    match word {
        "find-study" => "D06",
        "get-study" | "move-study" => "D09",
        _ => "D07",
    }
}

/// A peer whose answers take much longer than the first one has other work to do.
async fn is_slow(association: &mut Association, slowest: Duration, found: &mut Found) -> bool {
    if !found.dicom.offered.iter().any(|word| word == "echo") {
        return false;
    }
    match association.echo(1).await {
        Some(took) => found.is_spared = took > slowest,
        None => found.is_spared = true,
    }
    found.is_spared
}

/// One operation with a key that nothing has.
async fn operate(association: &mut Association, id: u8, class: &str, word: &str, found: &mut Found) -> Operation {
    let Some(uid) = identifier::impossible_uid() else { return Operation::Aborted };
    let outcome = match word {
        "get-study" => association.get(id, class, &identifier::study(&uid)).await,
        "move-study" => association.r#move(id, class, &identifier::study(&uid), CALLING).await,
        "find-patient" => association.find(id, class, &identifier::patient(&uid), 0).await,
        "find-worklist" => association.find(id, class, &identifier::worklist(&uid), 0).await,
        _ => association.find(id, class, &identifier::study(&uid), 0).await,
    };
    found.outcome(word, outcome);
    let is_search = word.starts_with("find-");
    match outcome {
        Operation::Done(Status::SUCCESS, 0) => found.reads(if is_search { Level::E3 } else { Level::E5 }),
        Operation::Stopped(_) if is_search => {
            found.dicom.ignores_keys = true;
            found.reads(Level::E3);
        }
        // an unknown destination: who is known as one would have been sent it
        Operation::Done(..) | Operation::Stopped(_) | Operation::Aborted | Operation::Silent => {}
    }
    outcome
}

/// D08: only where the scope allows it, and only how many answers came is kept.
async fn count(peer: Peer<'_>, mut association: Association, found: &mut Found) {
    let is_open = found.dicom.outcomes.get("find-study").is_some_and(|outcome| outcome == "status 0000");
    if !is_open || !peer.guard.scope().file().allow_count {
        association.release().await;
        return;
    }
    association.take_up_to(COUNT_BYTES);
    let everything = identifier::every_study();
    let counting = association.find(3, STUDY_FIND, &everything, COUNT_MAX);
    let outcome = tokio::select! {
        biased;
        () = peer.guard.stop().wait() => return,
        outcome = timeout(COUNT_TIME, counting) => outcome,
    };
    let counted = match outcome {
        Ok(Operation::Done(Status::SUCCESS, count) | Operation::Stopped(count)) => Some(count),
        _ => None,
    };
    if let Some(count) = counted {
        found.studies = Some(Bucket::of(count));
        found.reads(Level::E4);
    }
    if let Ok(Operation::Done(..)) = outcome {
        association.release().await;
    }
}
