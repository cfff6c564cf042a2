//! What a finding must name.

use std::ops::Range;

use kluis_archive::Place;
use kluis_vault::{Location, RecordHeader};

/// A place that at least one finding must name.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// This object, by its id, or the place in the pack where it stands.
    Object(Location, RecordHeader),
    /// This object by its id, wherever it is sought.
    Id(String),
    /// Something in this pack.
    Pack(u64),
    /// A stretch of a pack that begins at or before this byte.
    Byte(u64, u64),
    /// A log, and an entry of it among these.
    Log(&'static str, Option<Range<u64>>),
    /// A row, or a file.
    Row(String),
    /// The key of a study.
    Key(String),
    /// Any one of these.
    Any(Vec<Wanted>),
}

impl Wanted {
    pub fn is(&self, place: &Place) -> bool {
        match self {
            Self::Object(location, header) => {
                place.object.as_deref() == Some(&header.object.to_string())
                    || (place.pack == Some(location.pack)
                        && place.offset.is_some_and(|offset| offset <= location.offset)
                        && place.object.is_none())
            }
            Self::Id(object) => place.object.as_ref() == Some(object),
            Self::Pack(pack) => place.pack == Some(*pack),
            Self::Byte(pack, at) => place.pack == Some(*pack) && place.offset.is_some_and(|offset| offset <= *at),
            Self::Log(log, entries) => {
                place.log == Some(log)
                    && entries.as_ref().is_none_or(|entries| place.entry.is_some_and(|entry| entries.contains(&entry)))
            }
            Self::Row(row) => place.row.as_ref().is_some_and(|found| found == row || found.ends_with(row)),
            Self::Key(key) => place.study_key.as_ref() == Some(key),
            Self::Any(all) => all.iter().any(|wanted| wanted.is(place)),
        }
    }
}
