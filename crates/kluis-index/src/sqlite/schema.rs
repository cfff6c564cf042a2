//! The tables. A change is a new version and a step that leads to it; steps are never edited.
//!
//! UIDs are looked up by the first 8 bytes of their SHA-256 and always compared as text afterwards.

/// One database file of ours.
pub(super) struct Schema {
    /// `PRAGMA application_id`: which of our files this is.
    pub application_id: i32,
    /// Step n leads from version n to n + 1; a new file takes them all.
    pub steps: &'static [&'static str],
}

/// `index.db`: derived from the packs, may be deleted.
pub(super) const INDEX: Schema = Schema { application_id: 0x4B4C_5531, steps: &[INDEX_1] };

/// `directory.db`: devices, users, tokens, sessions. Not derived from anything.
pub(super) const DIRECTORY: Schema = Schema { application_id: 0x4B4C_5532, steps: &[DIRECTORY_1] };

/// `keys.db`: wrapped study keys. Not derived from anything.
pub(super) const KEYS: Schema = Schema { application_id: 0x4B4C_5533, steps: &[KEYS_1] };

/// `outbox.db`: what is still to be done for others. Not derived from anything.
pub(super) const OUTBOX: Schema = Schema { application_id: 0x4B4C_5535, steps: &[OUTBOX_1] };

/// `worklist.db`: entries of the worklist and performed procedure steps. Not derived from anything.
pub(super) const WORKLIST: Schema = Schema { application_id: 0x4B4C_5534, steps: &[WORKLIST_1] };

/// `number_order` is Instance or Series Number, the largest integer where there is none. Text that is no date or time
/// stands as `''` in the columns of dates. `study_text` holds the trigrams of the folded names and the description;
/// `name_group` the ideographic and phonetic groups of names (PS3.5 6.2.1), of which most archives have none;
/// `sealed_instance` the SOP Instance UIDs of all manifests, by hash. `series_study` holds all that a list of studies counts.
const INDEX_1: &str = "
CREATE TABLE study (
  study_key INTEGER PRIMARY KEY,
  uid TEXT NOT NULL,
  uid_hash INTEGER NOT NULL,
  key_id BLOB NOT NULL,
  patient_id TEXT NOT NULL,
  patient_name_folded TEXT NOT NULL,
  birth_date TEXT NOT NULL,
  study_date TEXT NOT NULL,
  study_time TEXT NOT NULL,
  accession TEXT NOT NULL,
  description TEXT NOT NULL,
  referring TEXT NOT NULL,
  referring_folded TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  attributes TEXT NOT NULL
) STRICT;
CREATE INDEX study_uid ON study (uid_hash);
CREATE INDEX study_patient ON study (patient_id, study_date);
CREATE INDEX study_name ON study (patient_name_folded, study_date);
CREATE INDEX study_day ON study (study_date);
CREATE INDEX study_accession ON study (accession, study_date);
CREATE INDEX study_referring ON study (referring_folded, study_date);
CREATE INDEX study_birth ON study (birth_date, study_date);

CREATE TABLE study_modality (
  modality TEXT NOT NULL,
  study_date TEXT NOT NULL,
  study_key INTEGER NOT NULL REFERENCES study,
  PRIMARY KEY (modality, study_date, study_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE name_group (
  kind INTEGER NOT NULL,
  folded TEXT NOT NULL,
  study_key INTEGER NOT NULL REFERENCES study,
  PRIMARY KEY (kind, folded, study_key)
) STRICT, WITHOUT ROWID;

CREATE VIRTUAL TABLE study_text USING fts5 (
  text, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1'
);

CREATE TABLE series (
  series_key INTEGER PRIMARY KEY,
  study_key INTEGER NOT NULL REFERENCES study,
  uid TEXT NOT NULL,
  uid_hash INTEGER NOT NULL,
  modality TEXT NOT NULL,
  number_order INTEGER NOT NULL,
  manifest_pack INTEGER,
  manifest_offset INTEGER,
  manifest_length INTEGER,
  sealed_count INTEGER NOT NULL DEFAULT 0,
  sealed_data_length INTEGER NOT NULL DEFAULT 0,
  is_hot INTEGER NOT NULL,
  last_arrival INTEGER NOT NULL,
  attributes TEXT NOT NULL
) STRICT;
CREATE INDEX series_study ON series (study_key, number_order, modality, is_hot, sealed_count);
CREATE INDEX series_uid ON series (uid_hash);
CREATE INDEX series_quiet ON series (last_arrival) WHERE is_hot = 1;

CREATE TABLE instance (
  instance_key INTEGER PRIMARY KEY,
  series_key INTEGER NOT NULL REFERENCES series,
  sop_uid TEXT NOT NULL,
  sop_hash INTEGER NOT NULL,
  sop_class TEXT NOT NULL,
  number_order INTEGER NOT NULL,
  pack INTEGER NOT NULL,
  pack_offset INTEGER NOT NULL,
  pack_length INTEGER NOT NULL,
  object_id BLOB NOT NULL,
  transfer_syntax TEXT NOT NULL,
  data_set_length INTEGER NOT NULL,
  digest BLOB NOT NULL,
  sender TEXT NOT NULL,
  transport TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  attributes TEXT NOT NULL
) STRICT;
CREATE INDEX instance_sop ON instance (sop_hash);
CREATE INDEX instance_series ON instance (series_key, number_order);

CREATE TABLE sealed_instance (
  sop_hash INTEGER NOT NULL,
  series_key INTEGER NOT NULL REFERENCES series,
  PRIMARY KEY (sop_hash, series_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE conflict_version (
  conflict_key INTEGER PRIMARY KEY,
  study_uid TEXT NOT NULL,
  study_hash INTEGER NOT NULL,
  series_uid TEXT NOT NULL,
  sop_uid TEXT NOT NULL,
  sop_hash INTEGER NOT NULL,
  sop_class TEXT NOT NULL,
  pack INTEGER NOT NULL,
  pack_offset INTEGER NOT NULL,
  pack_length INTEGER NOT NULL,
  object_id BLOB NOT NULL,
  key_id BLOB NOT NULL,
  transfer_syntax TEXT NOT NULL,
  data_set_length INTEGER NOT NULL,
  digest BLOB NOT NULL,
  sender TEXT NOT NULL,
  transport TEXT NOT NULL,
  received_at INTEGER NOT NULL
) STRICT;
CREATE INDEX conflict_sop ON conflict_version (sop_hash);
CREATE INDEX conflict_study ON conflict_version (study_hash);

CREATE TABLE watermark (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  pack INTEGER NOT NULL,
  pack_offset INTEGER NOT NULL,
  objects_size INTEGER NOT NULL,
  audit_size INTEGER NOT NULL
) STRICT;

CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL) STRICT;
INSERT INTO checkpoint VALUES (1, 0);
";

const DIRECTORY_1: &str = "
CREATE TABLE device (
  ae TEXT PRIMARY KEY,
  key_fingerprint TEXT NOT NULL UNIQUE,
  rights TEXT NOT NULL,
  address TEXT,
  certificate_pem TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE user (
  name TEXT PRIMARY KEY,
  role TEXT NOT NULL,
  referring TEXT,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE code (
  hash BLOB PRIMARY KEY,
  user TEXT NOT NULL UNIQUE REFERENCES user ON DELETE CASCADE,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  hash BLOB PRIMARY KEY,
  user TEXT NOT NULL REFERENCES user ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_user ON session (user);

CREATE TABLE token (
  name TEXT PRIMARY KEY,
  role TEXT NOT NULL,
  referring TEXT,
  hash BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// `entry.state`: 0 scheduled, 1 started, 2 completed, 3 discontinued; `step.state`: 0 in progress, 1 completed,
/// 2 discontinued. `entry.stations` has AE titles each between backslashes.
const WORKLIST_1: &str = "
CREATE TABLE entry (
  entry_key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  study_uid TEXT NOT NULL,
  step_id TEXT NOT NULL,
  start_date TEXT NOT NULL,
  start_time TEXT NOT NULL,
  stations TEXT NOT NULL,
  state INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  attributes TEXT NOT NULL,
  UNIQUE (study_uid, step_id)
) STRICT;
CREATE INDEX entry_start ON entry (start_date, start_time, entry_key, state, stations);
CREATE INDEX entry_ended ON entry (changed_at) WHERE state >= 2;

CREATE TABLE step (
  step_key INTEGER PRIMARY KEY,
  uid TEXT NOT NULL UNIQUE,
  sender TEXT NOT NULL,
  study_uid TEXT NOT NULL,
  state INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  attributes TEXT NOT NULL
) STRICT;

CREATE TABLE performed (
  step_key INTEGER NOT NULL REFERENCES step ON DELETE CASCADE,
  entry_key INTEGER NOT NULL REFERENCES entry ON DELETE CASCADE,
  PRIMARY KEY (step_key, entry_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX performed_entry ON performed (entry_key);
";

const KEYS_1: &str = "
CREATE TABLE wrapped_key (
  id BLOB PRIMARY KEY,
  wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

const OUTBOX_1: &str = "
CREATE TABLE job (
  job_key INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  destination TEXT NOT NULL,
  subject TEXT NOT NULL,
  payload TEXT NOT NULL,
  priority INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  pack INTEGER,
  pack_offset INTEGER,
  is_done INTEGER NOT NULL DEFAULT 0,
  UNIQUE (kind, destination, subject)
) STRICT;
CREATE INDEX job_order ON job (kind, destination, priority DESC, job_key) WHERE is_done = 0;
CREATE INDEX job_backlog ON job (kind, destination, due_at, attempts) WHERE is_done = 0;
CREATE INDEX job_done ON job (pack, pack_offset) WHERE is_done = 1;
";
