//! Append-only logs in C2SP tlog-tiles form, checkpoints and proofs, and the audit event catalogue.
