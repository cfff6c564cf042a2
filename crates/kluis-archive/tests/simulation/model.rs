//! What must hold, kept by the test beside the archive.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use kluis_testkit::SmallInstance;

/// Versions of each object: other bytes under the same UIDs.
pub const VERSIONS: usize = 3;

/// One object in all its versions.
pub struct Item {
    pub study: String,
    pub sop_instance: String,
    /// Length of its last element.
    pub pixel_bytes: usize,
    pub files: Vec<Vec<u8>>,
    pub data_sets: Vec<Vec<u8>>,
}

/// All objects that are ever sent: 2 studies of 2 series of 3; the first of each series is too large for memory.
pub fn items() -> &'static [Item] {
    static ITEMS: OnceLock<Vec<Item>> = OnceLock::new();
    ITEMS.get_or_init(|| {
        let mut items = Vec::new();
        for (study, series, number) in
            (0..2).flat_map(|study| (0..2).flat_map(move |series| (0..3).map(move |number| (study, series, number))))
        {
            let versions: Vec<SmallInstance> = (0..VERSIONS)
                .map(|version| {
                    let mut instance = SmallInstance::new(5, study, series, number);
                    instance.side_pixels = if number == 0 { 400 } else { 24 };
                    instance.pixel_mark = format!("version {version}").into_bytes();
                    instance
                })
                .collect();
            items.push(Item {
                study: versions[0].study.clone(),
                sop_instance: versions[0].sop_instance.clone(),
                pixel_bytes: usize::from(versions[0].side_pixels).pow(2),
                files: versions.iter().map(SmallInstance::file).collect(),
                data_sets: versions.iter().map(SmallInstance::data_set_bytes).collect(),
            });
        }
        items
    })
}

/// What was said about one object.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Versions that were sent whole.
    pub offered: BTreeSet<usize>,
    /// The version that is, and stays, the visible one: it was acknowledged, or was seen.
    pub pinned: Option<usize>,
    /// It was acknowledged.
    pub is_acknowledged: bool,
    /// It was acknowledged as new.
    pub is_new_told: bool,
    /// Versions that were told to be kept aside.
    pub aside: BTreeSet<usize>,
}

/// What became of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    New,
    Duplicate,
    Conflict,
    Failed,
}

#[derive(Default)]
pub struct Model {
    pub objects: BTreeMap<usize, Known>,
    /// Studies about which something was acknowledged.
    pub studies: BTreeSet<String>,
    /// Size and root of the last checkpoints that were seen of the two logs.
    pub heads: BTreeMap<&'static str, (u64, [u8; 32])>,
}

impl Model {
    pub fn offer(&mut self, item: usize, version: usize) {
        self.objects.entry(item).or_default().offered.insert(version);
    }

    /// Holds an answer against what was answered before.
    pub fn told(&mut self, item: usize, version: usize, told: Told) {
        let known = self.objects.entry(item).or_default();
        match told {
            Told::Failed => return,
            Told::New => {
                assert!(!known.is_new_told, "object {item} was acknowledged as new twice");
                assert!(known.pinned.is_none(), "object {item} was visible and is acknowledged as new: {known:?}");
                known.is_new_told = true;
                known.pinned = Some(version);
                known.is_acknowledged = true;
            }
            Told::Duplicate => {
                assert!(known.pinned.is_none_or(|pinned| pinned == version), "object {item}: {known:?}, not {version}");
                known.pinned = Some(version);
                known.is_acknowledged = true;
            }
            Told::Conflict => {
                assert_ne!(known.pinned, Some(version), "object {item}: the visible version is told as conflict");
                assert!(known.offered.len() > 1, "object {item}: a conflict with nothing");
                known.aside.insert(version);
            }
        }
        self.studies.insert(items()[item].study.clone());
    }

    /// An object was retrieved.
    pub fn seen(&mut self, item: usize, bytes: &[u8]) {
        let version = items()[item].data_sets.iter().position(|sent| sent == bytes);
        let version = version.unwrap_or_else(|| panic!("object {item}: {} bytes that nobody sent", bytes.len()));
        let known = self.objects.entry(item).or_default();
        assert!(known.offered.contains(&version), "object {item}: version {version} was never sent whole: {known:?}");
        assert!(
            known.pinned.is_none_or(|pinned| pinned == version),
            "object {item}: version {version} is shown in the place of another: {known:?}"
        );
        known.pinned = Some(version);
    }

    /// Every acknowledged object is among these.
    pub fn all_seen(&self, seen: &BTreeSet<usize>) {
        for (item, known) in &self.objects {
            let must_be_there = known.pinned.is_some();
            assert!(!must_be_there || seen.contains(item), "object {item} is lost: {known:?}");
        }
    }
}
