//! The DIMSE edge: one module per service class.
