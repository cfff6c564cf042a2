//! The checks of one host, each asking no more than it needs to know.

pub(crate) mod control;
pub(crate) mod dicom;
pub(crate) mod files;
pub(crate) mod peer;
pub(crate) mod port;
pub(crate) mod web;
