//! DICOM upper layer (PS3.8) and DIMSE messages (PS3.7): sans-IO state machines and a thin tokio driver.
