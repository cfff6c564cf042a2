//! Synthetic DICOM objects for the demo and for tests: a data set builder, a phantom that looks like a body, small
//! instances, and hostile inputs.
//!
//! Everything here is generated from a seed and is equal for equal seeds. Names of persons are invented. May not contain:
//! the product's own encoders and decoders (tests hold those against what is built here), a clock, real patients' data.

pub mod data_set;
pub mod giant;
pub mod hostile;
pub mod instance;
pub mod part10;
pub mod phantom;
pub mod random;

pub use data_set::{DataSetBuilder, Encoding, Lengths};
pub use giant::Giant;
pub use instance::SmallInstance;
