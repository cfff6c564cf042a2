//! `kluis dicom send` (PS3.7 9.1.1): files, folders and ZIP files, each object in the transfer syntax it has where the peer
//! takes that.

use std::sync::Arc;

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use kluis_dicom::{Uid, transcode, transfer_syntax};
use kluis_dimse::{
    command::Status,
    requestor::{Answer, Stored, offers},
};
use serde_json::{Value, json};

use super::{
    connect::{Link, Peer},
    hex,
    object::FileObject,
};
use crate::{
    cli::SendArgs,
    command::{Output, import::progress, sources::Collected, zip_shelf::ZipShelf},
    say::say,
};

/// Kinds of objects in one association: three contexts each at most.
const KINDS: usize = 42;

/// What became of the files.
#[derive(Debug, Default)]
struct Report {
    sent: u64,
    warnings: Vec<(String, String)>,
    failed: Vec<(String, String)>,
    skipped: Vec<(String, &'static str)>,
}

pub(super) async fn run(args: &SendArgs, output: &Output) -> Result<bool> {
    let peer = Peer::new(&args.connect)?;
    let shelf = Arc::new(ZipShelf::default());
    let Collected { sources, skipped, failed } = Collected::from(&args.paths)?;
    let mut report = Report { skipped, failed, ..Report::default() };
    let bar = progress(sources.len() as u64, output);
    let objects = survey(sources, &shelf, &mut report, &bar).await;
    let mut kinds: Vec<(Uid, Uid)> = Vec::new();
    for object in &objects {
        let kind = (object.sop_class.clone(), object.transfer_syntax.clone());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let mut lost = None;
    for kinds in kinds.chunks(KINDS) {
        let is_of = |object: &&FileObject| {
            kinds.iter().any(|(class, syntax)| *class == object.sop_class && *syntax == object.transfer_syntax)
        };
        let mut link = peer.associate(offers(kinds.iter()), Vec::new()).await?;
        if let Err(error) = send_all(&mut link, objects.iter().filter(is_of), &shelf, &mut report, &bar).await {
            lost = Some(error);
            break;
        }
        link.release().await?;
    }
    bar.finish_and_clear();
    report.print(output);
    match lost {
        Some(error) => Err(error),
        None => Ok(report.failed.is_empty()),
    }
}

async fn survey(
    sources: impl IntoIterator<Item = crate::command::sources::Source>,
    shelf: &Arc<ZipShelf>,
    report: &mut Report,
    bar: &ProgressBar,
) -> Vec<FileObject> {
    let mut objects = Vec::new();
    for source in sources {
        let name = source.name();
        match FileObject::survey(source, shelf).await {
            Ok(object) => objects.push(object),
            Err(error) => {
                report.failed.push((name, format!("{error:#}")));
                bar.inc(1);
            }
        }
    }
    objects
}

async fn send_all(
    link: &mut Link,
    objects: impl Iterator<Item = &FileObject>,
    shelf: &Arc<ZipShelf>,
    report: &mut Report,
    bar: &ProgressBar,
) -> Result<()> {
    for object in objects {
        match send(link, object, shelf).await {
            Ok(Ok(answer)) => report.note(object, &answer),
            Ok(Err(why)) => report.failed.push((object.source.name(), why)),
            Err(error) => {
                report.failed.push((object.source.name(), format!("{error:#}")));
                return Err(error);
            }
        }
        bar.inc(1);
    }
    Ok(())
}

/// Sends one object. The inner error is about it alone, the outer one about the association.
async fn send(link: &mut Link, object: &FileObject, shelf: &Arc<ZipShelf>) -> Result<Result<Answer, String>> {
    let chosen = [
        object.transfer_syntax.as_str(),
        transfer_syntax::EXPLICIT_LITTLE_ENDIAN,
        transfer_syntax::IMPLICIT_LITTLE_ENDIAN,
    ]
    .into_iter()
    .filter(|to| *to == object.transfer_syntax.as_str() || transcode::is_possible(object.transfer_syntax.as_str(), to))
    .find_map(|to| {
        let to: Uid = to.parse().ok()?;
        link.context_for(&object.sop_class, &to).map(|context| (context, to))
    });
    let Some((context, transfer_syntax)) = chosen else {
        return Ok(Err(format!(
            "the peer takes no {} in transfer syntax {}",
            kluis_dicom::sop_class::lookup(object.sop_class.as_str())
                .map_or(object.sop_class.as_str(), |class| class.name),
            object.transfer_syntax
        )));
    };
    let body = match object.body(&transfer_syntax, shelf).await {
        Ok(Some(body)) => body,
        Ok(None) => return Ok(Err("it would have to be decompressed".to_owned())),
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    match link.store(context, &object.sop_instance, None, body).await {
        Ok(Stored::Answered(answer)) => Ok(Ok(answer)),
        Ok(Stored::Unreadable) => Ok(Err("it cannot be read".to_owned())),
        Err(error) => bail!(error),
    }
}

impl Report {
    fn note(&mut self, object: &FileObject, answer: &Answer) {
        let told = || match &answer.comment {
            Some(comment) => format!("{} {comment}", hex(answer.status)),
            None => hex(answer.status),
        };
        match answer.status {
            Status::SUCCESS => self.sent += 1,
            status if status.is_failure() => self.failed.push((object.source.name(), told())),
            _ => {
                self.sent += 1;
                self.warnings.push((object.source.name(), told()));
            }
        }
    }

    fn print(&self, output: &Output) {
        let pairs = |of: &[(String, String)]| -> Vec<Value> {
            of.iter().map(|(path, answer)| json!({ "path": path, "answer": answer })).collect()
        };
        let skipped: Vec<Value> =
            self.skipped.iter().map(|(path, why)| json!({ "path": path, "reason": why })).collect();
        let document = json!({ "sent": self.sent, "warnings": pairs(&self.warnings), "failed": pairs(&self.failed),
            "skipped": skipped });
        output.print(&document, || {
            for (word, list) in [("warning", &self.warnings), ("failed ", &self.failed)] {
                for (path, answer) in list {
                    say!("{word}  {path}: {answer}");
                }
            }
            for (path, why) in &self.skipped {
                say!("skipped  {path}: {why}");
            }
            say!("{} sent, {} failed, {} skipped", self.sent, self.failed.len(), self.skipped.len());
        });
    }
}
