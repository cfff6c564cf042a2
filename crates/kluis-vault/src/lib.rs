//! Encrypted packs: the [`Vault`] trait and its disk implementation.
//!
//! An object's bytes are sealed while they arrive ([`ObjectWriter`]), appended to a pack with others and synced once
//! ([`Vault::commit`]), and read back chunk by chunk, each one verified ([`ObjectReader`]). The vault knows nothing of
//! DICOM, and holds no key but while an object is written or read.

mod buffers;
mod disk;
mod error;
mod limits;
mod location;
mod reader;
mod record;
mod sealing;
pub mod simulation;
mod survey;
mod vault;
mod writer;

pub use disk::{DiskVault, PackFile, Settings, Storage};
pub use error::VaultError;
pub use limits::{METADATA_BYTES, OBJECT_BYTES, READ_BYTES, SLOW_SPILL_BYTES, SPILL_BYTES};
pub use location::{Location, Position};
pub use reader::{ObjectReader, ObjectStream};
pub use record::{RecordHeader, RecordKind, RecordPart};
pub use survey::{Candidate, Examined, Stray, Survey};
pub use vault::{Cut, Gap, Recovery, Vault, VaultStats};
pub use writer::{ObjectWriter, SealedObject};
