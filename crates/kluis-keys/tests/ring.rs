//! The key ring's files: made, opened, refused.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt,
        path::{Path, PathBuf},
    };

    use kluis_keys::{KeyRing, KeysError, RootProvider, Zeroizing};
    use tempfile::TempDir;

    const PASSPHRASE: &str = "correct horse battery";

    fn keys_dir(dir: &TempDir) -> PathBuf {
        dir.path().join("keys")
    }

    fn key_file(dir: &TempDir) -> RootProvider {
        RootProvider::KeyFile(keys_dir(dir).join("root.key"))
    }

    fn passphrase(text: &str) -> RootProvider {
        RootProvider::Passphrase(Zeroizing::new(text.into()))
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn ring_opens_to_the_same_keys() {
        for provider in [None, Some(passphrase(PASSPHRASE))] {
            let dir = TempDir::new().unwrap();
            let provider = provider.unwrap_or_else(|| key_file(&dir));
            let made = KeyRing::create(&keys_dir(&dir), &provider).unwrap();
            let sealed = made.seal("ca", b"private key").unwrap();
            let opened = KeyRing::open(&keys_dir(&dir), &provider).unwrap();
            assert_eq!(opened.derive("index/1"), made.derive("index/1"));
            assert_eq!(opened.key_id("study", b"1.2.3"), made.key_id("study", b"1.2.3"));
            assert_eq!(opened.open_sealed("ca", &sealed).unwrap().as_slice(), b"private key");
            assert_eq!(
                opened.log_signer("objects").unwrap().public_key(),
                made.log_signer("objects").unwrap().public_key()
            );
        }
    }

    #[test]
    fn rings_and_purposes_share_nothing() {
        let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let ring = KeyRing::create(&keys_dir(&one), &key_file(&one)).unwrap();
        let other = KeyRing::create(&keys_dir(&two), &key_file(&two)).unwrap();
        assert_ne!(ring.derive("index/1"), ring.derive("keytable/1"));
        assert_ne!(ring.derive("index/1"), other.derive("index/1"));
        assert_ne!(ring.key_id("study", b"1.2"), ring.key_id("study", b"1.3"));
        assert_ne!(ring.key_id("study", b"1.2"), ring.key_id("stud", b"y1.2"));
        assert_ne!(ring.key_id("study", b"1.2"), other.key_id("study", b"1.2"));
        assert_ne!(ring.log_signer("objects").unwrap().public_key(), ring.log_signer("audit").unwrap().public_key());
        let sealed = ring.seal("ca", b"private key").unwrap();
        assert!(matches!(ring.open_sealed("session", &sealed), Err(KeysError::Sealed { .. })));
        assert!(matches!(other.open_sealed("ca", &sealed), Err(KeysError::Sealed { .. })));
    }

    #[test]
    fn sealed_value_opens_only_whole() {
        let dir = TempDir::new().unwrap();
        let ring = KeyRing::create(&keys_dir(&dir), &key_file(&dir)).unwrap();
        let sealed = ring.seal("ca", b"private key").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(ring.open_sealed("ca", &altered).is_err(), "byte {at}");
            assert!(ring.open_sealed("ca", &sealed[..at]).is_err(), "cut at {at}");
        }
        let mut unknown = sealed;
        unknown[4] = 9;
        assert!(matches!(ring.open_sealed("ca", &unknown), Err(KeysError::UnknownVersion { version: 9 })));
    }

    #[test]
    fn sealed_file_is_replaced_as_a_whole_and_shows_nothing() {
        let dir = TempDir::new().unwrap();
        let ring = KeyRing::create(&keys_dir(&dir), &key_file(&dir)).unwrap();
        assert!(ring.read_sealed_file("ca").unwrap().is_none());
        ring.write_sealed_file("ca", b"MARKER-one").unwrap();
        ring.write_sealed_file("ca", b"MARKER-two").unwrap();
        assert_eq!(ring.read_sealed_file("ca").unwrap().unwrap().as_slice(), b"MARKER-two");
        let stored = fs::read(keys_dir(&dir).join("ca.sealed")).unwrap();
        assert!(!stored.windows(6).any(|window| window == b"MARKER"));
        fs::rename(keys_dir(&dir).join("ca.sealed"), keys_dir(&dir).join("session.sealed")).unwrap();
        assert!(matches!(ring.read_sealed_file("session"), Err(KeysError::Sealed { .. })), "another file's content");
        for name in ["", "..", "a/b", "A", "a.b", &"a".repeat(65)] {
            assert!(matches!(ring.read_sealed_file(name), Err(KeysError::Name)), "{name:?}");
        }
    }

    #[test]
    fn files_are_closed_to_others_and_left_alone() {
        let dir = TempDir::new().unwrap();
        let ring = KeyRing::create(&keys_dir(&dir), &key_file(&dir)).unwrap();
        ring.write_sealed_file("ca", b"key").unwrap();
        assert_eq!(mode(&keys_dir(&dir)), 0o700);
        let mut names: Vec<_> = fs::read_dir(keys_dir(&dir))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["ca.sealed", "root.key", "tenant.json"], "nothing else is left behind");
        for name in names {
            assert_eq!(mode(&keys_dir(&dir).join(&name)), 0o600, "{name}");
        }
        assert!(matches!(KeyRing::create(&keys_dir(&dir), &key_file(&dir)), Err(KeysError::Exists { .. })));
    }

    #[test]
    fn open_refuses_what_others_can_read() {
        let dir = TempDir::new().unwrap();
        KeyRing::create(&keys_dir(&dir), &key_file(&dir)).unwrap();
        for (name, found, wanted) in [("root.key", 0o640, 0o600), ("tenant.json", 0o604, 0o600), ("", 0o710, 0o700)] {
            let path = keys_dir(&dir).join(name);
            let before = mode(&path);
            set_mode(&path, found);
            let error = KeyRing::open(&keys_dir(&dir), &key_file(&dir)).unwrap_err();
            assert!(matches!(error, KeysError::TooOpen { mode, .. } if mode == found), "{name}: {error}");
            assert!(error.to_string().contains(&format!("chmod {wanted:o}")), "{error}");
            set_mode(&path, before);
        }
        KeyRing::open(&keys_dir(&dir), &key_file(&dir)).unwrap();
    }

    #[test]
    fn open_names_what_is_wrong_with_a_key_file() {
        let dir = TempDir::new().unwrap();
        KeyRing::create(&keys_dir(&dir), &key_file(&dir)).unwrap();
        let path = keys_dir(&dir).join("root.key");
        let good = fs::read_to_string(&path).unwrap();
        let mut flipped = good.clone().into_bytes();
        flipped[25] = if flipped[25] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        for bad in
            ["", "x", "kluis root key 2\nAAAA\n", "kluis root key 1\n!!!!\n", "kluis root key 1\nAAAA\n", &flipped]
        {
            fs::write(&path, bad).unwrap();
            let error = KeyRing::open(&keys_dir(&dir), &key_file(&dir)).unwrap_err();
            assert!(matches!(error, KeysError::Damaged { .. }), "{bad:?}: {error}");
        }
        fs::remove_file(&path).unwrap();
        let error = KeyRing::open(&keys_dir(&dir), &key_file(&dir)).unwrap_err();
        assert!(matches!(error, KeysError::FileMissing { .. }), "{error}");
        let other = TempDir::new().unwrap();
        KeyRing::create(&keys_dir(&other), &key_file(&other)).unwrap();
        let error = KeyRing::open(&keys_dir(&dir), &key_file(&other)).unwrap_err();
        assert!(matches!(error, KeysError::WrongRootKey { .. }), "{error}");
        fs::write(&path, good).unwrap();
        set_mode(&path, 0o600);
        KeyRing::open(&keys_dir(&dir), &key_file(&dir)).unwrap();
    }

    #[test]
    fn passphrase_is_checked_and_its_cost_is_held() {
        let dir = TempDir::new().unwrap();
        let short = KeyRing::create(&keys_dir(&dir), &passphrase("elevenchars")).unwrap_err();
        assert!(matches!(short, KeysError::PassphraseTooShort { .. }), "{short}");
        KeyRing::create(&keys_dir(&dir), &passphrase(PASSPHRASE)).unwrap();
        let wrong = KeyRing::open(&keys_dir(&dir), &passphrase("correct horse batterz")).unwrap_err();
        assert!(matches!(wrong, KeysError::WrongPassphrase), "{wrong}");
        let path = keys_dir(&dir).join("root.json");
        let good = fs::read_to_string(&path).unwrap();
        let changes = [
            ("\"memory_kib\": 65536", "\"memory_kib\": 1024"),
            ("\"memory_kib\": 65536", "\"memory_kib\": 4000000000"),
            ("\"passes\": 3", "\"passes\": 1"),
            ("\"lanes\": 1", "\"lanes\": 0"),
            ("argon2id", "argon2i"),
            ("\"format\": 1", "\"format\": 2"),
            ("\"lanes\": 1", "\"lanes\": 1, \"more\": 1"),
        ];
        for (from, to) in changes {
            assert!(good.contains(from), "{from}");
            fs::write(&path, good.replace(from, to)).unwrap();
            let error = KeyRing::open(&keys_dir(&dir), &passphrase(PASSPHRASE)).unwrap_err();
            assert!(matches!(error, KeysError::Damaged { .. }), "{to}: {error}");
        }
    }

    #[test]
    fn set_up_that_did_not_end_goes_on() {
        for provider in [None, Some(passphrase(PASSPHRASE))] {
            let dir = TempDir::new().unwrap();
            let provider = provider.unwrap_or_else(|| key_file(&dir));
            KeyRing::create(&keys_dir(&dir), &provider).unwrap();
            fs::remove_file(keys_dir(&dir).join("tenant.json")).unwrap();
            KeyRing::create(&keys_dir(&dir), &provider).unwrap();
            KeyRing::open(&keys_dir(&dir), &provider).unwrap();
        }
    }
}
