//! Searches: keys first, in the order of the answer, from the index that serves best; rows after.
//!
//! A statement is put together from the keys that are there, and every value is bound. What SQL decides, it decides as
//! [`kluis_dicom::matching`] does; the rest is decided by that, on rows that SQL lets through.

mod names;
mod page;
mod plan;
mod study;
mod walk;

#[cfg(test)]
mod tests;

pub(super) use walk::{search, search_series};
