//! Key hierarchy, wrapping, rotation, signing, erasure. Knows nothing of DICOM.
