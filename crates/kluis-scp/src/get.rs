//! Query/Retrieve service class, provider of C-GET (PS3.4 C.4.3); and the objects of a C-MOVE, which are found alike.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use kluis_archive::{
    Archive, ArchiveError, Disclosed, Holding, RetrieveError,
    act::{self, Act, Targeted},
};
use kluis_dicom::{
    AeTitle, Uid,
    identifier::Identifier,
    part10::Source,
    query::Query,
    transcode,
    transfer_syntax::{self, Encoding},
};
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
    let asked = Asked {
        sop_class: &request.sop_class,
        transfer_syntax: &request.transfer_syntax,
        identifier: &request.identifier,
        destination: None,
    };
    let mut retrieved = look_up(asker, &asked, proved).await?;
    retrieved.taken = request.taken.into();
    Ok(retrieved)
}

/// What a C-GET and a C-MOVE have in common.
pub(crate) struct Asked<'a> {
    pub(crate) sop_class: &'a Uid,
    pub(crate) transfer_syntax: &'a Uid,
    pub(crate) identifier: &'a [u8],
    /// The device to which it goes, where that is not who asks.
    pub(crate) destination: Option<AeTitle>,
}

/// Reads the identifier and looks up what is to be sent. What of it the peer takes is not known yet.
pub(crate) async fn look_up<P: StillProved>(
    asker: Asker,
    asked: &Asked<'_>,
    proved: P,
) -> Result<Retrieved<P>, Outcome> {
    let source = Source::DataSet { transfer_syntax: asked.transfer_syntax.clone() };
    let wanted = Identifier::read(source, asked.identifier)
        .map_err(|error| told(Status::CANNOT_UNDERSTAND, error.to_string()))
        .and_then(|identifier| retrieve::read(asked.sop_class, &identifier));
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(outcome) => return Err(asker.refused(asked.destination.as_ref()).await.unwrap_or(outcome)),
    };
    let encoding = answer::encoding(asked.transfer_syntax.as_str()).ok_or(Status::PROCESSING_FAILURE)?;
    let targets = targets(&asker, wanted.clone()).await?.into();
    let mut retrieved = Retrieved {
        asker,
        wanted,
        destination: asked.destination.clone(),
        targets,
        current: None,
        previous: None,
        left: 0,
        kinds: BTreeSet::new(),
        taken: Arc::default(),
        upcoming: None,
        encoding,
        proved,
    };
    retrieved.count().await?;
    Ok(retrieved)
}

impl Asker {
    /// Who may not retrieve at all learns nothing from what is wrong with its keys.
    pub(crate) async fn refused(&self, destination: Option<&AeTitle>) -> Option<Outcome> {
        let target = Target::study(NO_STUDY.parse().ok()?);
        match destination.cloned() {
            None => self.refused_act(act::Retrieve { target }).await,
            Some(destination) => self.refused_act(act::Move { target, destination }).await,
        }
    }

    async fn refused_act(&self, act: impl Act) -> Option<Outcome> {
        match self.archive.admit(&self.principal, self.origin, act).await {
            Ok(permit) => {
                permit.finish(kluis_archive::Outcome::Failed);
                None
            }
            Err(refused) => Some(status::refused(&refused)),
        }
    }

    /// What a target holds; the inner `Err` where that is nothing, or not for this principal.
    async fn holding(&self, act: impl Targeted) -> Result<Result<Disclosed<Holding>, RetrieveError>, Outcome> {
        let permit = self.archive.admit(&self.principal, self.origin, act).await;
        Ok(self.archive.holding(permit.map_err(|refused| status::refused(&refused))?).await)
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
    destination: Option<AeTitle>,
    targets: VecDeque<Target>,
    current: Option<Current>,
    /// All of it has been given, and its last object is being answered.
    previous: Option<Current>,
    /// Objects that have not been begun.
    left: usize,
    /// The SOP classes of all, with the transfer syntaxes in which they are stored.
    kinds: BTreeSet<(Uid, Uid)>,
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
    /// The SOP classes of what is to be sent, with the transfer syntaxes in which it is stored.
    pub(crate) fn kinds(&self) -> &BTreeSet<(Uid, Uid)> {
        &self.kinds
    }

    /// From now on objects are given as this peer takes them.
    pub(crate) fn set_taken(&mut self, taken: Vec<Context>) {
        self.taken = taken.into();
    }

    /// Nothing of it was taken.
    pub(crate) fn fail(mut self) {
        for current in self.previous.take().into_iter().chain(self.current.take()) {
            if let Some(holding) = Arc::into_inner(current.holding) {
                holding.fail();
            }
        }
    }

    /// The UIDs of what has not been begun, up to a number of them; then nothing more is given.
    pub(crate) async fn give_up(&mut self, most: usize) -> Vec<Uid> {
        let mut uids = Vec::new();
        if let Some(upcoming) = self.upcoming.take()
            && let Ok(Some(object)) = upcoming.await
        {
            uids.push(object.sop_instance);
        }
        while uids.len() < most && self.begin_target().await.is_ok() {
            let Some(current) = self.current.take() else { break };
            let left = current.queue.iter().filter_map(|at| current.holding.instances.get(*at));
            uids.extend(left.map(|instance| instance.ids.sop_instance.clone()).take(most.saturating_sub(uids.len())));
        }
        uids
    }

    /// Counts all that is asked for, for the peer to be told how many are left. The first target that has any stays open; of
    /// the others nothing has left yet: they are let go, and asked for once more when their turn comes.
    async fn count(&mut self) -> Result<(), Outcome> {
        let mut targets = VecDeque::with_capacity(self.targets.len());
        while let Some(target) = self.targets.pop_front() {
            let Some(current) = self.open(target.clone()).await? else { continue };
            self.left = self.left.saturating_add(current.queue.len());
            let instances = current.queue.iter().filter_map(|at| current.holding.instances.get(*at));
            for instance in instances {
                let kind = (&instance.ids.sop_class, &instance.transfer_syntax);
                if !self.kinds.iter().any(|(class, syntax)| (class, syntax) == kind) {
                    self.kinds.insert((kind.0.clone(), kind.1.clone()));
                }
            }
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
        let holding = match self.destination.clone() {
            None => self.asker.holding(act::Retrieve { target }).await?,
            Some(destination) => self.asker.holding(act::Move { target, destination }).await?,
        };
        let holding = match holding {
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
    let mut content = None;
    if let Some(transfer_syntax) = chosen(&instance.ids.sop_class, &instance.transfer_syntax, taken) {
        match DataSet::open(archive, holding, at, &transfer_syntax).await {
            Ok(body) => content = body.map(|body| (transfer_syntax, body)),
            Err(error) => tracing::error!(%error, "an object cannot be read"),
        }
    }
    let ids = &instance.ids;
    Some(Object { sop_class: ids.sop_class.clone(), sop_instance: ids.sop_instance.clone(), content })
}

/// In which transfer syntax an object goes out: as it is stored, or rewritten where that needs no codec (PS3.4 C.4.2.2.2).
fn chosen(sop_class: &Uid, stored: &Uid, taken: &[Context]) -> Option<Uid> {
    let of_class = || taken.iter().filter(|context| context.abstract_syntax == *sop_class);
    let as_stored = of_class().find(|context| context.transfer_syntax == *stored);
    let rewritten = || {
        let plain = [transfer_syntax::EXPLICIT_LITTLE_ENDIAN, transfer_syntax::IMPLICIT_LITTLE_ENDIAN];
        let possible = plain.into_iter().filter(|to| transcode::is_possible(stored.as_str(), to));
        possible.filter_map(|to| of_class().find(|context| context.transfer_syntax.as_str() == to)).next()
    };
    as_stored.or_else(rewritten).map(|context| context.transfer_syntax.clone())
}

impl DataSet {
    /// Opens an object of a holding, in this transfer syntax; `None` where that would need a codec.
    pub(crate) async fn open(
        archive: &Archive,
        holding: &Disclosed<Holding>,
        at: usize,
        transfer_syntax: &Uid,
    ) -> Result<Option<Self>, RetrieveError> {
        let instance = holding.instances.get(at).ok_or(RetrieveError::NotFound)?;
        let reader = archive.open_instance(holding, instance).await?;
        let mut rest = match instance.transfer_syntax == *transfer_syntax {
            true => reader.data_set().boxed(),
            false => match reader.data_set_in(transfer_syntax.as_str()) {
                Some(rewritten) => rewritten.bytes,
                None => return Ok(None),
            },
        };
        // damage is met here rather than in the middle of a sub-operation, where the whole association would have to end
        let first = rest.next().await.transpose()?;
        Ok(Some(Self { first, rest }))
    }
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
