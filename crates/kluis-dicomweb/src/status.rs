//! Status reports: the body of an answer that is no success (PS3.18 8.6.3).

use http::StatusCode;
use serde_json::json;

use crate::accept::{Accept, Offer};

/// Says what happened, for people and for programs. Never holds patient data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    /// The HTTP status.
    pub status: StatusCode,
    /// A word for programs, in kebab case, such as `not-found`.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// The forms in which a report can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportForm {
    /// A small page.
    Html,
    /// One JSON object.
    Json,
    /// The sentence by itself.
    Text,
}

impl ReportForm {
    /// What the client reads best. Unreadable or missing Accept headers get text: an error is always answered.
    #[must_use]
    pub fn for_accept(header: Option<&str>) -> Self {
        let Ok(accept) = Accept::parse(header, None) else { return Self::Text };
        let offers = [
            Offer::single("application/json"),
            Offer::single("application/dicom+json"),
            Offer::single("text/html"),
            Offer::single("text/plain"),
        ];
        // a browser names text/html; a program that takes anything is served best by JSON
        if accept.names("text/html") && !accept.names("application/json") {
            return Self::Html;
        }
        match accept.choose(&offers).map(|offer| offer.media_type) {
            Some("text/html") => Self::Html,
            Some("application/json" | "application/dicom+json") => Self::Json,
            _ => Self::Text,
        }
    }

    /// The Content-Type of a report in this form.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

impl StatusReport {
    /// The body in the given form.
    #[must_use]
    pub fn body(&self, form: ReportForm) -> Vec<u8> {
        let number = self.status.as_u16();
        match form {
            ReportForm::Json => {
                json!({"status": number, "error": self.code, "message": self.message}).to_string().into_bytes()
            }
            ReportForm::Text => format!("{number} {}: {}\n", self.code, self.message).into_bytes(),
            ReportForm::Html => {
                let message = escape(&self.message);
                format!(
                    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{number}</title>\
                     <main><h1>{number}</h1><p>{message}</p></main></html>\n"
                )
                .into_bytes()
            }
        }
    }
}

/// Escapes text for HTML content and quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f18_form_by_accept() {
        for (accept, form) in [
            (None, ReportForm::Text),
            (Some("nonsense"), ReportForm::Text),
            (Some("*/*"), ReportForm::Json),
            (Some("application/dicom+json"), ReportForm::Json),
            (Some("multipart/related; type=\"application/dicom\""), ReportForm::Text),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), ReportForm::Html),
            (Some("text/plain"), ReportForm::Text),
        ] {
            assert_eq!(ReportForm::for_accept(accept), form, "{accept:?}");
        }
    }

    #[test]
    fn html_is_escaped() {
        let report =
            StatusReport { status: StatusCode::NOT_FOUND, code: "not-found", message: "<script>\"'&".to_owned() };
        let body = String::from_utf8(report.body(ReportForm::Html)).unwrap();
        assert!(body.contains("&lt;script&gt;&quot;&#39;&amp;"), "{body}");
        let json: serde_json::Value = serde_json::from_slice(&report.body(ReportForm::Json)).unwrap();
        assert_eq!(json["error"], "not-found");
    }
}
