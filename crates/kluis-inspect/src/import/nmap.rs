//! nmap's XML. Entities that a document declares itself are not known here, and so never expanded.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{Read, Statement, product_in};
use crate::scan::{Level, Protocol};

/// Where the reader is.
#[derive(Default)]
struct Place {
    address: Option<std::net::IpAddr>,
    port: Option<u16>,
    is_open: bool,
    /// Service name, and what scripts say.
    words: String,
}

pub(super) fn read(text: &str) -> Option<Read> {
    let mut reader = Reader::from_str(text);
    let mut read = Read::default();
    let mut place = Place::default();
    let mut is_nmap = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) => {
                is_nmap |= element.name().as_ref() == "nmaprun";
                begin(&mut place, &element);
            }
            Event::End(element) if element.name().as_ref() == "port" => match statement(&place) {
                Some(statement) => read.statements.push(statement),
                None => read.passed_over = read.passed_over.saturating_add(1),
            },
            Event::Eof => return is_nmap.then_some(read),
            _ => {}
        }
    }
}

fn begin(place: &mut Place, element: &BytesStart<'_>) {
    match element.name().as_ref() {
        "host" => *place = Place::default(),
        "address" if attribute(element, "addrtype").is_none_or(|kind| kind.starts_with("ip")) => {
            place.address = attribute(element, "addr").and_then(|text| text.parse().ok());
        }
        "port" => {
            place.port = attribute(element, "portid").and_then(|text| text.parse().ok());
            (place.is_open, place.words) = (false, String::new());
        }
        "state" => place.is_open = attribute(element, "state").as_deref() == Some("open"),
        "service" | "script" => {
            for name in ["id", "name", "product", "output"] {
                if let Some(text) = attribute(element, name) {
                    place.words.push(' ');
                    place.words.extend(text.chars().take(512));
                }
            }
        }
        _ => {}
    }
}

fn statement(place: &Place) -> Option<Statement> {
    if !place.is_open {
        return None;
    }
    let (address, port) = (place.address?, place.port?);
    let words = &place.words;
    let (protocol, level, product) = if words.contains("dicom-ping") || words.contains("dicom") {
        // what the script says; its "called AET check" covers every rejection, so no more follows than that it refuses
        let level = if words.contains("Any AET is accepted") { Level::E2 } else { Level::E1 };
        (Protocol::Dicom, level, None)
    } else {
        (Protocol::Http, Level::E1, Some(product_in(words)?))
    };
    Some(Statement { address, port, protocol, level, product, country: None, reported: None })
}

pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let held = element.try_get_attribute(name).ok()??;
    Some(held.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}
