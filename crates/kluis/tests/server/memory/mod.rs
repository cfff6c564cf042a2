//! What the whole process holds in memory while great things go through it.
//!
//! `KLUIS_GIANT_MIB` makes the images larger than a run for every change can afford (1024 is what the purpose asks for),
//! `KLUIS_PROGRAM` names another build of the node.

mod giants;
pub mod process;
mod series;
