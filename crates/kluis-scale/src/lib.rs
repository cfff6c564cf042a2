//! One node at scale: loads an archive through its real store path with studies that resemble a hospital's, and
//! measures what could grow with the number of objects: cost of a store, queries, start, bytes, memory.
//!
//! For development only; the product does not link it. May not contain: a way around the gate.

pub mod figures;
pub mod load;
pub mod names;
pub mod population;
pub mod query;
pub mod site;
pub mod start;
