//! What `verify` must find, and what it must not: manipulated, lost and rolled-back stores.

use std::{fs, path::Path, sync::Arc};

use kluis_archive::{Expected, Incoming, VerifyReport, act};
use kluis_dicom::part10::Source;
use kluis_keys::{KeyId, KeyRing, MemoryKeyTable, RootProvider, StudyKey};
use kluis_policy::{LogName, Principal, Transport};
use kluis_testkit::SmallInstance;
use kluis_vault::{DiskVault, RecordKind, Settings, Vault};
use tempfile::TempDir;

use crate::{
    gated_vault::{GatedVault, Step},
    site::{ORIGIN, clock, data_sets, end, open, open_over, seal, store, verify, verify_is_clean},
};

fn pack(dir: &Path) -> std::path::PathBuf {
    let mut packs: Vec<_> = fs::read_dir(dir.join("packs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    packs.retain(|path| path.extension().is_some_and(|extension| extension == "pack"));
    packs.sort();
    packs.remove(0)
}

/// Where the records of the first pack begin.
fn records(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len()).step_by(4_096).filter(|at| bytes[*at..].starts_with(b"kluisrec")).collect()
}

/// Changes the first pack, with the places of its records.
fn tamper(dir: &Path, change: impl FnOnce(&mut Vec<u8>, &[usize])) {
    let path = pack(dir);
    let mut bytes = fs::read(&path).unwrap();
    let places = records(&bytes);
    change(&mut bytes, &places);
    fs::write(path, bytes).unwrap();
}

/// Changes a byte of the sealed metadata of a record whose object has this many bytes.
fn damage_metadata(bytes: &mut [u8], record: usize, plain: usize) {
    bytes[record + 256 + plain + 16 + 20] ^= 1;
}

fn whats(report: &VerifyReport) -> Vec<(&'static str, &str)> {
    report.findings.iter().map(|finding| (finding.store, finding.what.as_str())).collect()
}

#[tokio::test]
async fn damaged_record_is_found_and_hides_no_other() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    let instances: Vec<SmallInstance> = (1..=3).map(|number| SmallInstance::new(1, number, 1, number)).collect();
    for instance in &instances {
        store(&archive, instance).await.unwrap();
    }
    end(archive).await;
    tamper(dir.path(), |bytes, records| {
        damage_metadata(bytes, records[1], instances[1].data_set_bytes().len());
    });
    fs::remove_file(dir.path().join("index.db")).unwrap();
    // a record behind it follows as well: the tail of a pack is cut only where nothing whole stands behind it
    let (archive, replayed) = open(dir.path(), Arc::clone(&clock)).await;
    assert_eq!((replayed.objects, replayed.damaged), (2, 1));
    assert_eq!(archive.rebuild_index().await.unwrap().objects, 2);
    let report = verify(&archive).await;
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert!(whats(&report)[0].1.contains("damaged"), "{report:?}");
    // the other series are sealed all the same
    assert_eq!(seal(&archive, &clock).await, 2);
}

#[tokio::test]
async fn damaged_manifest_is_found_though_it_was_remembered() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    let instance = SmallInstance::new(1, 1, 1, 1);
    store(&archive, &instance).await.unwrap();
    assert_eq!(seal(&archive, &clock).await, 1);
    assert!(data_sets(&archive, &instance.study).await.is_ok());
    verify_is_clean(&archive).await;
    tamper(dir.path(), |bytes, records| bytes[records[1] + 256 + 5] ^= 1);
    let report = verify(&archive).await;
    assert!(!report.findings.is_empty(), "{report:?}");
    assert!(data_sets(&archive, &instance.study).await.is_err());
    // the instances themselves are whole: without the manifest they stand in the index as before it
    assert_eq!(archive.rebuild_index().await.unwrap().damaged, 1);
    assert!(data_sets(&archive, &instance.study).await.unwrap() == [instance.data_set_bytes()]);
}

#[tokio::test]
async fn removed_and_exchanged_records_are_found() {
    for is_exchanged in [false, true] {
        let dir = TempDir::new().unwrap();
        let (archive, _) = open(dir.path(), clock()).await;
        for number in 1..=3 {
            store(&archive, &SmallInstance::new(1, 1, 1, number)).await.unwrap();
        }
        tamper(dir.path(), |bytes, records| {
            let (from, to, end) = (records[0], records[1], records[2]);
            let other = bytes[from..from + (end - to)].to_vec();
            if is_exchanged {
                bytes[to..end].copy_from_slice(&other);
            } else {
                bytes[to..end].fill(0);
            }
        });
        let report = verify(&archive).await;
        let lost = ("vault", "the ledger names an object that no pack holds");
        assert!(whats(&report).contains(&lost), "{is_exchanged}: {report:?}");
    }
}

#[tokio::test]
async fn lost_keys_are_found() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    store(&archive, &SmallInstance::new(1, 1, 1, 1)).await.unwrap();
    archive.settle().await.unwrap();
    end(archive).await;
    fs::remove_file(dir.path().join("keys.db")).unwrap();
    let (archive, _) = open(dir.path(), clock).await;
    assert_eq!(whats(&verify(&archive).await), [("keys", "the key of the study is gone")]);
}

#[tokio::test]
async fn logs_that_were_rolled_back_are_found() {
    for log in ["objects", "audit"] {
        let dir = TempDir::new().unwrap();
        let clock = clock();
        let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
        store(&archive, &SmallInstance::new(1, 1, 1, 1)).await.unwrap();
        archive.settle().await.unwrap();
        let (kept, place) = (dir.path().join("kept"), dir.path().join(log));
        copy(&place, &kept);
        for number in 2..=5 {
            store(&archive, &SmallInstance::new(1, number, 1, number)).await.unwrap();
        }
        archive.settle().await.unwrap();
        end(archive).await;
        fs::remove_dir_all(&place).unwrap();
        fs::rename(&kept, &place).unwrap();
        let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
        // the evidence stays, whatever comes in meanwhile
        archive.settle().await.unwrap();
        for number in 6..=12 {
            store(&archive, &SmallInstance::new(1, number, 1, number)).await.unwrap();
        }
        archive.settle().await.unwrap();
        let report = verify(&archive).await;
        let found = report
            .findings
            .iter()
            .filter(|finding| finding.what.contains("rolled back") && finding.place.log == Some(log));
        assert_eq!(found.count(), 1, "{report:?}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn index_that_was_rolled_back_is_brought_forward() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    store(&archive, &SmallInstance::new(1, 1, 1, 1)).await.unwrap();
    archive.close().await.unwrap();
    fs::copy(dir.path().join("index.db"), dir.path().join("kept.db")).unwrap();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    store(&archive, &SmallInstance::new(1, 1, 1, 2)).await.unwrap();
    assert_eq!(seal(&archive, &clock).await, 1);
    archive.close().await.unwrap();
    fs::rename(dir.path().join("kept.db"), dir.path().join("index.db")).unwrap();
    let (archive, replayed) = open(dir.path(), clock).await;
    assert_eq!((replayed.objects, replayed.leaves), (1, 0));
    verify_is_clean(&archive).await;
}

#[tokio::test]
async fn packs_that_were_rolled_back_are_found() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    store(&archive, &SmallInstance::new(1, 1, 1, 1)).await.unwrap();
    archive.close().await.unwrap();
    fs::remove_file(pack(dir.path())).unwrap();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    // comes into a pack of the same number
    let later = SmallInstance::new(1, 2, 1, 1);
    store(&archive, &later).await.unwrap();
    let report = verify(&archive).await;
    assert!(whats(&report).iter().any(|(store, what)| *store == "vault" && what.contains("packs end")), "{report:?}");
    end(archive).await;
    fs::remove_file(dir.path().join("index.db")).unwrap();
    let (archive, _) = open(dir.path(), clock).await;
    assert!(data_sets(&archive, &later.study).await.unwrap() == [later.data_set_bytes()]);
}

#[tokio::test]
async fn what_comes_in_while_it_looks_is_no_finding() {
    let dir = TempDir::new().unwrap();
    let vault = GatedVault::new(DiskVault::open(&dir.path().join("packs"), Settings::default()).unwrap());
    let (archive, _) = open_over(dir.path(), clock(), Arc::clone(&vault) as _).await;
    store(&archive, &SmallInstance::new(1, 1, 1, 1)).await.unwrap();
    let gate = vault.gate(Step::Scan);
    let looking = tokio::spawn({
        let archive = archive.clone();
        async move { verify(&archive).await }
    });
    gate.reached().await;
    store(&archive, &SmallInstance::new(1, 1, 1, 2)).await.unwrap();
    gate.open();
    let report = looking.await.unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
}

#[tokio::test]
async fn object_that_names_its_study_beforehand_is_counted_once() {
    let dir = TempDir::new().unwrap();
    let (archive, _) = open(dir.path(), clock()).await;
    let instance = SmallInstance::new(1, 1, 1, 1);
    let study = Some(instance.study.parse().unwrap());
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::Store { study }).await.unwrap();
    let incoming = Incoming { source: Source::File, expected: Expected::default(), transport: Transport::Local };
    let mut stream = archive.begin_store(permit, incoming);
    stream.write(&instance.file()).await.unwrap();
    stream.finish().await.unwrap();
    archive.settle().await.unwrap();
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::ReadLedger { log: LogName::Audit }).await.unwrap();
    let bundle = archive.ledger_file(permit, "tile/entries/000.p/2").await.unwrap().expect("a begin and an end");
    let text = String::from_utf8_lossy(&bundle).into_owned();
    assert!(text.contains("\"count\":1"), "{text}");
}

/// The study is known when the object is in: one begin without it, one with it, and one end that counts.
#[tokio::test]
async fn object_whose_study_is_read_from_it_is_counted_once() {
    let dir = TempDir::new().unwrap();
    let (archive, _) = open(dir.path(), clock()).await;
    store(&archive, &SmallInstance::new(1, 1, 1, 1)).await.unwrap();
    archive.settle().await.unwrap();
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::ReadLedger { log: LogName::Audit }).await.unwrap();
    let bundle = archive.ledger_file(permit, "tile/entries/000.p/3").await.unwrap().expect("two begins and an end");
    let text = String::from_utf8_lossy(&bundle).into_owned();
    assert_eq!(text.matches("\"count\":1").count(), 1, "{text}");
    assert_eq!(text.matches("\"study\":").count(), 2, "{text}");
}

async fn another_key() -> Arc<StudyKey> {
    let dir = TempDir::new().unwrap();
    let provider = RootProvider::KeyFile(dir.path().join("root.key"));
    let keys = KeyRing::create(&dir.path().join("keys"), &provider).unwrap();
    keys.study_keys(Arc::new(MemoryKeyTable::new())).get_or_create(KeyId([7; 32])).await.unwrap()
}

/// Of the writes of one flush the second came to the disk and the first did not, or only its header: neither was
/// acknowledged.
#[tokio::test]
async fn write_that_a_loss_of_power_tore_is_no_finding() {
    for kept in [0, 256] {
        let dir = TempDir::new().unwrap();
        let clock = clock();
        let vault = Arc::new(DiskVault::open(&dir.path().join("packs"), Settings::default()).unwrap());
        let (archive, _) = open_over(dir.path(), Arc::clone(&clock), Arc::clone(&vault) as _).await;
        store(&archive, &SmallInstance::new(1, 1, 1, 1)).await.unwrap();
        let key = another_key().await;
        let mut torn = vault.begin(RecordKind::Instance);
        torn.write(&[7; 3_000]).await.unwrap();
        vault.commit(vec![torn.finish(&key, b"").await.unwrap()]).await.unwrap();
        store(&archive, &SmallInstance::new(1, 1, 1, 2)).await.unwrap();
        end(archive).await;
        drop(vault);
        tamper(dir.path(), |bytes, records| bytes[records[1] + kept..records[2]].fill(0));
        for start in 0..2 {
            let (archive, replayed) = open(dir.path(), Arc::clone(&clock)).await;
            assert_eq!(replayed.damaged, 0);
            let report = verify(&archive).await;
            assert!(report.findings.is_empty(), "start {start}: {report:?}");
            assert_eq!((report.objects, report.torn, report.orphans), (2, 1, 0), "start {start}");
            // with a watermark that has passed it, the next start looks at it no more
            archive.settle().await.unwrap();
            end(archive).await;
        }
        // what the watermark has passed is not noted any more, and a finding
        tamper(dir.path(), |bytes, records| bytes[records[0]..records[0] + 256].fill(0));
        let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
        let report = verify(&archive).await;
        assert!(report.findings.iter().any(|finding| finding.place.offset == Some(4_096)), "{report:?}");
    }
}

#[tokio::test]
async fn acknowledged_object_is_missed_though_its_place_is_noted_as_torn() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    for number in 1..=3 {
        store(&archive, &SmallInstance::new(1, 1, 1, number)).await.unwrap();
    }
    end(archive).await;
    tamper(dir.path(), |bytes, records| bytes[records[1]..records[2]].fill(0));
    for _ in 0..2 {
        let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
        let report = verify(&archive).await;
        assert_eq!((report.torn, report.findings.len()), (1, 1), "{report:?}");
        assert!(report.findings[0].place.object.is_some() && report.findings[0].place.entry == Some(1), "{report:?}");
        archive.settle().await.unwrap();
        end(archive).await;
    }
}

/// Copies what a crash may take: index and logs.
fn copy_derived(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name();
        let is_derived =
            ["index.db", "objects", "audit"].iter().any(|derived| name.to_str().unwrap().starts_with(derived));
        if !is_derived {
            continue;
        }
        if entry.path().is_dir() {
            fs::create_dir_all(to.join(&name)).unwrap();
            copy_all(&entry.path(), &to.join(&name));
        } else {
            fs::copy(entry.path(), to.join(&name)).unwrap();
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Header and metadata of a torn record came to the disk, a page in its middle did not, and the record behind it is whole:
/// what its sender sends again must be kept, and not be told to be there.
#[tokio::test]
async fn torn_record_does_not_stand_for_what_is_sent_again() {
    let dir = TempDir::new().unwrap();
    let kept = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    store(&archive, &SmallInstance::new(1, 1, 1, 1)).await.unwrap();
    end(archive).await;
    copy_derived(dir.path(), kept.path());
    let mut torn = SmallInstance::new(1, 1, 1, 2);
    torn.side_pixels = 200;
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    store(&archive, &torn).await.unwrap();
    store(&archive, &SmallInstance::new(1, 1, 1, 3)).await.unwrap();
    end(archive).await;
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = fs::remove_file(dir.path().join(name));
    }
    for name in ["objects", "audit"] {
        fs::remove_dir_all(dir.path().join(name)).unwrap();
    }
    copy_derived(kept.path(), dir.path());
    // each start has a pack of its own
    let pack = dir.path().join("packs/0000000000000002.pack");
    let mut bytes = fs::read(&pack).unwrap();
    let at = records(&bytes)[0];
    bytes[at + 8_192..at + 12_288].fill(0);
    fs::write(&pack, bytes).unwrap();

    let (archive, replayed) = open(dir.path(), Arc::clone(&clock)).await;
    assert_eq!((replayed.objects, replayed.damaged), (1, 1), "{replayed:?}");
    assert_eq!(data_sets(&archive, &torn.study).await.unwrap().len(), 2);
    assert!(!store(&archive, &torn).await.unwrap().is_duplicate);
    let all = data_sets(&archive, &torn.study).await.unwrap();
    assert!(all.len() == 3 && all.contains(&torn.data_set_bytes()));
    let report = verify(&archive).await;
    assert!(report.findings.is_empty() && report.torn == 1, "{report:?}");
}
