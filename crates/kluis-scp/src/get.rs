//! Query/Retrieve service class, provider of C-GET (PS3.4 C.4.3).

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use kluis_archive::{Archive, ArchiveError, Disclosed, Holding, RetrieveError, act};
use kluis_dicom::{Uid, identifier::Identifier, part10::Source, query::Query, transfer_syntax::Encoding};
use kluis_dimse::{Body, GetRequest, Object, Objects, Outcome, Unreadable, association::Context, command::Status};
use kluis_policy::Target;
use tokio::task::JoinHandle;

use crate::{
    answer,
    find::Asker,
    limits::{PATIENT_STUDIES, SUB_OPERATIONS},
    retrieve::{self, Wanted},
    status,
};

/// In the place of a study where a request names none: a UID that nobody can have made.
const NO_STUDY: &str = "2.25.0";

/// Whether the peer is still who it was.
pub(crate) trait StillProved: Send + Sync + 'static {
    /// Asked again before each object (threat T28).
    fn check(&self) -> impl Future<Output = Result<(), Outcome>> + Send;
}

/// Reads the identifier and looks up what is to be sent.
pub(crate) async fn begin<P: StillProved>(
    asker: Asker,
    request: GetRequest,
    proved: P,
) -> Result<Retrieved<P>, Outcome> {
    let source = Source::DataSet { transfer_syntax: request.transfer_syntax.clone() };
    let wanted = Identifier::read(source, &request.identifier)
        .map_err(|error| told(Status::CANNOT_UNDERSTAND, error.to_string()))
        .and_then(|identifier| retrieve::read(&request.sop_class, &identifier));
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(outcome) => return Err(asker.refused().await.unwrap_or(outcome)),
    };
    let encoding = answer::encoding(request.transfer_syntax.as_str()).ok_or(Status::PROCESSING_FAILURE)?;
    let targets = targets(&asker, wanted.clone()).await?.into();
    let taken = request.taken.into();
    let mut retrieved = Retrieved {
        asker,
        wanted,
        targets,
        current: None,
        previous: None,
        left: 0,
        taken,
        upcoming: None,
        encoding,
        proved,
    };
    retrieved.count().await?;
    Ok(retrieved)
}

impl Asker {
    /// Who may not retrieve at all learns nothing from what is wrong with its keys.
    async fn refused(&self) -> Option<Outcome> {
        let nothing: Uid = NO_STUDY.parse().ok()?;
        let act = act::Retrieve { target: Target::study(nothing) };
        match self.archive.admit(&self.principal, self.origin, act).await {
            Ok(permit) => {
                permit.finish(kluis_archive::Outcome::Failed);
                None
            }
            Err(refused) => Some(status::refused(&refused)),
        }
    }
}

/// What is asked of the archive: studies and series; single instances are chosen from their series.
async fn targets(asker: &Asker, wanted: Wanted) -> Result<Vec<Target>, Outcome> {
    match wanted {
        Wanted::Patient(patient_id) => {
            let mut query = Query::all(kluis_dicom::query::Level::Study, PATIENT_STUDIES);
            query.filters.push(retrieve::of_patient(patient_id));
            let admitted =
                asker.archive.admit(&asker.principal, asker.origin, act::Search { level: kluis_policy::Level::Study });
            let permit = admitted.await.map_err(|refused| status::refused(&refused))?;
            let found = asker.archive.search(permit, &query).await.map_err(|error| {
                tracing::error!(%error, "a search failed");
                told(Status::CANNOT_CALCULATE, "try again later")
            })?;
            if found.has_more {
                found.complete();
                return Err(told(Status::CANNOT_CALCULATE, "too many studies for one request"));
            }
            let targets = found.matches.iter().map(|row| Target::study(row.study.clone())).collect();
            found.complete();
            Ok(targets)
        }
        Wanted::Studies(studies) => Ok(studies.into_iter().map(Target::study).collect()),
        Wanted::Series(study, series) => {
            Ok(series.into_iter().map(|series| Target::series(study.clone(), series)).collect())
        }
        Wanted::Instances(study, series, _) => Ok(vec![Target::series(study, series)]),
    }
}

type Fetched = Object<DataSet>;

/// A target whose objects are being sent.
struct Current {
    /// What may be shown. Its audit entry is closed when all has been sent; where the peer goes before that, it is that of a
    /// broken-off answer.
    holding: Arc<Disclosed<Holding>>,
    /// Instances in it.
    queue: VecDeque<usize>,
}

/// The objects of one C-GET, in the order of the archive. The next one is opened while the peer takes the one before. Each
/// target is asked for when its turn comes: a holding takes one of the places for answers, of which there are few.
pub(crate) struct Retrieved<P> {
    asker: Asker,
    wanted: Wanted,
    targets: VecDeque<Target>,
    current: Option<Current>,
    /// All of it has been given, and its last object is being answered.
    previous: Option<Current>,
    /// Objects that have not been begun.
    left: usize,
    taken: Arc<[Context]>,
    upcoming: Option<JoinHandle<Option<Fetched>>>,
    encoding: Encoding,
    proved: P,
}

impl<P: StillProved> Objects for Retrieved<P> {
    type Body = DataSet;

    fn remaining(&self) -> usize {
        self.left.saturating_add(usize::from(self.upcoming.is_some()))
    }

    async fn next(&mut self) -> Result<Option<Fetched>, Outcome> {
        if let Some(previous) = self.previous.take() {
            previous.complete();
        }
        self.proved.check().await?;
        if self.upcoming.is_none() {
            self.begin_target().await?;
            self.upcoming = self.begin_next();
        }
        let Some(upcoming) = &mut self.upcoming else { return Ok(None) };
        let fetched = upcoming.await;
        self.upcoming = self.begin_next();
        match fetched {
            Ok(Some(object)) => Ok(Some(object)),
            // a task that is gone: the node stops
            _ => Err(told(Status::PROCESSING_FAILURE, "try again later")),
        }
    }

    fn failed_list(&self, failed: &[Uid]) -> Vec<u8> {
        answer::failed_list(failed, self.encoding)
    }

    fn complete(mut self) {
        self.previous.take().into_iter().chain(self.current.take()).for_each(Current::complete);
    }
}

impl<P> Retrieved<P> {
    /// Counts all that is asked for, for the peer to be told how many are left. The first target that has any stays open; of
    /// the others nothing has left yet: they are let go, and asked for once more when their turn comes.
    async fn count(&mut self) -> Result<(), Outcome> {
        let mut targets = VecDeque::with_capacity(self.targets.len());
        while let Some(target) = self.targets.pop_front() {
            let Some(current) = self.open(target.clone()).await? else { continue };
            self.left = self.left.saturating_add(current.queue.len());
            if self.left > SUB_OPERATIONS {
                return Err(told(Status::CANNOT_CALCULATE, "too many objects for one request"));
            }
            match &self.current {
                None => self.current = Some(current),
                Some(_) => targets.push_back(target),
            }
        }
        self.targets = targets;
        Ok(())
    }

    /// What a target holds of what is asked for; `None` where that is nothing, or not for this principal.
    async fn open(&self, target: Target) -> Result<Option<Current>, Outcome> {
        let Asker { archive, principal, origin, .. } = &self.asker;
        let permit = archive.admit(principal, *origin, act::Retrieve { target }).await;
        let permit = permit.map_err(|refused| status::refused(&refused))?;
        let holding = match archive.holding(permit).await {
            Ok(holding) => Arc::new(holding),
            Err(RetrieveError::NotFound) => return Ok(None),
            Err(error) => return Err(failure(&error)),
        };
        let chosen = |at: &usize| holding.instances.get(*at).is_some_and(|instance| self.wanted.has(&instance.ids));
        let queue: VecDeque<usize> = (0..holding.instances.len()).filter(chosen).collect();
        let current = Current { holding, queue };
        if current.queue.is_empty() {
            current.complete();
            return Ok(None);
        }
        Ok(Some(current))
    }

    /// Sees to it that a target is open, where any is left.
    async fn begin_target(&mut self) -> Result<(), Outcome> {
        while self.current.is_none() {
            let Some(target) = self.targets.pop_front() else { return Ok(()) };
            self.current = self.open(target).await?;
        }
        Ok(())
    }

    fn begin_next(&mut self) -> Option<JoinHandle<Option<Fetched>>> {
        let current = self.current.as_mut()?;
        let Some(at) = current.queue.pop_front() else {
            self.previous = self.current.take();
            return None;
        };
        self.left = self.left.saturating_sub(1);
        let (archive, holding, taken) =
            (self.asker.archive.clone(), Arc::clone(&current.holding), Arc::clone(&self.taken));
        Some(tokio::spawn(async move { fetch(&archive, &holding, at, &taken).await }))
    }
}

impl Current {
    fn complete(self) {
        // nobody else holds it: what was fetched has been handed over
        if let Some(holding) = Arc::into_inner(self.holding) {
            holding.complete();
        }
    }
}

impl<P> Drop for Retrieved<P> {
    fn drop(&mut self) {
        if let Some(upcoming) = &self.upcoming {
            upcoming.abort();
        }
    }
}

async fn fetch(archive: &Archive, holding: &Disclosed<Holding>, at: usize, taken: &[Context]) -> Option<Fetched> {
    let instance = holding.instances.get(at)?;
    let is_taken = |context: &Context| {
        context.abstract_syntax == instance.ids.sop_class && context.transfer_syntax == instance.transfer_syntax
    };
    let mut content = None;
    if taken.iter().any(is_taken) {
        match open(archive, holding, at).await {
            Ok(body) => content = Some((instance.transfer_syntax.clone(), body)),
            Err(error) => tracing::error!(%error, "an object cannot be read"),
        }
    }
    let ids = &instance.ids;
    Some(Object { sop_class: ids.sop_class.clone(), sop_instance: ids.sop_instance.clone(), content })
}

async fn open(archive: &Archive, holding: &Disclosed<Holding>, at: usize) -> Result<DataSet, RetrieveError> {
    let instance = holding.instances.get(at).ok_or(RetrieveError::NotFound)?;
    let reader = archive.open_instance(holding, instance).await?;
    let mut rest = reader.data_set().boxed();
    // damage is met here rather than in the middle of a sub-operation, where the whole association would have to end
    let first = rest.next().await.transpose()?;
    Ok(DataSet { first, rest })
}

/// The data set of one object.
pub(crate) struct DataSet {
    first: Option<Bytes>,
    rest: BoxStream<'static, Result<Bytes, ArchiveError>>,
}

impl Body for DataSet {
    async fn read(&mut self) -> Result<Option<Bytes>, Unreadable> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        self.rest.next().await.transpose().map_err(|error| {
            tracing::error!(%error, "the rest of an object cannot be read");
            Unreadable
        })
    }
}

fn failure(error: &RetrieveError) -> Outcome {
    match error {
        RetrieveError::Archive(ArchiveError::Busy) => {
            told(Status::CANNOT_CALCULATE, "too much is under way; try again later")
        }
        other => {
            tracing::error!(error = %other, "a retrieval failed");
            told(Status::PROCESSING_FAILURE, "try again later")
        }
    }
}

fn told(status: Status, comment: impl Into<std::borrow::Cow<'static, str>>) -> Outcome {
    Outcome { status, comment: Some(comment.into()) }
}
