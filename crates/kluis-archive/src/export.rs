//! Export: a whole study as a stream of files, with the lines of a proof bundle where wanted.
//!
//! Constant memory: an object is read, hashed and handed on in pieces. Every file is the stored data set, byte for byte,
//! behind a file meta group made anew. Names of files are counted and say nothing about the patient.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt as _;
use kluis_keys::{KeyId, ObjectId, StudyKey};
use kluis_ledger::{Checkpoint, ExportStatement, Hash, LedgerError};
use kluis_policy::Target;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::{
    Archive, ArchiveError, Disclosed, Inner, Instance, InstanceReader, Outcome, Permit, RetrieveError,
    act::Export,
    proof::{ClosingLine, HeadLine, LeafProof, ObjectLine, Opening, PartHasher, base64, base64_of},
    record::Leaf,
};

/// Pieces that wait for the consumer.
const AHEAD: usize = 4;

/// Leaves read in one step.
const LEAVES_STEP: u64 = 4_096;

/// What an export is made of, in order.
pub enum ExportPiece {
    /// What will come: how many files, and how many bytes of data sets.
    Begin {
        /// Files.
        objects: u64,
        /// Bytes of their data sets.
        bytes: u64,
    },
    /// A file begins.
    File {
        /// Its path: directories and a name of `A-Z0-9`, at most 8 characters each (PS3.10 8.2).
        path: String,
        /// Its length in bytes.
        length: u64,
    },
    /// The next bytes of the file.
    Data(Bytes),
    /// A line of the proof bundle, without its line end.
    Proof(Vec<u8>),
    /// Nothing is missing.
    End,
}

/// An export on its way. Dropped before [`ExportPiece::End`] it is recorded as interrupted.
pub struct ExportStream(mpsc::Receiver<Result<ExportPiece, ArchiveError>>);

impl ExportStream {
    /// The next piece; `None` behind the end.
    pub async fn next(&mut self) -> Option<Result<ExportPiece, ArchiveError>> {
        self.0.recv().await
    }
}

impl Archive {
    /// Exports the study of the permit: its visible versions as files; other versions stand in the proof only.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`] where there is no such study. What cannot be read comes as an error in the stream.
    pub async fn export(&self, permit: Permit<Export>, with_proof: bool) -> Result<ExportStream, RetrieveError> {
        match self.content(&permit, with_proof).await {
            Ok(content) if content.instances.is_empty() => {
                permit.finish(Outcome::Absent);
                Err(RetrieveError::NotFound)
            }
            Ok(content) => {
                let (sender, receiver) = mpsc::channel(AHEAD);
                let content = permit.disclose(content);
                tokio::spawn(run(Arc::clone(&self.inner), content, sender));
                Ok(ExportStream(receiver))
            }
            Err(error) => {
                permit.finish(Outcome::Failed);
                Err(error.into())
            }
        }
    }

    async fn content(&self, permit: &Permit<Export>, with_proof: bool) -> Result<Content, ArchiveError> {
        let study = permit.act().study.clone();
        let target = Target::study(study.clone());
        if !with_proof {
            let instances = self.instances(permit.rows(), &target).await?;
            return Ok(Content { instances, others: Vec::new(), evidence: None });
        }
        let inner = &self.inner;
        // nothing is between pack, index and log: else the log could name an object that the list does not hold yet
        let (instances, others, head) = {
            let _quiet = inner.ingest.write().await;
            inner.append_leaves(Vec::new())?;
            let instances = self.instances(permit.rows(), &target).await?;
            let others = inner.index.conflicts_of(&study).await?.into_iter().map(Instance::from_conflict).collect();
            let log = Arc::clone(&inner.objects);
            let head =
                tokio::task::spawn_blocking(move || log.checkpoint()).await.map_err(|_| ArchiveError::Stopped)?;
            (instances, others, head?)
        };
        let key_id = self.study_key_id(&study);
        let key = inner.study_keys.get(key_id).await?.ok_or(ArchiveError::KeyDestroyed)?;
        let leaves = leaves_of(inner, key_id, head.size).await?;
        let evidence = Some(Evidence { study: study.to_string(), key, head, leaves });
        Ok(Content { instances, others, evidence })
    }
}

/// What is exported.
struct Content {
    instances: Vec<Instance>,
    /// Versions that are not visible.
    others: Vec<Instance>,
    evidence: Option<Evidence>,
}

struct Evidence {
    study: String,
    key: Arc<StudyKey>,
    head: Checkpoint,
    leaves: Leaves,
}

type Leaves = HashMap<ObjectId, (u64, Vec<u8>)>;

/// All leaves of a study. Leaves are not indexed: the log is read through once.
async fn leaves_of(inner: &Inner, study: KeyId, size: u64) -> Result<Leaves, ArchiveError> {
    let log = Arc::clone(&inner.objects);
    let reading = move || {
        let name = study.to_string();
        let (mut found, mut at) = (Leaves::new(), 0);
        while at < size {
            let end = size.min(at + LEAVES_STEP);
            for (index, entry) in (at..end).zip(log.entries(at..end)?) {
                // most leaves are of other studies, and need not be read as JSON
                let is_named = std::str::from_utf8(&entry).is_ok_and(|text| text.contains(&name));
                if !is_named {
                    continue;
                }
                let leaf: Leaf = serde_json::from_slice(&entry).map_err(|_| ArchiveError::Record)?;
                if leaf.study == name {
                    found.insert(leaf.object, (index, entry));
                }
            }
            at = end;
        }
        Ok(found)
    };
    tokio::task::spawn_blocking(reading).await.map_err(|_| ArchiveError::Stopped)?
}

type Sender = mpsc::Sender<Result<ExportPiece, ArchiveError>>;

/// Why an export ended early.
enum Broken {
    /// Nobody takes it any more.
    Gone,
    Archive(ArchiveError),
}

impl From<ArchiveError> for Broken {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl From<LedgerError> for Broken {
    fn from(error: LedgerError) -> Self {
        Self::Archive(error.into())
    }
}

async fn run(inner: Arc<Inner>, content: Disclosed<Content>, sender: Sender) {
    let mut writer = Writer { inner: &inner, sender: &sender, lines: Vec::new() };
    match writer.write(&content).await {
        Ok(()) => content.complete(),
        Err(Broken::Gone) => drop(content),
        Err(Broken::Archive(error)) => {
            content.fail();
            let _ = sender.send(Err(error)).await;
        }
    }
}

struct Writer<'a> {
    inner: &'a Inner,
    sender: &'a Sender,
    /// Hashes of the lines so far.
    lines: Vec<Hash>,
}

impl Writer<'_> {
    async fn write(&mut self, content: &Content) -> Result<(), Broken> {
        let bytes = content.instances.iter().map(|instance| instance.data_set_length).sum();
        self.send(ExportPiece::Begin { objects: content.instances.len() as u64, bytes }).await?;
        if let Some(evidence) = &content.evidence {
            let key = self.inner.objects.verifier_key();
            let commitment = evidence.key.commitment_key();
            let study = evidence.key.id().to_string();
            self.line(&HeadLine::new(key, study, &evidence.study, commitment.as_slice(), &evidence.head)).await?;
        }
        let mut names = Names::default();
        for instance in &content.instances {
            let path = names.next(instance)?;
            self.object(instance, path, content.evidence.as_ref()).await?;
        }
        let Some(evidence) = &content.evidence else { return self.send(ExportPiece::End).await };
        self.others(content, evidence).await?;
        let statement = self.inner.objects.sign_export(&self.lines)?;
        let line_hashes = base64_of(&self.lines);
        self.line(&ClosingLine { line_hashes, statement }).await?;
        self.send(ExportPiece::End).await
    }

    async fn object(&mut self, instance: &Instance, path: String, evidence: Option<&Evidence>) -> Result<(), Broken> {
        let reader = InstanceReader::open(self.inner, instance, None).await?;
        let file_meta = Bytes::from(reader.file_meta());
        let length = reader.data_set_length();
        let file_length = length.saturating_add(file_meta.len() as u64);
        self.send(ExportPiece::File { path: path.clone(), length: file_length }).await?;
        self.send(ExportPiece::Data(file_meta)).await?;
        let mut hasher = PartHasher::new(reader.outline(), length);
        let mut data_set = std::pin::pin!(reader.data_set());
        while let Some(piece) = data_set.next().await {
            let piece = piece?;
            hasher.update(&piece);
            self.send(ExportPiece::Data(piece)).await?;
        }
        let (digest, parts) = hasher.finish();
        if digest != reader.record().digest {
            return Err(ArchiveError::WrongRecord.into());
        }
        if let Some(evidence) = evidence {
            let leaf = self.leaf(instance.object_id, evidence).await?;
            let opening = Some(Opening::new(reader.record(), instance.object_id, length));
            let line = ObjectLine { state: "exported", file: Some(path), leaf, opening, parts: Some(parts) };
            self.line(&line).await?;
        }
        Ok(())
    }

    /// Versions that are not exported, and leaves of objects that the archive does not hold: a proof leaves nothing out.
    async fn others(&mut self, content: &Content, evidence: &Evidence) -> Result<(), Broken> {
        for instance in &content.others {
            let reader = InstanceReader::open(self.inner, instance, None).await?;
            let leaf = self.leaf(instance.object_id, evidence).await?;
            let opening = Opening::new(reader.record(), instance.object_id, reader.data_set_length());
            self.line(&ObjectLine { state: "conflict", file: None, leaf, opening: Some(opening), parts: None }).await?;
        }
        let mut known: Vec<ObjectId> = content.instances.iter().map(|instance| instance.object_id).collect();
        known.extend(content.others.iter().map(|instance| instance.object_id));
        known.sort_unstable();
        let mut lost: Vec<(u64, ObjectId)> = Vec::new();
        for (object, (index, _)) in &evidence.leaves {
            if known.binary_search(object).is_err() {
                lost.push((*index, *object));
            }
        }
        lost.sort_unstable();
        for (_, object) in lost {
            let leaf = self.leaf(object, evidence).await?;
            self.line(&ObjectLine { state: "lost", file: None, leaf, opening: None, parts: None }).await?;
        }
        Ok(())
    }

    async fn leaf(&self, object: ObjectId, evidence: &Evidence) -> Result<Option<LeafProof>, Broken> {
        let Some((index, entry)) = evidence.leaves.get(&object) else { return Ok(None) };
        let (log, index, size) = (Arc::clone(&self.inner.objects), *index, evidence.head.size);
        let proving = tokio::task::spawn_blocking(move || log.inclusion_proof(index, size));
        let path = proving.await.map_err(|_| ArchiveError::Stopped)??;
        Ok(Some(LeafProof { index, entry: base64(entry), path: base64_of(&path) }))
    }

    async fn line(&mut self, line: &impl Serialize) -> Result<(), Broken> {
        let text = serde_json::to_vec(line).map_err(|_| ArchiveError::Record)?;
        self.lines.push(ExportStatement::line_hash(&text));
        self.send(ExportPiece::Proof(text)).await
    }

    async fn send(&self, piece: ExportPiece) -> Result<(), Broken> {
        self.sender.send(Ok(piece)).await.map_err(|_| Broken::Gone)
    }
}

/// Names of files as PS3.10 8.2 allows them on media: counted, so that nothing of the study stands in them.
#[derive(Default)]
struct Names {
    series: Vec<(kluis_dicom::Uid, u32)>,
}

impl Names {
    fn next(&mut self, instance: &Instance) -> Result<String, ArchiveError> {
        const MOST: u32 = 999_999;
        let series = &instance.ids.series;
        let at = self.series.iter().rposition(|(uid, _)| uid == series).unwrap_or_else(|| {
            self.series.push((series.clone(), 0));
            self.series.len() - 1
        });
        let Some((_, count)) = self.series.get_mut(at) else { return Err(ArchiveError::Record) };
        *count += 1;
        if *count > MOST || at >= MOST as usize {
            return Err(ArchiveError::Record);
        }
        Ok(format!("ST000001/SE{:06}/IM{count:06}", at + 1))
    }
}
