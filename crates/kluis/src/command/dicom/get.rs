//! `kluis dicom get` (PS3.7 9.1.3): objects come on the same association and become files.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use kluis_dicom::{
    Uid,
    file_meta::{self, FileMeta},
    implementation,
    sop_class::{self, SopClassKind},
    transfer_syntax,
};
use kluis_dimse::{
    Outcome, StoreRequest, StoreSink,
    command::Status,
    pdu::RoleSelection,
    requestor::{Offer, Progress, Receiver},
};

use super::{
    connect::{Peer, encoding, plain_offer},
    keys, transfer,
};
use crate::{cli::GetArgs, command::Output};

/// Contexts for objects beside that of the request.
const OBJECT_CONTEXTS: usize = 127;

/// SOP classes whose objects often come compressed.
const COMPRESSED_CLASSES: &[&str] = &[
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.2",
    "1.2.840.10008.5.1.4.1.1.12.1",
];

/// JPEG baseline, JPEG lossless, JPEG-LS lossless, JPEG 2000 lossless.
const COMPRESSIONS: &[&str] =
    &["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"];

pub(super) async fn run(args: &GetArgs, output: &Output) -> Result<bool> {
    let peer = Peer::new(&args.connect)?;
    let keys = keys::retrieval(&args.keys, args.level, args.model)?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let class = args.model.get_class()?;
    let objects = object_offers(&args.sop_class, &args.transfer_syntax)?;
    let mut roles: Vec<RoleSelection> = Vec::new();
    for offer in &objects {
        if !roles.iter().any(|role| role.sop_class == offer.abstract_syntax) {
            roles.push(RoleSelection { sop_class: offer.abstract_syntax.clone(), is_scu: true, is_scp: true });
        }
    }
    let contexts = std::iter::once(plain_offer(class)?).chain(objects).collect();
    let mut link = peer.associate(contexts, roles).await?;
    let context = link.context_of(&class.parse()?)?;
    let (syntax, encoding) = encoding(&link, context)?;
    let mut files = Files { folder: args.out.clone() };
    let mut getting = link.get(context, &keys.write(encoding)).await?;
    let bar = transfer::bar(output);
    let ended = loop {
        match getting.next(&mut files).await? {
            Progress::Pending(counts) => transfer::show(&bar, counts),
            Progress::End { answer, counts, failed } => break (answer, counts, failed),
        }
    };
    bar.finish_and_clear();
    link.release().await?;
    let (answer, counts, failed) = ended;
    Ok(transfer::print(&answer, counts, transfer::failed_uids(&syntax, failed), output))
}

/// Contexts for what may come: the named classes and syntaxes; else those images that often come compressed also so, and every
/// storage class that there is room for in the two plain syntaxes.
fn object_offers(classes: &[String], syntaxes: &[String]) -> Result<Vec<Offer>> {
    let plain: [Uid; 2] =
        [transfer_syntax::EXPLICIT_LITTLE_ENDIAN.parse()?, transfer_syntax::IMPLICIT_LITTLE_ENDIAN.parse()?];
    let mut offers = Vec::new();
    let mut offer = |class: &str, transfer_syntaxes: Vec<Uid>| -> Result<()> {
        let abstract_syntax = class.parse().with_context(|| format!("`{class}` is no UID"))?;
        if offers.len() < OBJECT_CONTEXTS {
            offers.push(Offer { abstract_syntax, transfer_syntaxes });
        }
        Ok(())
    };
    let is_named = !classes.is_empty() || !syntaxes.is_empty();
    let compressed: Vec<&str> = match classes {
        [] => COMPRESSED_CLASSES.to_vec(),
        classes => classes.iter().map(String::as_str).collect(),
    };
    let compressions: Vec<&str> = match syntaxes {
        [] => COMPRESSIONS.to_vec(),
        syntaxes => syntaxes.iter().map(String::as_str).collect(),
    };
    for class in &compressed {
        for syntax in &compressions {
            offer(class, vec![syntax.parse().with_context(|| format!("`{syntax}` is no UID"))?])?;
        }
        offer(class, plain.to_vec())?;
    }
    if !is_named {
        let rest =
            sop_class::all().filter(|class| class.kind == SopClassKind::Storage && !compressed.contains(&class.uid));
        for class in rest {
            offer(class.uid, plain.to_vec())?;
        }
    }
    Ok(offers)
}

/// Writes each object to a file named by its UID; nothing that is there is replaced.
struct Files {
    folder: PathBuf,
}

impl Receiver for Files {
    type Sink = FileSink;

    async fn begin(&mut self, request: StoreRequest) -> Result<FileSink, Outcome> {
        FileSink::create(&self.folder, &request).map_err(|error| failure(&error))
    }
}

/// A file that is being written.
struct FileSink {
    path: PathBuf,
    unfinished: PathBuf,
    file: fs::File,
}

impl FileSink {
    fn create(folder: &Path, request: &StoreRequest) -> std::io::Result<Self> {
        // a UID is digits and dots: no part of a path that leads elsewhere
        let path = folder.join(format!("{}.dcm", request.sop_instance));
        let unfinished = folder.join(format!("{}.part", request.sop_instance));
        if path.exists() {
            return Err(std::io::ErrorKind::AlreadyExists.into());
        }
        let file = fs::File::create_new(&unfinished)?;
        // from here on the unfinished file is ours, and goes with this
        let mut sink = Self { path, unfinished, file };
        sink.file.write_all(&file_meta::write(&FileMeta {
            sop_class: &request.sop_class,
            sop_instance: &request.sop_instance,
            transfer_syntax: &request.transfer_syntax,
            source_ae: None,
            implementation_class: &implementation::class_uid(),
            implementation_version: implementation::VERSION_NAME,
        }))?;
        Ok(sink)
    }
}

impl StoreSink for FileSink {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Outcome> {
        self.file.write_all(bytes).map_err(|error| failure(&error))
    }

    async fn finish(self) -> Outcome {
        match self.file.sync_all().and_then(|()| fs::rename(&self.unfinished, &self.path)) {
            Ok(()) => Status::SUCCESS.into(),
            Err(error) => failure(&error),
        }
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        // gone where it was finished
        let _ = fs::remove_file(&self.unfinished);
    }
}

fn failure(error: &std::io::Error) -> Outcome {
    let (status, comment) = match error.kind() {
        std::io::ErrorKind::AlreadyExists => (Status::PROCESSING_FAILURE, "there is a file of that name"),
        std::io::ErrorKind::StorageFull => (Status::OUT_OF_RESOURCES, "the disk is full"),
        _ => (Status::PROCESSING_FAILURE, "the file cannot be written"),
    };
    Outcome { status, comment: Some(comment.into()) }
}
