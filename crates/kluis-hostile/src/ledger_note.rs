//! Signed notes, checkpoints, names of tiles, bundles and audit events (C2SP signed-note, tlog-checkpoint, tlog-tiles): only
//! what our key signed is believed, and everything has one spelling.

use base64::prelude::{BASE64_STANDARD, Engine};
use kluis_keys::LogSigner;
use kluis_ledger::{Checkpoint, TileKind, TilePath, VerifierKey, event::AuditEvent, limits};

use crate::input::Input;

/// Name of the log.
const ORIGIN: &str = "kluis.example/log";

/// `which (1) | text`
pub fn ledger_note(data: &[u8]) {
    let mut input = Input(data);
    let which = input.byte();
    let text = String::from_utf8_lossy(input.0);
    match which % 5 {
        0 => unsigned(&text),
        1 => signed(&mut input),
        2 => tile(&text),
        3 => key(&text),
        _ => event(input.0),
    }
}

fn signer() -> Option<(LogSigner, VerifierKey)> {
    let signer = LogSigner::from_seed(&[7; 32]).ok()?;
    let key = VerifierKey::new(ORIGIN, signer.public_key()).ok()?;
    Some((signer, key))
}

/// A note that was not signed by our key is not believed. (Whoever can make one has broken Ed25519.)
fn unsigned(note: &str) {
    let Some((signer, key)) = signer() else { return };
    let opened = key.open(note);
    if let Ok(text) = opened {
        assert!(note.starts_with(text));
        let line = signature(&signer, &key, text);
        assert!(note.contains(line.trim_end()), "a note is believed that the key did not sign");
    }
    let _ = Checkpoint::open(note, &key);
}

fn signature(signer: &LogSigner, key: &VerifierKey, text: &str) -> String {
    let bytes = [key.id().as_slice(), &signer.sign(text.as_bytes())].concat();
    format!("\u{2014} {ORIGIN} {}\n", BASE64_STANDARD.encode(bytes))
}

/// `place (4) | flip (1) | text`: our key signs any text; then one byte of the note is changed.
fn signed(input: &mut Input<'_>) {
    let Some((signer, key)) = signer() else { return };
    let (place, flip) = (input.long() as usize, input.byte());
    let text = format!("{}\n", String::from_utf8_lossy(input.0));
    let note = format!("{text}\n{}", signature(&signer, &key, &text));
    let is_clean = !text.chars().any(|c| c < ' ' && c != '\n') && note.len() <= limits::NOTE_BYTES;
    let opened = key.open(&note);
    assert_eq!(opened.is_ok(), is_clean, "our own signature: {:?}", opened.err());
    if !is_clean {
        return;
    }
    assert_eq!(opened, Ok(text.as_str()), "another text than the one that was signed");
    if let Ok(checkpoint) = Checkpoint::open(&note, &key) {
        assert_eq!(checkpoint.origin, ORIGIN);
        let said = Checkpoint::text(ORIGIN, checkpoint.size, &checkpoint.root);
        assert!(text.starts_with(&said), "a checkpoint with two spellings");
    }
    let mut bytes = note.clone().into_bytes();
    let at = place % bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= flip;
    }
    let Ok(changed) = String::from_utf8(bytes) else { return };
    if flip == 0 {
        return;
    }
    match key.open(&changed) {
        Ok(believed) => assert_eq!(believed, text, "a changed text is believed"),
        Err(_) => assert!(changed != note),
    }
}

/// The one spelling of a tile's path.
fn tile(text: &str) {
    let Some(path) = TilePath::parse(text) else { return };
    assert_eq!(path.to_string(), text);
    assert!(text.len() <= limits::PATH_BYTES);
    assert!(path.width != Some(0));
    if let TileKind::Hashes(level) = path.kind {
        assert!(level <= 63);
    }
    assert!(!path.is_within(0), "a tile of an empty log");
    for size in [1, 255, 256, 257, 65_536, u64::MAX] {
        let is_full_and_within = path.width.is_none() && path.is_within(size);
        if is_full_and_within && size < u64::MAX {
            assert!(path.is_within(size + 1), "a full tile goes away as the log grows");
        }
    }
}

fn key(text: &str) {
    let Ok(key) = text.parse::<VerifierKey>() else { return };
    assert!((1..=limits::NAME_BYTES).contains(&key.name().len()));
    let spelled = key.to_string();
    assert_eq!(spelled.parse(), Ok(key.clone()));
    assert!(key.open(text).is_err());
}

/// An event that is read is written and read again the same.
fn event(leaf: &[u8]) {
    let Ok(event) = AuditEvent::from_leaf(leaf) else { return };
    let written = event.to_leaf();
    assert!(written.is_ok(), "an event that was read cannot be written");
    let written = written.unwrap_or_default();
    assert!(written.len() <= limits::ENTRY_BYTES);
    assert!(AuditEvent::from_leaf(&written).is_ok_and(|again| again == event), "written and read, it is another event");
}
