//! A report of OpenVAS in XML. Only results about imaging are taken over.

use quick_xml::{Reader, events::Event};

use super::{Read, Statement, is_imaging, nmap::attribute, product_in};
use crate::scan::{Level, Protocol, Severity, words_of_peer};

/// One `result`.
#[derive(Default)]
struct Held {
    host: String,
    port: String,
    name: String,
    severity: String,
    oid: String,
}

pub(super) fn read(text: &str) -> Option<Read> {
    let mut reader = Reader::from_str(text);
    let mut read = Read::default();
    let mut path: Vec<String> = Vec::new();
    let mut held: Option<Held> = None;
    let mut is_report = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                let name = element.name().as_ref().to_owned();
                is_report |= name == "report";
                match (name.as_str(), &mut held) {
                    ("result", held) => *held = Some(Held::default()),
                    ("nvt", Some(held)) => held.oid = attribute(&element, "oid").unwrap_or_default(),
                    _ => {}
                }
                path.push(name);
                // a report is shallow; deeper than this it is none
                if path.len() > 64 {
                    return None;
                }
            }
            Event::Text(text) => {
                if let Some(held) = &mut held {
                    let text = text.xml10_content();
                    held.add(&path, text.trim());
                }
            }
            Event::End(element) => {
                path.pop();
                if element.name().as_ref() == "result"
                    && let Some(held) = held.take()
                {
                    match held.statement() {
                        Some(statement) => read.statements.push(statement),
                        None => read.passed_over = read.passed_over.saturating_add(1),
                    }
                }
            }
            Event::Eof => return is_report.then_some(read),
            _ => {}
        }
    }
}

impl Held {
    fn add(&mut self, path: &[String], text: &str) {
        let mut last = path.iter().rev().map(String::as_str);
        let field = match (last.next(), last.next()) {
            (Some("host"), Some("result")) => &mut self.host,
            (Some("port"), Some("result")) => &mut self.port,
            (Some("name"), Some("result" | "nvt")) => &mut self.name,
            (Some("severity"), Some("result")) => &mut self.severity,
            _ => return,
        };
        field.push_str(text);
    }

    fn statement(&self) -> Option<Statement> {
        if !is_imaging(&self.name) {
            return None;
        }
        let score: f32 = self.severity.parse().ok()?;
        let severity = match score {
            score if score >= 9.0 => Severity::Critical,
            score if score >= 7.0 => Severity::High,
            score if score >= 4.0 => Severity::Medium,
            score if score > 0.0 => Severity::Low,
            _ => Severity::Info,
        };
        let is_dicom = self.name.to_ascii_lowercase().contains("dicom");
        Some(Statement {
            address: self.host.parse().ok()?,
            port: self.port.split('/').next()?.parse().ok()?,
            protocol: if is_dicom { Protocol::Dicom } else { Protocol::Http },
            level: Level::E1,
            product: product_in(&self.name),
            country: None,
            reported: words_of_peer(&self.oid).map(|oid| (oid, severity, score)),
        })
    }
}
