//! The HTTPS edge: one file per URL noun, the console and the viewer.
