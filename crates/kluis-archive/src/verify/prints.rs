//! Fingerprints under a salt of their own for each verification: what was read from the packs is kept as these, so that
//! millions of objects fit into memory, and nobody can make two contents ready that look alike.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::digest::{Context, SHA256};
use kluis_keys::{KeyId, ObjectId};

use crate::torn::Noted;

/// Makes fingerprints.
#[derive(Clone, Copy)]
pub(super) struct Salt([u8; 16]);

impl Salt {
    pub(super) fn random() -> Self {
        // an object id is nothing but random
        Self(ObjectId::random().0)
    }

    pub(super) fn print(self, bytes: &[u8]) -> u64 {
        let mut digest = Context::new(&SHA256);
        digest.update(&self.0);
        digest.update(bytes);
        digest.finish().as_ref().first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first))
    }

    /// Half as long.
    pub(super) fn short(self, bytes: &[u8]) -> u32 {
        u32::try_from(self.print(bytes) >> 32).unwrap_or(0)
    }
}

/// What the records say of studies or of series: a row of the index must be what one of its instances says.
#[derive(Default)]
pub(super) struct Said {
    /// By the fingerprint of the UID: what the first instance said, and when instances came.
    groups: HashMap<u64, Group>,
    /// What others said that is different.
    others: HashSet<(u64, u64)>,
}

struct Group {
    print: u64,
    earliest: i64,
    latest: i64,
}

impl Said {
    pub(super) fn hear(&mut self, uid: u64, print: u64, received_at: i64) {
        let group = self.groups.entry(uid).or_insert(Group { print, earliest: received_at, latest: received_at });
        group.earliest = group.earliest.min(received_at);
        group.latest = group.latest.max(received_at);
        if group.print != print {
            self.others.insert((uid, print));
        }
    }

    /// Whether any instance of this UID was met.
    pub(super) fn knows(&self, uid: u64) -> bool {
        self.groups.contains_key(&uid)
    }

    pub(super) fn says(&self, uid: u64, print: u64) -> bool {
        self.groups.get(&uid).is_some_and(|group| group.print == print) || self.others.contains(&(uid, print))
    }

    /// Whether an instance of this UID can have come at this time.
    pub(super) fn came(&self, uid: u64, received_at: i64) -> bool {
        self.groups.get(&uid).is_some_and(|group| (group.earliest..=group.latest).contains(&received_at))
    }
}

/// What the walk over the packs has gathered for the walk over the index.
pub(super) struct Heard {
    pub(super) salt: Salt,
    pub(super) studies: Said,
    pub(super) series: Said,
    /// Studies of which a record cannot be read: their rows cannot be judged by what is left.
    pub(super) unread: HashSet<KeyId>,
    /// Objects that name the version before them.
    pub(super) versions: Vec<(ObjectId, ObjectId)>,
    /// Torn writes that starts met.
    pub(super) noted: Noted,
}

impl Heard {
    pub(super) fn new(salt: Salt, noted: Noted) -> Self {
        let (studies, series) = (Said::default(), Said::default());
        Self { salt, studies, series, unread: HashSet::new(), versions: Vec::new(), noted }
    }
}
