//! DICOM builders, the demo phantom, and a running server for tests.
