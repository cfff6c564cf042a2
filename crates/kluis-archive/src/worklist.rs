//! The modality worklist: entries are put, listed, searched and removed, each through the gate (PS3.4 Annex K).

use kluis_dicom::{Uid, matching::Manner, query::Filter, worklist::Entry};
use kluis_index::{EntryCursor, EntryPage, EntryPut, EntryRow};
use kluis_keys::ObjectId;

use crate::{
    Archive, ArchiveError, Disclosed, Outcome, Permit,
    act::{Act, ManageWorklist, SearchWorklist},
};

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutEntry {
    /// Its name here.
    pub id: String,
    /// It took the place of one with the same study and step.
    pub is_replaced: bool,
}

/// Why an act on the worklist was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorklistError {
    /// There is no such entry.
    #[error("there is no such entry")]
    NotFound,
    /// The worklist is full.
    #[error("the worklist has no room for another entry; remove some")]
    Full,
    /// The entry is too long.
    #[error("the entry has more than 64 KiB of attributes; leave out what a modality does not need")]
    TooLong,
    /// The disk is.
    #[error("the store is full")]
    StorageFull,
    /// The stores failed.
    #[error(transparent)]
    Archive(ArchiveError),
}

impl<E: Into<ArchiveError>> From<E> for WorklistError {
    fn from(error: E) -> Self {
        Self::Archive(error.into())
    }
}

impl Archive {
    /// Adds an entry, or puts it in the place of the one with the same study and step.
    ///
    /// # Errors
    /// [`WorklistError`].
    pub async fn put_entry(
        &self,
        mut permit: Permit<ManageWorklist>,
        entry: Entry,
    ) -> Result<Disclosed<PutEntry>, WorklistError> {
        self.turn(&mut permit, &entry.study);
        let put = self.put(&permit, entry).await;
        self.closed(permit, put)
    }

    async fn put(&self, permit: &Permit<ManageWorklist>, entry: Entry) -> Result<PutEntry, WorklistError> {
        if !self.inner.settings.floor.has_room() {
            return Err(WorklistError::StorageFull);
        }
        permit.make_durable().await?;
        let id = ObjectId::random().to_string();
        match self.inner.worklist.put_entry(id.clone(), entry, self.inner.clock.now()).await? {
            EntryPut::Added => Ok(PutEntry { id, is_replaced: false }),
            EntryPut::Replaced { id } => Ok(PutEntry { id, is_replaced: true }),
            EntryPut::TooMany => Err(WorklistError::Full),
            EntryPut::TooLong => Err(WorklistError::TooLong),
        }
    }

    /// Removes an entry. Performed steps of it stay.
    ///
    /// # Errors
    /// [`WorklistError`].
    pub async fn remove_entry(
        &self,
        mut permit: Permit<ManageWorklist>,
        id: &str,
    ) -> Result<Disclosed<()>, WorklistError> {
        let removed = async {
            let entry = self.inner.worklist.entry(id).await?.ok_or(WorklistError::NotFound)?;
            self.turn_to_study_of(&mut permit, &entry);
            permit.make_durable().await?;
            // somebody else may have been quicker
            let is_removed = self.inner.worklist.remove_entry(id).await?;
            if is_removed { Ok(()) } else { Err(WorklistError::NotFound) }
        };
        let removed = removed.await;
        self.closed(permit, removed)
    }

    /// One entry.
    ///
    /// # Errors
    /// [`WorklistError`].
    pub async fn entry(&self, permit: Permit<SearchWorklist>, id: &str) -> Result<Disclosed<EntryRow>, WorklistError> {
        let entry = self.inner.worklist.entry(id).await.map_err(WorklistError::from);
        self.closed(permit, entry.and_then(|entry| entry.ok_or(WorklistError::NotFound)))
    }

    /// Entries whatever their state, by date and time of their start.
    ///
    /// # Errors
    /// [`WorklistError`].
    pub async fn entries(
        &self,
        permit: Permit<SearchWorklist>,
        offset: u32,
        limit: u32,
    ) -> Result<Disclosed<Vec<EntryRow>>, WorklistError> {
        let entries = self.inner.worklist.entries(offset, limit).await.map_err(WorklistError::from);
        self.closed(permit, entries)
    }

    /// A page of the entries that are still to be done and fulfil the filters.
    ///
    /// # Errors
    /// [`WorklistError`].
    pub async fn search_worklist(
        &self,
        permit: Permit<SearchWorklist>,
        filters: &[Filter],
        manner: Manner,
        after: Option<EntryCursor>,
        limit: u32,
    ) -> Result<Disclosed<EntryPage>, WorklistError> {
        let page = self.inner.worklist.search_entries(filters, manner, after, limit).await;
        self.closed(permit, page.map_err(WorklistError::from))
    }

    fn turn_to_study_of(&self, permit: &mut Permit<ManageWorklist>, entry: &EntryRow) {
        if let Ok(study) = entry.study.parse() {
            self.turn(permit, &study);
        }
    }

    /// What the act is about is known now.
    pub(crate) fn turn<A: Act>(&self, permit: &mut Permit<A>, study: &Uid) {
        let operation = permit.act().operation();
        let subject = self.subject(permit.principal(), permit.origin().door, &operation, Some(study));
        permit.turn_to(subject);
    }

    /// Gives what was done to the edge, or closes the entry with what went wrong.
    fn closed<A: Act, T>(
        &self,
        permit: Permit<A>,
        result: Result<T, WorklistError>,
    ) -> Result<Disclosed<T>, WorklistError> {
        match result {
            Ok(value) => Ok(permit.disclose(value)),
            Err(error) => {
                let is_absent = matches!(error, WorklistError::NotFound);
                permit.finish(if is_absent { Outcome::Absent } else { Outcome::Failed });
                Err(error)
            }
        }
    }
}
