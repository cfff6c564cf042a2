//! Query/Retrieve service class, provider of C-FIND (PS3.4 C.4.1).

use std::collections::HashSet;

use kluis_archive::{Archive, Disclosed, Found as Rows, Match as Row, Origin, SearchError, act};
use kluis_dicom::{AeTitle, Phi, identifier::Identifier, part10::Source, query::Level, transfer_syntax::Encoding};
use kluis_dimse::{FindRequest, Match, Matches, Outcome, command::Status};
use kluis_policy::Principal;
use serde_json::Value;

use crate::{
    answer,
    query::{self, Agreement, Asked, QueryLevel},
    status,
};

/// Rows of the first page, so that the first answer leaves soon, and of all others, which are held for as long as the peer
/// takes to read them.
const FIRST_PAGE: u32 = 50;
const PAGE: u32 = 200;

/// Who asks, and of whom.
pub(crate) struct Asker {
    pub(crate) archive: Archive,
    pub(crate) principal: Principal,
    pub(crate) origin: Origin,
    /// Our AE title, from which what is found can be retrieved.
    pub(crate) ae: AeTitle,
}

/// Reads the identifier and fetches the first page.
pub(crate) async fn begin(asker: Asker, request: FindRequest, agreement: Agreement) -> Result<Found, Outcome> {
    // the gate comes first: who may not search learns nothing from what is wrong with its keys
    let permit = asker.admit(QueryLevel::Study).await?;
    let source = Source::DataSet { transfer_syntax: request.transfer_syntax.clone() };
    let asked = Identifier::read(source, &request.identifier)
        .map_err(|error| told(Status::CANNOT_UNDERSTAND, error.to_string()))
        .and_then(|identifier| query::read(&request.sop_class, identifier, agreement));
    permit.finish(if asked.is_ok() { kluis_archive::Outcome::Done } else { kluis_archive::Outcome::Failed });
    let mut asked = asked?;
    asked.query.limit = FIRST_PAGE;
    let encoding = answer::encoding(request.transfer_syntax.as_str()).ok_or(Status::PROCESSING_FAILURE)?;
    Ok(Found { asker, asked, encoding, page: None, at: 0, patients: HashSet::new() })
}

impl Asker {
    async fn admit(&self, level: QueryLevel) -> Result<kluis_archive::Permit<act::Search>, Outcome> {
        let level = match level.rows() {
            Level::Study => kluis_policy::Level::Study,
            Level::Series => kluis_policy::Level::Series,
            Level::Instance => kluis_policy::Level::Instance,
        };
        let permit = self.archive.admit(&self.principal, self.origin, act::Search { level }).await;
        permit.map_err(|refused| status::refused(&refused))
    }
}

/// The matches of one C-FIND, page by page as the peer takes them.
pub(crate) struct Found {
    asker: Asker,
    asked: Asked,
    encoding: Encoding,
    /// The page that is being sent. Its audit entry is closed when its last row has been handed over; where the peer goes
    /// before that, it is one of a broken-off answer.
    page: Option<Disclosed<Rows>>,
    /// The next row of it.
    at: usize,
    /// Those that were told: Patient ID and its issuer.
    patients: HashSet<(String, String)>,
}

impl Matches for Found {
    async fn next(&mut self) -> Result<Option<Match>, Outcome> {
        loop {
            let Some(page) = &self.page else {
                self.page = Some(self.fetch().await?);
                self.at = 0;
                continue;
            };
            let Some(row) = page.matches.get(self.at) else {
                let is_last = !page.has_more;
                if let Some(page) = self.page.take() {
                    page.complete();
                }
                match is_last {
                    true => return Ok(None),
                    false => continue,
                }
            };
            self.at = self.at.saturating_add(1);
            if self.asked.level == QueryLevel::Patient && !is_new(&mut self.patients, row) {
                continue;
            }
            let identifier = answer::write(&self.asked, &row.attributes, &self.asker.ae, self.encoding);
            let status = match page.has_unmatched_filter {
                true => Status::PENDING_KEY_NOT_SUPPORTED,
                false => Status::PENDING,
            };
            return Ok(Some(Match { status, identifier: Phi(identifier) }));
        }
    }
}

impl Found {
    async fn fetch(&mut self) -> Result<Disclosed<Rows>, Outcome> {
        let permit = self.asker.admit(self.asked.level).await?;
        let query = &mut self.asked.query;
        let found = self.asker.archive.search(permit, query).await.map_err(|error| failure(&error))?;
        query.offset = query.offset.saturating_add(query.limit);
        query.limit = PAGE;
        Ok(found)
    }
}

/// A patient comes with each of its studies. No more are remembered than rows are looked at.
fn is_new(patients: &mut HashSet<(String, String)>, row: &Row) -> bool {
    let text = |tag: &str| {
        let values = row.attributes.get(tag).and_then(|attribute| attribute.get("Value"));
        values.and_then(|values| values.get(0)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    patients.insert((text("00100020"), text("00100021")))
}

fn failure(error: &SearchError) -> Outcome {
    match error {
        SearchError::TooMuch(_) => told(Status::OUT_OF_RESOURCES, "too much is asked for; add keys"),
        other => {
            tracing::error!(error = %other, "a search failed");
            told(Status::PROCESSING_FAILURE, "try again later")
        }
    }
}

fn told(status: Status, comment: impl Into<std::borrow::Cow<'static, str>>) -> Outcome {
    Outcome { status, comment: Some(comment.into()) }
}
