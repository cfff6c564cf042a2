//! Key hierarchy, wrapping, rotation, signing, erasure. Knows nothing of DICOM.
//!
//! ```text
//! root key (key file | passphrase)
//!   +- tenant secret             -> key ids, derived keys (index, key table); never rotates
//!   +- tenant key, version 1..n  -> wraps study keys, seals small files
//!        +- study key (random)   -> wraps object keys; commitment key
//!             +- object key (random, one per object)
//! ```
//!
//! Only the key table and the files under the keys directory are written here; where the table is kept is the business
//! of whoever implements [`KeyTable`]. All cryptography is aws-lc's, but for Argon2id.

mod crypto;
mod error;
mod files;
mod ids;
mod limits;
mod ring;
mod root;
mod signer;
mod study;
mod table;
mod tenant;

pub use error::{KeyTableError, KeysError};
pub use ids::{KeyId, ObjectId};
pub use ring::KeyRing;
pub use root::RootProvider;
pub use signer::LogSigner;
pub use study::{ObjectKey, StudyKey, StudyKeys, WRAPPED_OBJECT_KEY_LEN};
pub use table::{KeyTable, MemoryKeyTable, WrappedKey};
pub use zeroize::Zeroizing;
