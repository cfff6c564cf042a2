//! Known answers and the forms of the C2SP specifications.

use time::macros::datetime;

use super::{SeedSigner, hex, reference_root};
use crate::{
    Checkpoint, Hash, Signer, TileKind, TilePath, VerifierKey,
    checkpoint::CheckpointError,
    empty_root,
    event::{AuditEvent, Detail, Door, Kind, Outcome, StudyId},
    leaf_hash,
    note::NoteError,
};

/// Leaves and roots that implementations of RFC 6962 share as test vectors.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn known_leaves() -> Vec<Hash> {
    LEAVES.iter().map(|leaf| leaf_hash(&hex(leaf))).collect()
}

#[test]
fn roots_of_rfc_6962() {
    let leaves = known_leaves();
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(reference_root(&leaves[..size]).to_vec(), hex(root), "{size}");
    }
    let place = super::Place::new();
    let log = place.open();
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(log.root(size as u64).unwrap().to_vec(), hex(root), "{size}");
        if let Some(leaf) = LEAVES.get(size) {
            log.append(&[hex(leaf)]).unwrap();
        }
    }
    let path = log.inclusion_proof(0, 8).unwrap();
    let expected = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(path.iter().map(|hash| hash.to_vec()).collect::<Vec<_>>(), expected.map(hex));
}

#[test]
fn tile_paths_have_one_spelling() {
    for (kind, index, width, text) in [
        (TileKind::Hashes(0), 0, None, "tile/0/000"),
        (TileKind::Hashes(63), 1_234_067, None, "tile/63/x001/x234/067"),
        (TileKind::Hashes(1), 999, Some(255), "tile/1/999.p/255"),
        (TileKind::Entries, 1000, Some(1), "tile/entries/x001/000.p/1"),
        (TileKind::Entries, u64::MAX, None, "tile/entries/x018/x446/x744/x073/x709/x551/615"),
    ] {
        let path = TilePath { kind, index, width };
        assert_eq!(path.to_string(), text);
        assert_eq!(TilePath::parse(text), Some(path));
    }
    for text in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/x01/000",
        "tile/0/+12",
        "tile/0/ 12",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/1.p/1",
        "tile/0/000/",
        "/tile/0/000",
        "tile//000",
        "tile/0/../0/000",
        "tile/entries/..",
        "tile/entries/000\0",
        "tile/Entries/000",
        "tile/0/000.new",
        "tile/0/000?x",
        "tile\\0\\000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/\u{661}12",
    ] {
        assert_eq!(TilePath::parse(text), None, "{text:?}");
    }
}

#[test]
fn a_log_of_70000_has_the_tiles_of_the_specification() {
    let within = |text: &str| TilePath::parse(text).unwrap().is_within(70_000);
    for text in
        ["tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/272"]
    {
        assert!(within(text), "{text}");
    }
    for text in [
        "tile/0/273",
        "tile/0/273.p/113",
        "tile/0/272.p/1",
        "tile/1/001",
        "tile/2/000",
        "tile/2/000.p/2",
        "tile/3/000.p/1",
    ] {
        assert!(!within(text), "{text}");
    }
    assert!(!TilePath::parse("tile/1/000.p/1").unwrap().is_within(255));
    assert!(TilePath::parse("tile/1/000.p/1").unwrap().is_within(256));
}

#[test]
fn a_note_that_others_made_is_read() {
    let key: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let note = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\n\
                \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    assert!(key.open(note).unwrap().ends_with("your problem is.\n"));
    assert_eq!(key.to_string(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    assert_eq!(key.open(&note.replace("answer", "Answer")), Err(NoteError::Signature));
    assert_eq!(key.open(&note.replace("\u{2014} PeterNeumann", "\u{2014} Somebody")), Err(NoteError::NotSigned));
    for broken in
        [note.trim_end(), &note.replace("\n\n", "\n"), &note.replace('\u{2014}', "-"), &note.replace("think", "\t")]
    {
        assert_eq!(key.open(broken), Err(NoteError::Form), "{broken}");
    }
}

#[test]
fn signatures_of_other_keys_are_passed_over_even_under_the_same_name() {
    let keys: Vec<_> = [1, 2]
        .map(|seed| (VerifierKey::new("a.b/c", SeedSigner::new(seed).public_key()).unwrap(), SeedSigner::new(seed)))
        .into();
    let text = Checkpoint::text("a.b/c", 1, &empty_root());
    let [first, second] = [0, 1].map(|index: usize| keys[index].0.seal(&text, keys[index].1.as_ref()));
    let line = second.lines().last().unwrap();
    let both = format!("{first}{line}\n");
    assert_eq!(keys[0].0.open(&both), Ok(text.as_str()));
    assert_eq!(keys[1].0.open(&both), Ok(text.as_str()));
    assert_eq!(keys[1].0.open(&first), Err(NoteError::NotSigned));
}

#[test]
fn verifier_keys_are_read_strictly() {
    let key = VerifierKey::new("a.b/c", SeedSigner::new(1).public_key()).unwrap();
    let text = key.to_string();
    assert_eq!(text.parse(), Ok(key.clone()));
    let other = VerifierKey::new("a.b/d", *key.public_key()).unwrap();
    assert_ne!(key.id(), other.id(), "the name is part of the hash");
    for broken in ["", "a", "a+b", &text.replace("a.b/c", "a.b/d"), &text[..text.len() - 4], &format!("{text}AA")] {
        assert_eq!(broken.parse::<VerifierKey>(), Err(NoteError::VerifierKey), "{broken}");
    }
    for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb", &"a".repeat(256)] {
        assert!(VerifierKey::new(name, [0; 32]).is_err(), "{name:?}");
    }
}

#[test]
fn a_checkpoint_is_of_its_log_only() {
    let signer = SeedSigner::new(1);
    let key = VerifierKey::new("a.b/c", signer.public_key()).unwrap();
    let seal = |text: &str| key.seal(text, signer.as_ref());
    let good = Checkpoint::text("a.b/c", 12, &empty_root());
    assert_eq!(good, "a.b/c\n12\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
    let checkpoint = Checkpoint::open(&seal(&good), &key).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (12, empty_root()));
    assert!(Checkpoint::open(&seal(&format!("{good}an extension\n")), &key).is_ok());

    let other = Checkpoint::text("a.b/d", 12, &empty_root());
    assert_eq!(Checkpoint::open(&seal(&other), &key), Err(CheckpointError::Origin));
    for broken in [
        good.replace("\n12\n", "\n012\n"),
        good.replace("\n12\n", "\n+12\n"),
        good.replace("\n12\n", "\n-1\n"),
        good.replace("\n12\n", "\n18446744073709551616\n"),
        good.replace("47DE", "47D"),
        "a.b/c\n12\nAAAA\n".to_owned(),
        "a.b/c\n12\n".to_owned(),
    ] {
        assert_eq!(Checkpoint::open(&seal(&broken), &key), Err(CheckpointError::Form), "{broken}");
    }
}

#[test]
fn an_event_is_a_leaf_and_comes_back() {
    let mut event = AuditEvent::new(datetime!(2026-03-01 09:00 +1), Kind::End, "retrieve", Door::Web);
    assert_eq!(
        String::from_utf8(event.to_leaf().unwrap()).unwrap(),
        r#"{"time":"2026-03-01T08:00:00Z","kind":"end","act":"retrieve","door":"web"}"#
    );
    event.principal = Some("person:jansen".into());
    event.origin = Some("[fd00::1]:4711".parse().unwrap());
    event.study = Some(StudyId([0xab; 32]));
    event.begin = Some(41);
    event.count = Some(1200);
    event.outcome = Some(Outcome::Done);
    event.detail = Some(Detail::NotOwnStudy);
    let leaf = event.to_leaf().unwrap();
    assert_eq!(AuditEvent::from_leaf(&leaf).unwrap(), event);
    assert!(String::from_utf8(leaf).unwrap().contains(&format!(r#""study":"{}""#, "ab".repeat(32))));
}

#[test]
fn an_event_has_no_room_for_free_text() {
    let event = AuditEvent::new(datetime!(2026-03-01 08:00 UTC), Kind::Deny, "store", Door::Dimse);
    for label in ["person:a\nb".to_owned(), "x".repeat(97)] {
        let event = AuditEvent { principal: Some(label), ..event.clone() };
        assert!(event.to_leaf().is_err());
    }
    let leaf = String::from_utf8(event.to_leaf().unwrap()).unwrap();
    for broken in [
        leaf.replace("}", r#","note":"MUSTERMANN^MAX"}"#),
        leaf.replace("store", "Store 1.2.3"),
        leaf.replace("dimse", "window"),
        leaf.replace("}", r#","study":"1.2.840"}"#),
        leaf.replace("}", r#","detail":"whatever"}"#),
        String::new(),
    ] {
        assert!(AuditEvent::from_leaf(broken.as_bytes()).is_err(), "{broken}");
    }
}
