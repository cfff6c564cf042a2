//! Modality Worklist, provider of C-FIND (PS3.4 Annex K).
//!
//! All attributes of an entry are kept, so that every key is supported for matching and comes back. Date and time of the
//! start together are one range of moments (K.6.1.2.2).

use kluis_archive::{Disclosed, EntryCursor, EntryPage, act};
use kluis_dicom::{
    Phi, Tag, VR, data_set,
    identifier::{Identifier, Key},
    matching::Manner,
    part10::Source,
    query::{Agreed, Filter, Matching, QueryError},
    transfer_syntax::Encoding,
};
use kluis_dimse::{FindRequest, Match, Matches, Outcome, command::Status};
use serde_json::{Map, Value, json};

use crate::{
    answer,
    find::Asker,
    query::QUERY_RETRIEVE_LEVEL,
    status::{self, told},
};

/// The SOP class.
pub(crate) const MODALITY_WORKLIST: &str = "1.2.840.10008.5.1.4.31";

/// Entries of one page, which are held for as long as the peer takes to read them.
const PAGE: u32 = 50;

const MANNER: Manner = Manner { is_fuzzy: false, combines_date_time: true };

/// Reads the identifier.
pub(crate) async fn begin(asker: Asker, request: FindRequest) -> Result<Entries, Outcome> {
    // the gate comes first: who may not search learns nothing from what is wrong with its keys
    let permit = admit(&asker).await?;
    let source = Source::DataSet { transfer_syntax: request.transfer_syntax.clone() };
    let asked = Identifier::read(source, &request.identifier)
        .map_err(|error| told(Status::CANNOT_UNDERSTAND, error.to_string()))
        .and_then(|identifier| read(&identifier).map(|filters| (filters, identifier.keys)));
    permit.finish(if asked.is_ok() { kluis_archive::Outcome::Done } else { kluis_archive::Outcome::Failed });
    let (filters, wanted) = asked?;
    let encoding = answer::encoding(request.transfer_syntax.as_str()).ok_or(Status::PROCESSING_FAILURE)?;
    Ok(Entries { asker, filters, wanted, encoding, page: None, at: 0, after: None })
}

async fn admit(asker: &Asker) -> Result<kluis_archive::Permit<act::SearchWorklist>, Outcome> {
    let permit = asker.archive.admit(&asker.principal, asker.origin, act::SearchWorklist).await;
    permit.map_err(|refused| status::refused(&refused))
}

/// The conditions of an identifier.
///
/// # Errors
/// A900H, with what is wrong. No value of a key is told.
fn read(identifier: &Identifier) -> Result<Vec<Filter>, Outcome> {
    let mut filters = Vec::new();
    for key in identifier.keys.iter().filter(|key| key.vr != VR::SQ && key.path != [QUERY_RETRIEVE_LEVEL]) {
        let tag = key.path.last().copied().unwrap_or(Tag(0, 0));
        let matching = match Matching::from_text(tag, key.vr, &key.text, Agreed::default()) {
            Err(QueryError::NotMatchable(_)) => Matching::Universal,
            matching => matching.map_err(|error| told(Status::DATA_SET_DOES_NOT_MATCH, error.to_string()))?,
        };
        if matching != Matching::Universal {
            filters.push(Filter { path: key.path.clone(), matching });
        }
    }
    Ok(filters)
}

/// The matches of one C-FIND, page by page as the peer takes them.
pub(crate) struct Entries {
    asker: Asker,
    filters: Vec<Filter>,
    /// The keys to be returned; sequences come before their items' keys.
    wanted: Vec<Key>,
    encoding: Encoding,
    /// The page that is being sent. Its audit entry is closed when its last entry has been handed over.
    page: Option<Disclosed<EntryPage>>,
    /// The next entry of it.
    at: usize,
    /// Behind which entry the next page begins.
    after: Option<EntryCursor>,
}

impl Matches for Entries {
    async fn next(&mut self) -> Result<Option<Match>, Outcome> {
        loop {
            let Some(page) = &self.page else {
                self.page = Some(self.fetch().await?);
                self.at = 0;
                continue;
            };
            if let Some(entry) = page.entries.get(self.at) {
                self.at = self.at.saturating_add(1);
                let found = returned(&self.wanted, &[], &entry.attributes);
                let identifier = Phi(data_set::write(&found, self.encoding));
                return Ok(Some(Match { status: Status::PENDING, identifier }));
            }
            self.after.clone_from(&page.next);
            if let Some(page) = self.page.take() {
                page.complete();
            }
            if self.after.is_none() {
                return Ok(None);
            }
        }
    }
}

impl Entries {
    async fn fetch(&mut self) -> Result<Disclosed<EntryPage>, Outcome> {
        let permit = admit(&self.asker).await?;
        let page = self.asker.archive.search_worklist(permit, &self.filters, MANNER, self.after.take(), PAGE).await;
        page.map_err(|error| {
            tracing::error!(%error, "a search of the worklist failed");
            told(Status::PROCESSING_FAILURE, "try again later")
        })
    }
}

/// Every key that was asked for at this place, with its value or without; of a sequence without keys all that its items
/// have (C.2.2.2.6). No deeper than an identifier may be.
fn returned(wanted: &[Key], at: &[Tag], kept: &Map<String, Value>) -> Map<String, Value> {
    let here = |key: &&Key| key.path.len() == at.len().saturating_add(1) && key.path.starts_with(at);
    let mut found = Map::new();
    for key in wanted.iter().filter(here) {
        let Some(tag) = key.path.last() else { continue };
        let name = kluis_dicom::worklist::name(*tag);
        let is_within = |other: &Key| other.path.len() > key.path.len() && other.path.starts_with(&key.path);
        let value = match kept.get(&name) {
            None => json!({ "vr": key.vr.to_string() }),
            Some(_) if key.vr == VR::SQ && wanted.iter().any(is_within) => {
                let items = kluis_dicom::worklist::items(kept, *tag);
                let items: Vec<Value> = items.map(|item| Value::Object(returned(wanted, &key.path, item))).collect();
                json!({ "vr": "SQ", "Value": items })
            }
            Some(value) => value.clone(),
        };
        found.insert(name, value);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: Tag = Tag(0x0040, 0x0100);
    const CODES: Tag = Tag(0x0040, 0x0008);

    #[test]
    fn c38_keys_come_back_at_every_depth_with_value_or_without() {
        let key = |path: &[Tag], vr| Key { path: path.to_vec(), vr, text: String::new() };
        let wanted = [
            key(&[Tag(0x0010, 0x0010)], VR::PN),
            key(&[Tag(0x0010, 0x0040)], VR::CS),
            key(&[STEPS], VR::SQ),
            key(&[STEPS, Tag(0x0040, 0x0001)], VR::AE),
            key(&[STEPS, Tag(0x0040, 0x0010)], VR::SH),
            key(&[STEPS, CODES], VR::SQ),
            key(&[STEPS, CODES, Tag(0x0008, 0x0100)], VR::SH),
            key(&[Tag(0x0032, 0x1064)], VR::SQ),
        ];
        let code = json!({ "00080100": { "vr": "SH", "Value": ["C"] }, "00080102": { "vr": "SH", "Value": ["L"] } });
        let name = json!({ "vr": "PN", "Value": [{ "Alphabetic": "Doe" }] });
        let station = json!({ "vr": "AE", "Value": ["CT1"] });
        let kept = json!({
            "00100010": name,
            "00100020": { "vr": "LO", "Value": ["not asked for"] },
            "00321064": { "vr": "SQ", "Value": [code] },
            "00400100": { "vr": "SQ", "Value": [{
                "00080060": { "vr": "CS", "Value": ["CT"] },
                "00400001": station,
                "00400008": { "vr": "SQ", "Value": [code] },
            }] },
        });
        let expected = json!({
            "00100010": name,
            "00100040": { "vr": "CS" },
            "00321064": { "vr": "SQ", "Value": [code] },
            "00400100": { "vr": "SQ", "Value": [{
                "00400001": station,
                "00400008": { "vr": "SQ", "Value": [{ "00080100": { "vr": "SH", "Value": ["C"] } }] },
                "00400010": { "vr": "SH" },
            }] },
        });
        assert_eq!(Value::Object(returned(&wanted, &[], kept.as_object().unwrap())), expected);
    }

    #[test]
    fn a_key_that_is_wrong_is_told_without_its_value() {
        let key = Key { path: vec![STEPS, Tag(0x0040, 0x0002)], vr: VR::DA, text: "tomorrow".to_owned() };
        let refused = read(&Identifier { keys: vec![key], timezone: None }).unwrap_err();
        assert_eq!(refused.status, Status::DATA_SET_DOES_NOT_MATCH);
        assert!(!refused.comment.unwrap().contains("tomorrow"));
    }
}
