//! See `kluis_hostile`, target `dicom_json`.
#![no_main]

kluis_fuzz::main!("dicom_json");
