//! PS3.18 messages both ways: query parameters, Accept, multipart/related, DICOM JSON answers.
