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
        .and_then(|identifier| retrieve::read(&request.sop_class, &identifier))?;
    let encoding = answer::encoding(request.transfer_syntax.as_str()).ok_or(Status::PROCESSING_FAILURE)?;
    let mut holdings = Vec::new();
    let mut queue = VecDeque::new();
    for target in targets(&asker, wanted.clone()).await? {
        let permit = asker.archive.admit(&asker.principal, asker.origin, act::Retrieve { target }).await;
        let permit = permit.map_err(|refused| status::refused(&refused))?;
        let holding = match asker.archive.holding(permit).await {
            Ok(holding) => holding,
            Err(RetrieveError::NotFound) => continue,
            Err(error) => return Err(failure(&error)),
        };
        let chosen = |at: &usize| holding.instances.get(*at).is_some_and(|instance| wanted.has(&instance.ids));
        queue.extend((0..holding.instances.len()).filter(chosen).map(|at| (holdings.len(), at)));
        if queue.len() > SUB_OPERATIONS {
            return Err(told(Status::CANNOT_CALCULATE, "too many objects for one request"));
        }
        holdings.push(Arc::new(holding));
    }
    let taken = request.taken.into();
    Ok(Retrieved { archive: asker.archive, holdings, queue, taken, upcoming: None, encoding, proved })
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

/// The objects of one C-GET, in the order of the archive. The next one is opened while the peer takes the one before.
pub(crate) struct Retrieved<P> {
    archive: Archive,
    /// What may be shown. Their audit entries are closed when all has been sent; where the peer goes before that, they are
    /// those of a broken-off answer.
    holdings: Vec<Arc<Disclosed<Holding>>>,
    /// Holding and instance in it.
    queue: VecDeque<(usize, usize)>,
    taken: Arc<[Context]>,
    upcoming: Option<JoinHandle<Option<Fetched>>>,
    encoding: Encoding,
    proved: P,
}

impl<P: StillProved> Objects for Retrieved<P> {
    type Body = DataSet;

    fn remaining(&self) -> usize {
        self.queue.len().saturating_add(usize::from(self.upcoming.is_some()))
    }

    async fn next(&mut self) -> Result<Option<Fetched>, Outcome> {
        if self.upcoming.is_none() {
            self.upcoming = self.begin_next();
        }
        let Some(upcoming) = &mut self.upcoming else { return Ok(None) };
        self.proved.check().await?;
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
        for holding in std::mem::take(&mut self.holdings) {
            if let Some(holding) = Arc::into_inner(holding) {
                holding.complete();
            }
        }
    }
}

impl<P> Retrieved<P> {
    fn begin_next(&mut self) -> Option<JoinHandle<Option<Fetched>>> {
        let (holding, at) = self.queue.pop_front()?;
        let holding = Arc::clone(self.holdings.get(holding)?);
        let (archive, taken) = (self.archive.clone(), Arc::clone(&self.taken));
        Some(tokio::spawn(async move { fetch(&archive, &holding, at, &taken).await }))
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
