//! What only a file can show: restart, wrong keys, damage, nothing readable on the medium; and the other two tables.

use std::{fs, path::Path};

use kluis_dicom::query::{Level, Query};
use kluis_policy::RowFilter;

use super::{SqliteDirectory, SqliteIndex, SqliteKeyTable};
use crate::{
    Index, IndexError, Inserted, Watermark,
    suite::{self, sample::Sample},
};

const KEY: [u8; 32] = [7; 32];

#[tokio::test]
async fn sqlite_shows_the_behaviour_of_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    suite::run(async || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        SqliteIndex::open(&directory.path().join(format!("{number}.db")), &KEY).unwrap()
    })
    .await;
}

fn samples(count: u32) -> Vec<crate::NewInstance> {
    (1..=count)
        .map(|study| Sample { study, name: format!("NAME{study}"), modality: "CT", ..Sample::default() }.build())
        .collect()
}

#[tokio::test]
async fn index_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index").join("index.db");
    let watermark = Watermark { pack: 1, offset: 2, objects_size: 3, audit_size: 4 };
    let index = SqliteIndex::open(&path, &KEY).unwrap();
    index.insert(samples(20).into()).await.unwrap();
    index.set_watermark(watermark).await.unwrap();
    drop(index);
    let index = SqliteIndex::open(&path, &KEY).unwrap();
    assert_eq!(index.watermark().await.unwrap(), Some(watermark));
    assert_eq!(index.counts(&RowFilter::All).await.unwrap().hot_instances, 20);
    assert_eq!(index.insert(samples(1).into()).await.unwrap(), [Inserted::Duplicate]);
    assert!(index.check().await.unwrap().findings.is_empty());
}

#[tokio::test]
async fn log_begins_anew_however_much_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.db");
    let index = SqliteIndex::open(&path, &KEY).unwrap();
    let all = samples(12_000);
    for batch in all.chunks(10) {
        index.insert(batch.into()).await.unwrap();
    }
    let pages = fs::metadata(directory.path().join("index.db-wal")).unwrap().len() / 8_192;
    // it would have 44,000 if it never did; how far it grows meanwhile is the disk's affair
    assert!(pages < 15_000, "{pages} pages");
    assert_eq!(index.counts(&RowFilter::All).await.unwrap().studies, 12_000);
}

#[tokio::test]
async fn a_copy_taken_while_running_opens_with_what_was_answered() {
    // what a crash of the machine leaves is at most this: the file and its log as they are
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.db");
    let index = SqliteIndex::open(&path, &KEY).unwrap();
    index.insert(samples(20).into()).await.unwrap();
    index.checkpoint().await.unwrap();
    let copy = directory.path().join("copy.db");
    fs::copy(&path, &copy).unwrap();
    fs::copy(directory.path().join("index.db-wal"), directory.path().join("copy.db-wal")).unwrap();
    let opened = SqliteIndex::open(&copy, &KEY).unwrap();
    assert_eq!(opened.counts(&RowFilter::All).await.unwrap().studies, 20);
}

#[tokio::test]
async fn wrong_key_and_foreign_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.db");
    drop(SqliteIndex::open(&path, &KEY).unwrap());
    let error = |outcome: Result<SqliteIndex, IndexError>| outcome.err().expect("refused");
    assert!(matches!(error(SqliteIndex::open(&path, &[8; 32])), IndexError::WrongKey));
    assert!(SqliteIndex::open(&path, &KEY).is_ok(), "a wrong key changes nothing");
    let text = directory.path().join("text.db");
    fs::write(&text, "not a database ".repeat(1000)).unwrap();
    assert!(matches!(error(SqliteIndex::open(&text, &KEY)), IndexError::WrongKey));
    let other = directory.path().join("keys.db");
    drop(SqliteKeyTable::open(&other, &KEY).unwrap());
    assert!(matches!(error(SqliteIndex::open(&other, &KEY)), IndexError::WrongKey), "another file of ours");
    let nowhere = text.join("below").join("index.db");
    assert!(matches!(error(SqliteIndex::open(&nowhere, &KEY)), IndexError::Io(_)));
}

#[tokio::test]
async fn newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.db");
    drop(SqliteIndex::open(&path, &KEY).unwrap());
    let connection = super::connection::open_writer(&path, &KEY, super::PROFILE).unwrap();
    connection.execute_batch("PRAGMA user_version = 9").unwrap();
    drop(connection);
    let outcome = SqliteIndex::open(&path, &KEY);
    assert!(matches!(outcome, Err(IndexError::SchemaVersion { found: 9, known: 1 })));
}

#[tokio::test]
async fn damage_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.db");
    let index = SqliteIndex::open(&path, &KEY).unwrap();
    index.insert(samples(500).into()).await.unwrap();
    drop(index);
    let index = SqliteIndex::open(&path, &KEY).unwrap();
    for _ in 0..2 {
        assert!(index.check().await.unwrap().findings.is_empty());
    }
    let mut bytes = fs::read(&path).unwrap();
    let pages = bytes.len() / 8192;
    assert!(pages > 20, "{pages} pages");
    bytes[8192 * 10 + 4000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let findings = index.check().await.unwrap().findings;
    assert!(
        findings.iter().any(|finding| finding.ends_with("failed for page 11")),
        "found while it is open: {findings:?}"
    );
    drop(index);
    let index = SqliteIndex::open(&path, &KEY).unwrap();
    match index.check().await {
        Ok(report) => assert!(!report.findings.is_empty()),
        Err(error) => assert!(matches!(error, IndexError::Damaged | IndexError::WrongKey), "{error:?}"),
    }
}

#[tokio::test]
async fn nothing_readable_is_on_the_medium() {
    let directory = tempfile::tempdir().unwrap();
    let marker = "MARKERXYZ";
    let path = directory.path().join("index.db");
    let index = SqliteIndex::open(&path, &KEY).unwrap();
    let marked = |study| {
        let sample = Sample { study, name: marker.to_owned(), description: marker.to_owned(), ..Sample::default() };
        let mut new = Sample { patient_id: "MARKERXYZ", station: "MARKERXYZ", ..sample }.build();
        new.sender = marker.to_owned();
        new
    };
    index.insert((1..200).map(marked).collect()).await.unwrap();
    let keys = SqliteKeyTable::open(&directory.path().join("keys.db"), &KEY).unwrap();
    let secret = kluis_keys::WrappedKey(marker.as_bytes().to_vec());
    kluis_keys::KeyTable::put(&keys, kluis_keys::KeyId([1; 32]), secret).await.unwrap();
    let people = SqliteDirectory::open(&directory.path().join("directory.db"), &KEY).unwrap();
    kluis_identity::Directory::add_user(&people, &super::directory_tests::user(marker)).await.unwrap();
    let files = scan(directory.path(), marker);
    assert!(files.iter().any(|name| name.ends_with("index.db-wal")), "while running: {files:?}");
    index.checkpoint().await.unwrap();
    scan(directory.path(), marker);
    drop((index, keys, people));
    assert_eq!(scan(directory.path(), marker).len(), 3, "after closing there are only the files themselves");
}

/// The names of all files, none of which holds the marker, the key, or anything that SQLite writes in the clear.
fn scan(directory: &Path, marker: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for secret in [marker.as_bytes(), b"SQLite format 3", b"CREATE TABLE", &KEY] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
        names.push(path.to_string_lossy().into_owned());
    }
    names
}

#[tokio::test]
async fn writes_that_wait_together_do_not_fail_together() {
    let directory = tempfile::tempdir().unwrap();
    let index = SqliteIndex::open(&directory.path().join("index.db"), &KEY).unwrap();
    let mut bad =
        vec![Sample { study: 8, ..Sample::default() }.build(), Sample { study: 9, ..Sample::default() }.build()];
    bad[1].location.offset = u64::MAX;
    let good = |study| index.insert(vec![Sample { study, ..Sample::default() }.build()].into());
    let (first, refused, second, third) = tokio::join!(good(1), index.insert(bad.into()), good(2), good(3));
    assert!(matches!(refused, Err(IndexError::OutOfRange(_))));
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    assert_eq!(index.counts(&RowFilter::All).await.unwrap().studies, 3, "nothing of the batch was written");
}

#[tokio::test]
async fn reads_go_on_beside_writes() {
    let directory = tempfile::tempdir().unwrap();
    let index = std::sync::Arc::new(SqliteIndex::open(&directory.path().join("index.db"), &KEY).unwrap());
    let writer = index.clone();
    let writing = tokio::spawn(async move {
        for study in 0..50 {
            writer.insert(vec![Sample { study, ..Sample::default() }.build()].into()).await.unwrap();
        }
    });
    let mut last = 0;
    while last < 50 {
        let count = index.counts(&RowFilter::All).await.unwrap();
        assert_eq!(count.studies, count.hot_instances, "each insert is seen as a whole");
        assert!(count.studies >= last);
        last = count.studies;
    }
    writing.await.unwrap();
    let page = index.search(&Query::all(Level::Study, 1000), &RowFilter::All).await.unwrap();
    assert_eq!(page.matches.len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_is_whole_however_often_it_is_written_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let index = std::sync::Arc::new(SqliteIndex::open(&directory.path().join("index.db"), &KEY).unwrap());
    index.insert(samples(2_000).into()).await.unwrap();
    let writer = index.clone();
    let writing = tokio::spawn(async move {
        for batch in samples(4_000)[2_000..].chunks(20) {
            writer.insert(batch.into()).await.unwrap();
            writer.checkpoint().await.unwrap();
        }
    });
    let mut looks = 0;
    while !writing.is_finished() {
        assert_eq!(index.check().await.unwrap().findings, [""; 0], "look {looks}");
        looks += 1;
    }
    writing.await.unwrap();
    assert!(looks > 2, "{looks}");
}

/// Each page that a store changes is encrypted and written: that is most of what the index costs.
#[tokio::test]
async fn instance_of_a_known_series_changes_three_pages() {
    let directory = tempfile::tempdir().unwrap();
    let index = SqliteIndex::open(&directory.path().join("index.db"), &KEY).unwrap();
    let pages = || fs::metadata(directory.path().join("index.db-wal")).unwrap().len() / 8_192;
    let mut lengths = Vec::new();
    for instance in 1..=40 {
        let arrived = crate::suite::sample::epoch() + time::Duration::milliseconds(i64::from(instance));
        let new = crate::NewInstance { received_at: arrived, ..Sample { instance, ..Sample::default() }.build() };
        index.insert([new].into()).await.unwrap();
        lengths.push(pages());
    }
    let mut changed: Vec<u64> = lengths.windows(2).map(|pair| pair[1] - pair[0]).collect();
    changed.sort_unstable();
    assert_eq!(changed[changed.len() / 2], 3, "{changed:?}");
}
