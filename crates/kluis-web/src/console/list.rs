//! `/`: the list of studies, with search. Patient data travels in bodies only: the search is a form that is posted.

use askama::Template;
use axum::body::Body;
use http::{Response, StatusCode};
use kluis_archive::{Match, Outcome, act};
use kluis_dicom::{
    Tag, VR,
    query::{Agreed, Filter, Level, Matching, Query},
};

use super::{Frame, page, text};
use crate::{body, call::Call, errors::WebError, limits};

/// Code strings that the form offers (PS3.3 C.7.3.1.1.1).
const MODALITIES: [&str; 22] = [
    "CR", "CT", "DX", "ECG", "ES", "IO", "IVUS", "MG", "MR", "NM", "OCT", "OP", "OPT", "PT", "PX", "RF", "RTIMAGE",
    "SM", "US", "XA", "XC", "SR",
];

#[derive(Template)]
#[template(path = "studies.html")]
struct Page {
    frame: Frame,
    fields: Fields,
    modalities: &'static [&'static str],
    rows: Vec<Row>,
    /// What is wrong with the form; empty where nothing is.
    problem: String,
    /// Counted from 1.
    from: u32,
    to: u32,
    previous: Option<u32>,
    next: Option<u32>,
    is_search: bool,
}

/// The form as it was filled in.
#[derive(Debug, Default, Clone)]
struct Fields {
    name: String,
    id: String,
    accession: String,
    from: String,
    to: String,
    modality: String,
    offset: u32,
}

struct Row {
    uid: String,
    patient: String,
    id: String,
    birth_date: String,
    sex: String,
    date: String,
    modalities: String,
    description: String,
    accession: String,
    series: String,
    instances: String,
}

pub(crate) async fn newest(call: Call) -> Result<Response<Body>, WebError> {
    show(call, Fields::default(), false).await
}

pub(crate) async fn search(call: Call) -> Result<Response<Body>, WebError> {
    let bytes = body::small(call.take_body()).await?;
    let fields = Fields::read(&bytes);
    show(call, fields, true).await
}

async fn show(call: Call, fields: Fields, is_search: bool) -> Result<Response<Body>, WebError> {
    let console = call.admit(act::ViewConsole).await?;
    let frame = Frame::of(call.principal()?, call.app.settings().version);
    let mut shown = Page {
        frame,
        from: 0,
        to: 0,
        previous: None,
        next: None,
        rows: Vec::new(),
        problem: String::new(),
        modalities: &MODALITIES,
        fields,
        is_search,
    };
    // who may not search sees the frame and the way to what the role includes
    if shown.frame.may_search {
        match shown.fields.query() {
            Ok(query) => {
                if let Err(error) = fill(&call, &mut shown, &query).await {
                    console.finish(Outcome::Failed);
                    return Err(error);
                }
            }
            Err(problem) => shown.problem = problem,
        }
    }
    console.finish(Outcome::Done);
    page(StatusCode::OK, &shown)
}

async fn fill(call: &Call, shown: &mut Page, query: &Query) -> Result<(), WebError> {
    let permit = call.admit(act::Search { level: kluis_policy::Level::Study }).await?;
    let found = call.archive().search(permit, query).await?;
    shown.rows = found.matches.iter().map(Row::from).collect();
    let count = u32::try_from(shown.rows.len()).unwrap_or(u32::MAX);
    let offset = query.offset;
    shown.from = if count == 0 { 0 } else { offset.saturating_add(1) };
    shown.to = offset.saturating_add(count);
    shown.previous = (offset > 0).then(|| offset.saturating_sub(limits::CONSOLE_PAGE));
    shown.next = found.has_more.then(|| offset.saturating_add(limits::CONSOLE_PAGE));
    found.complete();
    Ok(())
}

impl Fields {
    fn read(body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let mut fields = Self::default();
        for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = kluis_dicomweb::decode(value, true).unwrap_or_default().trim().to_owned();
            match name {
                "name" => fields.name = value,
                "id" => fields.id = value,
                "accession" => fields.accession = value,
                "from" => fields.from = value,
                "to" => fields.to = value,
                "modality" => fields.modality = value,
                "offset" => fields.offset = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        fields.offset = fields.offset.min(kluis_dicomweb::limits::OFFSET);
        fields
    }

    fn query(&self) -> Result<Query, String> {
        let mut query = Query::all(Level::Study, limits::CONSOLE_PAGE);
        query.offset = self.offset;
        query.include_all = true;
        let date = |text: &str| text.replace('-', "");
        let dates = match (date(&self.from), date(&self.to)) {
            (from, to) if from.is_empty() && to.is_empty() => String::new(),
            (from, to) => format!("{from}-{to}"),
        };
        for (tag, vr, text) in [
            (Tag(0x0010, 0x0010), VR::PN, name_pattern(&self.name)),
            (Tag(0x0010, 0x0020), VR::LO, self.id.clone()),
            (Tag(0x0008, 0x0050), VR::SH, self.accession.clone()),
            (Tag(0x0008, 0x0020), VR::DA, dates),
            (Tag(0x0008, 0x0061), VR::CS, self.modality.clone()),
        ] {
            let matching = Matching::from_text(tag, vr, &text, Agreed::default()).map_err(|error| error.to_string())?;
            if !matches!(matching, Matching::Universal) {
                query.filters.push(Filter { path: vec![tag], matching });
            }
        }
        Ok(query)
    }
}

/// People type parts of names in any form: each word may stand anywhere, in this order.
fn name_pattern(typed: &str) -> String {
    if typed.contains(['*', '?']) {
        return typed.to_owned();
    }
    let words: Vec<&str> = typed.split([' ', ',', '^', '=']).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { String::new() } else { format!("*{}*", words.join("*")) }
}

impl From<&Match> for Row {
    fn from(found: &Match) -> Self {
        let attributes = &found.attributes;
        Self {
            uid: found.study.to_string(),
            patient: text::person(attributes, "00100010"),
            id: text::first(attributes, "00100020"),
            birth_date: text::date(attributes, "00100030"),
            sex: text::first(attributes, "00100040"),
            date: text::date(attributes, "00080020"),
            modalities: text::all(attributes, "00080061"),
            description: text::first(attributes, "00081030"),
            accession: text::first(attributes, "00080050"),
            series: text::first(attributes, "00201206"),
            instances: text::first(attributes, "00201208"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_becomes_a_query() {
        let fields = Fields::read(b"name=van+der+B%C3%A9rg&id=12&from=2026-01-01&to=&modality=CT&offset=50&more=1");
        let query = fields.query().unwrap();
        let found: Vec<(Tag, Matching)> =
            query.filters.into_iter().map(|filter| (filter.path[0], filter.matching)).collect();
        assert_eq!(
            found,
            [
                (Tag(0x0010, 0x0010), Matching::Wildcard("*van*der*Bérg*".into())),
                (Tag(0x0010, 0x0020), Matching::Single("12".into())),
                (Tag(0x0008, 0x0020), Matching::Range { from: Some("20260101".into()), to: None }),
                (Tag(0x0008, 0x0061), Matching::Single("CT".into())),
            ]
        );
        assert_eq!((query.offset, query.limit), (50, limits::CONSOLE_PAGE));
    }

    #[test]
    fn a_wrong_form_is_told() {
        assert!(Fields { from: "tomorrow".into(), ..Fields::default() }.query().is_err());
        assert!(Fields::read(b"").query().unwrap().filters.is_empty());
    }

    #[test]
    fn rows_are_escaped() {
        let mut attributes = serde_json::Map::new();
        attributes.insert("00081030".into(), serde_json::json!({"vr": "LO", "Value": ["<script>alert(1)</script>"]}));
        let found = Match { study: "1.2".parse().unwrap(), series: None, instance: None, attributes };
        let shown = Page {
            frame: Frame { may_search: true, ..Frame::nobody("0") },
            fields: Fields { name: "\"><script>".into(), ..Fields::default() },
            modalities: &MODALITIES,
            rows: vec![Row::from(&found)],
            problem: String::new(),
            from: 1,
            to: 1,
            previous: None,
            next: Some(50),
            is_search: true,
        };
        let html = shown.render().unwrap();
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("/viewer/viewer?StudyInstanceUIDs=1.2"), "{html}");
        assert!(html.contains("<caption") && html.contains("scope=\"col\""), "{html}");
    }
}
