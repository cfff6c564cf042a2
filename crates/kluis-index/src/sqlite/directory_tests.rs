//! The directory and the key table against what their traits promise.

use kluis_identity::{Device, Directory, DirectoryError, EnrolmentCode, SecretHash, Session, Token, User};
use kluis_keys::{KeyId, KeyTable, WrappedKey};
use kluis_policy::Role;
use time::{Duration, OffsetDateTime};

use super::{SqliteDirectory, SqliteKeyTable};

const KEY: [u8; 32] = [7; 32];

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
}

pub(super) fn user(name: &str) -> User {
    User { name: name.to_owned(), role: Role::Referrer, referring: Some("Dijk^Anna".to_owned()), created_at: at(1) }
}

fn device(ae: &str, key: char) -> Device {
    Device {
        ae: ae.parse().unwrap(),
        key_fingerprint: key.to_string().repeat(64),
        rights: "store,find".parse().unwrap(),
        address: Some("10.0.0.1:104".to_owned()),
        certificate_pem: "PEM".to_owned(),
        created_at: at(1),
        expires_at: at(2),
    }
}

fn token(name: &str, hash: u8) -> Token {
    let hash = SecretHash([hash; 32]);
    Token { name: name.to_owned(), role: Role::Admin, referring: None, hash, created_at: at(1), expires_at: at(100) }
}

fn session(hash: u8, user: &str) -> Session {
    let (hash, user) = (SecretHash([hash; 32]), user.to_owned());
    Session { hash, user, created_at: at(1), expires_at: at(100), last_seen_at: at(10) }
}

fn code(hash: u8, user: &str) -> EnrolmentCode {
    EnrolmentCode { hash: SecretHash([hash; 32]), user: user.to_owned(), expires_at: at(50) }
}

fn open(directory: &tempfile::TempDir) -> SqliteDirectory {
    SqliteDirectory::open(&directory.path().join("directory.db"), &KEY).unwrap()
}

fn exists<T: std::fmt::Debug>(outcome: Result<T, DirectoryError>, what: &str) {
    assert!(matches!(&outcome, Err(DirectoryError::AlreadyExists(found)) if *found == what), "{outcome:?}");
}

fn missing<T: std::fmt::Debug>(outcome: Result<T, DirectoryError>, what: &str) {
    assert!(matches!(&outcome, Err(DirectoryError::NotFound(found)) if *found == what), "{outcome:?}");
}

#[tokio::test]
async fn t01_nobody_is_enrolled_while_there_is_only_an_unused_code() {
    let place = tempfile::tempdir().unwrap();
    let directory = open(&place);
    assert!(!directory.has_enrolled().await.unwrap(), "empty");
    directory.add_user(&user("anna")).await.unwrap();
    directory.set_code(&code(1, "anna")).await.unwrap();
    assert!(!directory.has_enrolled().await.unwrap(), "an unused code");
    directory.take_code(SecretHash([1; 32])).await.unwrap();
    assert!(directory.has_enrolled().await.unwrap(), "its code was used");
    directory.remove_user("anna").await.unwrap();
    assert!(!directory.has_enrolled().await.unwrap());
    directory.add_token(&token("pacs", 2)).await.unwrap();
    assert!(directory.has_enrolled().await.unwrap(), "a token");
    directory.remove_token("pacs").await.unwrap();
    directory.add_device(&device("CT", 'a')).await.unwrap();
    assert!(directory.has_enrolled().await.unwrap(), "a device");
}

#[tokio::test]
async fn devices() {
    let place = tempfile::tempdir().unwrap();
    let directory = open(&place);
    directory.add_device(&device("CT2", 'b')).await.unwrap();
    directory.add_device(&device("CT1", 'a')).await.unwrap();
    exists(directory.add_device(&device("CT1", 'c')).await, "device");
    exists(directory.add_device(&device("CT3", 'a')).await, "key");
    drop(directory);
    let directory = open(&place);
    assert_eq!(directory.device(&"CT1".parse().unwrap()).await.unwrap(), Some(device("CT1", 'a')));
    assert_eq!(directory.device_by_key(&"b".repeat(64)).await.unwrap(), Some(device("CT2", 'b')));
    assert_eq!(directory.device_by_key(&"c".repeat(64)).await.unwrap(), None);
    assert_eq!(directory.devices().await.unwrap(), [device("CT1", 'a'), device("CT2", 'b')]);
    directory.remove_device(&"CT1".parse().unwrap()).await.unwrap();
    missing(directory.remove_device(&"CT1".parse().unwrap()).await, "device");
    assert_eq!(directory.device_by_key(&"a".repeat(64)).await.unwrap(), None);
}

#[tokio::test]
async fn users_codes_and_sessions() {
    let place = tempfile::tempdir().unwrap();
    let directory = open(&place);
    missing(directory.set_code(&code(1, "anna")).await, "user");
    missing(directory.add_session(&session(1, "anna")).await, "user");
    for name in ["bob", "anna"] {
        directory.add_user(&user(name)).await.unwrap();
    }
    exists(directory.add_user(&user("anna")).await, "user");
    assert_eq!(directory.users().await.unwrap(), [user("anna"), user("bob")]);
    assert_eq!(directory.user("anna").await.unwrap(), Some(user("anna")));

    directory.set_code(&code(1, "anna")).await.unwrap();
    directory.set_code(&code(2, "anna")).await.unwrap();
    assert_eq!(directory.take_code(SecretHash([1; 32])).await.unwrap(), None, "the code before it is gone");
    let (first, second) =
        tokio::join!(directory.take_code(SecretHash([2; 32])), directory.take_code(SecretHash([2; 32])));
    let taken: Vec<_> = [first.unwrap(), second.unwrap()].into_iter().flatten().collect();
    assert_eq!(taken, [(code(2, "anna"), user("anna"))], "one of two gets it");

    directory.add_session(&session(1, "anna")).await.unwrap();
    exists(directory.add_session(&session(1, "bob")).await, "session");
    directory.touch_session(SecretHash([1; 32]), at(20)).await.unwrap();
    directory.touch_session(SecretHash([1; 32]), at(15)).await.unwrap();
    directory.touch_session(SecretHash([9; 32]), at(20)).await.unwrap();
    let touched = Session { last_seen_at: at(20), ..session(1, "anna") };
    assert_eq!(directory.session(SecretHash([1; 32])).await.unwrap(), Some((touched, user("anna"))));
    assert_eq!(directory.session(SecretHash([9; 32])).await.unwrap(), None);

    directory.set_code(&code(3, "anna")).await.unwrap();
    directory.add_session(&session(2, "bob")).await.unwrap();
    directory.remove_user("anna").await.unwrap();
    missing(directory.remove_user("anna").await, "user");
    assert_eq!(directory.session(SecretHash([1; 32])).await.unwrap(), None, "the sessions go with the user");
    assert_eq!(directory.take_code(SecretHash([3; 32])).await.unwrap(), None, "and the code");
    assert!(directory.session(SecretHash([2; 32])).await.unwrap().is_some());
    for _ in 0..2 {
        directory.remove_session(SecretHash([2; 32])).await.unwrap();
        assert_eq!(directory.session(SecretHash([2; 32])).await.unwrap(), None);
    }
}

#[tokio::test]
async fn tokens_and_purge() {
    let place = tempfile::tempdir().unwrap();
    let directory = open(&place);
    directory.add_user(&user("anna")).await.unwrap();
    directory.add_token(&token("b", 2)).await.unwrap();
    directory.add_token(&token("a", 1)).await.unwrap();
    exists(directory.add_token(&token("a", 3)).await, "token");
    exists(directory.add_token(&token("c", 1)).await, "token");
    assert_eq!(directory.token(SecretHash([2; 32])).await.unwrap(), Some(token("b", 2)));
    assert_eq!(directory.token(SecretHash([3; 32])).await.unwrap(), None);
    assert_eq!(directory.tokens().await.unwrap(), [token("a", 1), token("b", 2)]);
    directory.remove_token("a").await.unwrap();
    missing(directory.remove_token("a").await, "token");

    directory.set_code(&code(3, "anna")).await.unwrap();
    directory.add_session(&session(1, "anna")).await.unwrap();
    directory.add_session(&Session { last_seen_at: at(30), ..session(2, "anna") }).await.unwrap();
    assert_eq!(directory.purge(at(49), at(9)).await.unwrap(), 0);
    assert_eq!(directory.purge(at(50), at(10)).await.unwrap(), 2, "the code at its end, the session that lay idle");
    assert!(directory.session(SecretHash([2; 32])).await.unwrap().is_some());
    assert_eq!(directory.purge(at(100), at(10)).await.unwrap(), 2, "the session and the token at their end");
    assert!(directory.tokens().await.unwrap().is_empty());
}

#[tokio::test]
async fn key_table() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("keys.db");
    let table = SqliteKeyTable::open(&path, &KEY).unwrap();
    let (id, wrapped) = (|byte| KeyId([byte; 32]), |byte| WrappedKey(vec![byte; 61]));
    let (first, second) = tokio::join!(table.put(id(1), wrapped(1)), table.put(id(1), wrapped(2)));
    let stored = first.unwrap();
    assert_eq!(stored, second.unwrap(), "of two that come together one wins");
    assert_eq!(table.put(id(1), wrapped(3)).await.unwrap(), stored);
    for byte in [4, 0, 2] {
        assert_eq!(table.put(id(byte), wrapped(byte)).await.unwrap(), wrapped(byte));
    }
    drop(table);
    let table = SqliteKeyTable::open(&path, &KEY).unwrap();
    assert_eq!(table.get(id(1)).await.unwrap(), Some(stored.clone()));
    assert_eq!(table.get(id(9)).await.unwrap(), None);
    let all = [(id(0), wrapped(0)), (id(1), stored), (id(2), wrapped(2)), (id(4), wrapped(4))];
    assert_eq!(table.list(None, 10).await.unwrap(), all);
    assert_eq!(table.list(Some(id(0)), 2).await.unwrap(), all[1..3]);
    assert_eq!(table.list(Some(id(3)), 10).await.unwrap(), all[3..]);
    assert!(table.destroy(id(2)).await.unwrap());
    assert!(!table.destroy(id(2)).await.unwrap());
    assert_eq!(table.get(id(2)).await.unwrap(), None);
    let log = std::fs::metadata(place.path().join("keys.db-wal")).unwrap();
    assert_eq!(log.len(), 0, "no earlier state is left in the log");
    assert_eq!(table.put(id(2), wrapped(5)).await.unwrap(), wrapped(5), "a destroyed key does not come back");
}
