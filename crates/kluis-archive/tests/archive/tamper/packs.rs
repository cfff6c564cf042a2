//! Manipulations of packs.

use kluis_testkit::random::Random;
use kluis_vault::{Location, RecordHeader};

use super::{stage::Stage, wanted::Wanted};

/// Does something to the packs; what must be named.
pub type Manipulation = fn(&Stage, &mut Random) -> Option<Vec<Wanted>>;

pub const KINDS: &[(&str, Manipulation)] = &[
    ("pack: one bit", |stage, random| flips(stage, random, 1, false)),
    ("pack: one byte", |stage, random| flips(stage, random, 1, true)),
    ("pack: several bytes", |stage, random| flips(stage, random, 8, true)),
    ("pack: header", |stage, random| within(stage, random, |_, _| (0, 256))),
    ("pack: wrapped key", |stage, random| within(stage, random, |_, _| (64, 60))),
    ("pack: metadata", |stage, random| {
        within(stage, random, |_, header| (metadata_offset(header), header.metadata_length))
    }),
    ("pack: chunk", |stage, random| within(stage, random, |_, header| (256, header.plain_length + 16))),
    ("pack: padding and trailer", |stage, random| {
        within(stage, random, |location, header| {
            let from = metadata_offset(header) + header.metadata_length;
            (from, location.length - from)
        })
    }),
    ("pack: first page", |stage, random| {
        let pack = any(stage, random).0.pack;
        let at = random.below(4_096);
        stage.change(&stage.pack(pack), |bytes| bytes[at] ^= 1 << random.below(8));
        Some(vec![Wanted::Byte(pack, 0)])
    }),
    ("pack: two records exchanged", exchanged),
    ("pack: one record over another", |stage, random| copied(stage, random, false)),
    ("pack: one record over another, its place put right", |stage, random| copied(stage, random, true)),
    ("pack: bodies exchanged under their headers", bodies),
    ("pack: deleted", |stage, random| {
        let pack = any(stage, random).0.pack;
        std::fs::remove_file(stage.path().join(stage.pack(pack))).unwrap();
        Some(all_of(stage, pack, 0))
    }),
    ("pack: cut", |stage, random| {
        let pack = any(stage, random).0.pack;
        let length = stage.pristine[&stage.pack(pack)].len();
        let cut = random.below(length);
        stage.change(&stage.pack(pack), |bytes| bytes.truncate(cut));
        let wanted = all_of(stage, pack, cut as u64);
        // behind the last record only zeros can go, and they are none of anybody's
        if wanted.is_empty() { None } else { Some(wanted) }
    }),
    ("pack: zeros", |stage, random| {
        let (location, header) = any(stage, random);
        let from = location.offset as usize + random.below(location.length as usize);
        let length = 1 + random.below(8_192);
        let path = stage.pack(location.pack);
        let before = &stage.pristine[&path];
        let to = before.len().min(from + length);
        let changed = (from..to).find(|at| before[*at] != 0)?;
        stage.change(&path, |bytes| bytes[from..to].fill(0));
        let _ = header;
        Some(vec![at(stage, location.pack, changed as u64)])
    }),
    ("pack: replaced by an older one", |stage, random| {
        let older: Vec<u64> = packs(stage)
            .into_iter()
            .filter(|pack| {
                let path = stage.pack(*pack);
                stage.old.get(&path).is_some_and(|old| old.len() < stage.pristine[&path].len())
            })
            .collect();
        if older.is_empty() {
            // a process never appends to a pack of an earlier one: an older copy is one that is cut at a record
            let (location, _) = any(stage, random);
            stage.change(&stage.pack(location.pack), |bytes| bytes.truncate(location.offset as usize));
            return Some(all_of(stage, location.pack, location.offset));
        }
        let pack = older[random.below(older.len())];
        let path = stage.pack(pack);
        stage.write(&path, &stage.old[&path]);
        Some(all_of(stage, pack, stage.old[&path].len() as u64))
    }),
    ("pack: two names exchanged", |stage, random| {
        let packs = packs(stage);
        let (one, other) = (packs[random.below(packs.len())], packs[random.below(packs.len())]);
        if one == other {
            return None;
        }
        stage.write(&stage.pack(one), &stage.pristine[&stage.pack(other)]);
        stage.write(&stage.pack(other), &stage.pristine[&stage.pack(one)]);
        Some([all_of(stage, one, 0), all_of(stage, other, 0)].concat())
    }),
    ("pack: bytes behind its end", |stage, random| {
        let pack = any(stage, random).0.pack;
        let more = random.bytes(64 + random.clone().below(5_000));
        stage.change(&stage.pack(pack), |bytes| bytes.extend(more));
        Some(vec![Wanted::Pack(pack)])
    }),
    ("pack: a record once more behind its end", |stage, random| {
        let (location, header) = any_object(stage, random);
        let path = stage.pack(location.pack);
        let record = bytes_of(stage, location);
        stage.change(&path, |bytes| {
            bytes.resize(bytes.len().next_multiple_of(4_096), 0);
            let place = bytes.len() as u64;
            bytes.extend(moved(&record, location.pack, place));
        });
        Some(vec![Wanted::Object(location, header)])
    }),
    ("pack: a file among them", |stage, random| {
        let name = format!("stray-{}.pack", random.below(1_000));
        stage.write(std::path::Path::new(&format!("packs/{name}")), &random.bytes(100));
        Some(vec![Wanted::Row(format!("packs/{name}"))])
    }),
];

fn packs(stage: &Stage) -> Vec<u64> {
    let mut packs: Vec<u64> = stage.records.iter().map(|(location, _)| location.pack).collect();
    packs.dedup();
    packs
}

fn any(stage: &Stage, random: &mut Random) -> (Location, RecordHeader) {
    stage.records[random.below(stage.records.len())].clone()
}

fn any_object(stage: &Stage, random: &mut Random) -> (Location, RecordHeader) {
    let objects = stage.objects();
    objects[random.below(objects.len())].clone()
}

fn bytes_of(stage: &Stage, location: Location) -> Vec<u8> {
    let from = location.offset as usize;
    stage.pristine[&stage.pack(location.pack)][from..from + location.length as usize].to_vec()
}

fn metadata_offset(header: &RecordHeader) -> u64 {
    256 + header.plain_length + header.plain_length.div_ceil(65_536).max(1) * 16
}

/// The object at a byte of a pack, or the stretch where no record is.
fn at(stage: &Stage, pack: u64, byte: u64) -> Wanted {
    match stage.record_at(pack, byte) {
        Some((location, header)) => Wanted::Object(*location, header.clone()),
        None if byte < 4_096 => Wanted::Byte(pack, 0),
        None => Wanted::Byte(pack, byte),
    }
}

/// Every object of a pack that ends behind a byte; of manifests, which no leaf names, the place.
fn all_of(stage: &Stage, pack: u64, from: u64) -> Vec<Wanted> {
    let behind = stage.records.iter().filter(|(location, _)| location.pack == pack && location.end().offset > from);
    behind
        .map(|(location, header)| match header.kind {
            kluis_vault::RecordKind::Manifest => {
                Wanted::Any(vec![Wanted::Pack(pack), Wanted::Object(*location, header.clone())])
            }
            _ => Wanted::Id(header.object.to_string()),
        })
        .collect()
}

fn flips(stage: &Stage, random: &mut Random, count: usize, is_byte: bool) -> Option<Vec<Wanted>> {
    let packs = packs(stage);
    let pack = packs[random.below(packs.len())];
    let mut wanted = Vec::new();
    stage.change(&stage.pack(pack), |bytes| {
        for _ in 0..1 + random.below(count) {
            let byte = random.below(bytes.len());
            let mask = if is_byte { 1 + random.below(255) } else { 1 << random.below(8) };
            bytes[byte] ^= mask as u8;
            wanted.push(at(stage, pack, byte as u64));
        }
    });
    if stage.files()[&stage.pack(pack)] == stage.pristine[&stage.pack(pack)] { None } else { Some(wanted) }
}

/// One bit in a part of a record: its first byte and its length.
fn within(
    stage: &Stage,
    random: &mut Random,
    part: impl Fn(Location, &RecordHeader) -> (u64, u64),
) -> Option<Vec<Wanted>> {
    let (location, header) = any(stage, random);
    let (from, length) = part(location, &header);
    let byte = (location.offset + from) as usize + random.below(length as usize);
    stage.change(&stage.pack(location.pack), |bytes| bytes[byte] ^= 1 << random.below(8));
    Some(vec![Wanted::Object(location, header)])
}

/// Two objects whose records are equally long.
fn two(stage: &Stage, random: &mut Random) -> Option<[(Location, RecordHeader); 2]> {
    let one = any_object(stage, random);
    let alike: Vec<_> = stage
        .objects()
        .into_iter()
        .filter(|(location, header)| location.length == one.0.length && header.object != one.1.object)
        .collect();
    if alike.is_empty() {
        return None;
    }
    let other = alike[random.below(alike.len())].clone();
    Some([one, other])
}

fn put(stage: &Stage, location: Location, record: &[u8]) {
    let path = stage.path().join(stage.pack(location.pack));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[location.offset as usize..][..record.len()].copy_from_slice(record);
    std::fs::write(path, bytes).unwrap();
}

fn exchanged(stage: &Stage, random: &mut Random) -> Option<Vec<Wanted>> {
    let [one, other] = two(stage, random)?;
    put(stage, one.0, &bytes_of(stage, other.0));
    put(stage, other.0, &bytes_of(stage, one.0));
    Some([one, other].into_iter().map(|(_, header)| Wanted::Id(header.object.to_string())).collect())
}

fn copied(stage: &Stage, random: &mut Random, is_put_right: bool) -> Option<Vec<Wanted>> {
    let [one, other] = two(stage, random)?;
    let mut record = bytes_of(stage, one.0);
    if is_put_right {
        record = moved(&record, other.0.pack, other.0.offset);
    }
    put(stage, other.0, &record);
    Some(vec![Wanted::Id(other.1.object.to_string())])
}

/// The same record with a header that names another place, and is whole.
fn moved(record: &[u8], pack: u64, offset: u64) -> Vec<u8> {
    let mut record = record.to_vec();
    record[148..156].copy_from_slice(&pack.to_le_bytes());
    record[156..164].copy_from_slice(&offset.to_le_bytes());
    let sum = crc32fast::hash(&record[..252]);
    record[252..256].copy_from_slice(&sum.to_le_bytes());
    record
}

fn bodies(stage: &Stage, random: &mut Random) -> Option<Vec<Wanted>> {
    let [one, other] = two(stage, random)?;
    let (first, second) = (bytes_of(stage, one.0), bytes_of(stage, other.0));
    put(stage, one.0, &[&first[..256], &second[256..]].concat());
    put(stage, other.0, &[&second[..256], &first[256..]].concat());
    Some([one, other].into_iter().map(|(location, header)| Wanted::Object(location, header)).collect())
}
