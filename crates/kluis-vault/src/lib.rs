//! Encrypted packs: the Vault trait and its disk implementation.
