//! The archive service: gate, store, find, retrieve, seal, verify.
