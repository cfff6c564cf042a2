//! Proof to Principal: certificates, tokens, sessions, enrolment, and the built-in CA.
