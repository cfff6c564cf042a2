//! DICOM files and data sets (PS3.10, PS3.5): the bounded, iterative gate in front of untrusted bytes.
//!
//! [`Gate`] takes bytes as they arrive and yields an [`Outline`]: the header (the data set without its bulk values) and
//! where the bulk values are. It never holds a bulk value, never allocates what a length declares, and never recurses.
//! [`Events`] reads a header. Nothing else in the product may read untrusted bytes as DICOM.

mod byte_string;
mod element;
mod events;
mod gate;
mod head;
mod inflate;
mod nesting;
mod outline;
mod refusal;
mod scanner;
#[cfg(test)]
pub(crate) mod test_data;
#[cfg(test)]
mod tests;

pub(crate) use element::has_long_length;
pub use events::{Event, Events, Value};
pub use gate::{DataSetBytes, Gate, Source};
pub use outline::{BulkKind, BulkSpan, Fragment, Header, Outline, Repair, RepairKind};
pub use refusal::{Place, Refusal};
