//! Manipulations of the databases, by somebody who has their keys.

use std::path::Path;

use kluis_testkit::random::Random;
use rusqlite::Connection;

use super::{packs::Manipulation, stage::Stage, wanted::Wanted};

pub const KINDS: &[(&str, Manipulation)] = &[
    ("index: the name of a patient", |stage, random| {
        one(
            stage,
            random,
            "study",
            "patient_name_folded = 'another^name', attributes = replace(attributes, 'Proof', 'Else')",
        )
    }),
    ("index: the name of a patient as it is shown", |stage, random| {
        one(stage, random, "study", "attributes = replace(attributes, 'Proof', 'Else')")
    }),
    ("index: a patient ID", |stage, random| one(stage, random, "study", "patient_id = 'P999999'")),
    ("index: a study date", |stage, random| one(stage, random, "study", "study_date = '19990101'")),
    ("index: a referring physician", |stage, random| {
        one(stage, random, "study", "referring = 'X^Y', referring_folded = 'x^y'")
    }),
    ("index: a birth date", |stage, random| one(stage, random, "study", "birth_date = '19700101'")),
    ("index: an accession number", |stage, random| one(stage, random, "study", "accession = 'A1'")),
    ("index: a description", |stage, random| one(stage, random, "study", "description = 'normal'")),
    ("index: the hash of a study UID", |stage, random| one(stage, random, "study", "uid_hash = uid_hash + 1")),
    ("index: the key of a study", |stage, random| one(stage, random, "study", "key_id = randomblob(32)")),
    ("index: the time of a first arrival", |stage, random| {
        one(stage, random, "study", "created_at = created_at + 1000000000000000")
    }),
    ("index: two study UIDs exchanged", |stage, random| {
        let (index, [one, other]) = two(stage, random, "study")?;
        exchange(&index, "study", one, other, &["uid", "uid_hash"]);
        Some(vec![row("study", one), row("study", other)])
    }),
    ("index: a series moved to another study", |stage, random| {
        let (index, [series, _]) = two(stage, random, "series")?;
        let changed = index.execute(
            "UPDATE series SET study_key = (SELECT study_key FROM study WHERE study_key <> series.study_key \
             ORDER BY random() LIMIT 1) WHERE series_key = ?1",
            [series],
        );
        assert_eq!(changed.unwrap(), 1);
        Some(vec![row("series", series)])
    }),
    ("index: the modality of a series", |stage, random| one(stage, random, "series", "modality = 'XA'")),
    ("index: the attributes of a series", |stage, random| one(stage, random, "series", "attributes = '{}'")),
    ("index: the number of a series", |stage, random| one(stage, random, "series", "number_order = 77")),
    ("index: the last arrival of a series", |stage, random| {
        one(stage, random, "series", "last_arrival = last_arrival + 1000000000")
    }),
    ("index: whether a series is hot", |stage, random| one(stage, random, "series", "is_hot = 1 - is_hot")),
    ("index: the digest of an instance", |stage, random| one(stage, random, "instance", "digest = randomblob(32)")),
    ("index: the place of an instance", |stage, random| {
        one(stage, random, "instance", "pack_offset = pack_offset + 64")
    }),
    ("index: the transfer syntax of an instance", |stage, random| {
        one(stage, random, "instance", "transfer_syntax = '1.2.840.10008.1.2'")
    }),
    ("index: the class of an instance", |stage, random| one(stage, random, "instance", "sop_class = '1.2.3'")),
    ("index: the sender of an instance", |stage, random| one(stage, random, "instance", "sender = 'device:OTHER'")),
    ("index: the arrival of an instance", |stage, random| {
        one(stage, random, "instance", "received_at = received_at - 1000000")
    }),
    ("index: the attributes of an instance", |stage, random| {
        one(stage, random, "instance", "attributes = json_set(attributes, '$.x', 1)")
    }),
    ("index: the UID of an instance", |stage, random| one(stage, random, "instance", "sop_uid = sop_uid || '1'")),
    ("index: the hash of an instance's UID", |stage, random| one(stage, random, "instance", "sop_hash = sop_hash + 1")),
    ("index: the object of an instance", |stage, random| one(stage, random, "instance", "object_id = randomblob(16)")),
    ("index: two places exchanged", |stage, random| {
        let (index, [one, other]) = two(stage, random, "instance")?;
        exchange(&index, "instance", one, other, &["pack", "pack_offset", "pack_length"]);
        Some(vec![row("instance", one), row("instance", other)])
    }),
    ("index: two objects exchanged", |stage, random| {
        let (index, [one, other]) = two(stage, random, "instance")?;
        exchange(&index, "instance", one, other, &["pack", "pack_offset", "pack_length", "object_id", "digest"]);
        Some(vec![row("instance", one), row("instance", other)])
    }),
    ("index: an instance moved to another series", |stage, random| {
        let (index, [instance, _]) = two(stage, random, "instance")?;
        let changed = index.execute(
            "UPDATE instance SET series_key = (SELECT series_key FROM series WHERE series_key <> instance.series_key \
             ORDER BY random() LIMIT 1) WHERE instance_key = ?1",
            [instance],
        );
        assert_eq!(changed.unwrap(), 1);
        Some(vec![row("instance", instance)])
    }),
    ("index: an instance removed", |stage, random| removed(stage, random, "instance")),
    ("index: a conflict version removed", |stage, random| removed(stage, random, "conflict_version")),
    ("index: a conflict version changed", |stage, random| {
        one(stage, random, "conflict_version", "sender = 'device:OTHER'")
    }),
    ("index: an instance twice", |stage, random| {
        let (index, [instance, _]) = two(stage, random, "instance")?;
        let columns = columns(&index, "instance");
        let sql = format!("INSERT INTO instance ({columns}) SELECT {columns} FROM instance WHERE instance_key = ?1");
        index.execute(&sql, [instance]).unwrap();
        Some(vec![row("instance", index.last_insert_rowid())])
    }),
    ("index: an instance that is none", |stage, random| {
        let (index, [instance, _]) = two(stage, random, "instance")?;
        let columns = columns(&index, "instance");
        let values = columns.replace("object_id", "randomblob(16)").replace("sop_uid", "sop_uid || '9'");
        let sql = format!("INSERT INTO instance ({columns}) SELECT {values} FROM instance WHERE instance_key = ?1");
        index.execute(&sql, [instance]).unwrap();
        Some(vec![row("instance", index.last_insert_rowid())])
    }),
    ("index: an instance behind the end", |stage, random| {
        let (index, [instance, _]) = two(stage, random, "instance")?;
        let columns = columns(&index, "instance");
        let values = columns.replace("object_id", "randomblob(16)").replace("pack,", "900,");
        let sql = format!("INSERT INTO instance ({columns}) SELECT {values} FROM instance WHERE instance_key = ?1");
        index.execute(&sql, [instance]).unwrap();
        Some(vec![row("instance", index.last_insert_rowid())])
    }),
    ("index: a conflict shown in place of the first", conflict_shown),
    ("index: a series removed, its instances left", |stage, random| {
        let index = stage.index();
        let series = pick(&index, random, "SELECT DISTINCT series_key FROM instance ORDER BY 1")?;
        let objects = objects(&index, "SELECT object_id FROM instance WHERE series_key = ?1", series);
        index.execute("DELETE FROM series WHERE series_key = ?1", [series]).unwrap();
        Some(objects)
    }),
    ("index: a study removed with all that is below it", |stage, random| {
        let index = stage.index();
        let study = pick(&index, random, "SELECT study_key FROM study ORDER BY 1")?;
        let sql = "SELECT object_id FROM instance JOIN series USING (series_key) WHERE study_key = ?1";
        let wanted = objects(&index, sql, study);
        let key: Vec<u8> =
            index.query_row("SELECT key_id FROM study WHERE study_key = ?1", [study], |row| row.get(0)).unwrap();
        for sql in [
            "DELETE FROM instance WHERE series_key IN (SELECT series_key FROM series WHERE study_key = ?1)",
            "DELETE FROM sealed_instance WHERE series_key IN (SELECT series_key FROM series WHERE study_key = ?1)",
            "DELETE FROM series WHERE study_key = ?1",
            "DELETE FROM study_modality WHERE study_key = ?1",
            "DELETE FROM name_group WHERE study_key = ?1",
            "DELETE FROM study_text WHERE rowid = ?1",
            "DELETE FROM study WHERE study_key = ?1",
        ] {
            index.execute(sql, [study]).unwrap();
        }
        Some(if wanted.is_empty() { vec![Wanted::Key(hex(&key))] } else { wanted })
    }),
    ("index: the count of a sealed series", |stage, random| sealed(stage, random, "sealed_count = sealed_count + 1")),
    ("index: the bytes of a sealed series", |stage, random| {
        sealed(stage, random, "sealed_data_length = sealed_data_length - 2")
    }),
    ("index: an older manifest", older_manifest),
    ("index: the manifest of another series", |stage, random| {
        let index = stage.index();
        let all = keys(&index, "SELECT series_key FROM series WHERE manifest_pack IS NOT NULL ORDER BY 1");
        let (one, other) = (all[random.below(all.len())], all[random.below(all.len())]);
        if one == other {
            return None;
        }
        let columns = ["manifest_pack", "manifest_offset", "manifest_length", "sealed_count", "sealed_data_length"];
        exchange(&index, "series", one, other, &columns);
        Some(vec![row("series", one), row("series", other)])
    }),
    ("index: no manifest", |stage, random| {
        sealed(
            stage,
            random,
            "manifest_pack = NULL, manifest_offset = NULL, manifest_length = NULL, sealed_count = 0, \
             sealed_data_length = 0",
        )
    }),
    ("index: a modality not listed", |stage, random| {
        derived(
            stage,
            random,
            "SELECT study_key FROM study_modality",
            "DELETE FROM study_modality WHERE study_key = ?1",
        )
    }),
    ("index: the groups of a name removed", |stage, random| {
        derived(stage, random, "SELECT study_key FROM name_group", "DELETE FROM name_group WHERE study_key = ?1")
    }),
    ("index: the words of a study removed", |stage, random| {
        derived(stage, random, "SELECT study_key FROM study", "DELETE FROM study_text WHERE rowid = ?1")
    }),
    ("index: a sealed instance not listed", |stage, random| {
        let index = stage.index();
        let series = pick(&index, random, "SELECT DISTINCT series_key FROM sealed_instance ORDER BY 1")?;
        let sql = "DELETE FROM sealed_instance WHERE series_key = ?1 AND sop_hash = \
                   (SELECT min(sop_hash) FROM sealed_instance WHERE series_key = ?1)";
        assert_eq!(index.execute(sql, [series]).unwrap(), 1);
        Some(vec![row("series", series)])
    }),
    ("index: a watermark that was never reached", |stage, _| {
        stage.index().execute("UPDATE watermark SET objects_size = objects_size + 100", []).unwrap();
        Some(vec![Wanted::Log("objects", None)])
    }),
    ("index.db: a byte", |stage, random| file(stage, random, "index.db")),
    ("keys.db: a byte", |stage, random| file(stage, random, "keys.db")),
    ("directory.db: a byte", |stage, random| file(stage, random, "directory.db")),
    ("worklist.db: a byte", |stage, random| file(stage, random, "worklist.db")),
    ("keys: two keys exchanged", |stage, random| {
        let keys = stage.sql("keys.db", "keytable/1");
        let all = key_ids(&keys);
        let (one, other) = (all[random.below(all.len())].clone(), all[random.below(all.len())].clone());
        if one == other {
            return None;
        }
        let wrapped = |id: &Vec<u8>| -> Vec<u8> {
            keys.query_row("SELECT wrapped FROM wrapped_key WHERE id = ?1", [id], |row| row.get(0)).unwrap()
        };
        let (first, second) = (wrapped(&one), wrapped(&other));
        for (id, wrapped) in [(&one, second), (&other, first)] {
            keys.execute("UPDATE wrapped_key SET wrapped = ?2 WHERE id = ?1", (id, &wrapped)).unwrap();
        }
        Some(vec![Wanted::Key(hex(&one)), Wanted::Key(hex(&other))])
    }),
    ("keys: a key removed", |stage, random| {
        let keys = stage.sql("keys.db", "keytable/1");
        let all = key_ids(&keys);
        let one = all[random.below(all.len())].clone();
        keys.execute("DELETE FROM wrapped_key WHERE id = ?1", [&one]).unwrap();
        Some(vec![Wanted::Key(hex(&one))])
    }),
    ("keys: a key changed", |stage, random| {
        let keys = stage.sql("keys.db", "keytable/1");
        let all = key_ids(&keys);
        let one = all[random.below(all.len())].clone();
        let (mut wrapped, bit): (Vec<u8>, _) = (
            keys.query_row("SELECT wrapped FROM wrapped_key WHERE id = ?1", [&one], |row| row.get(0)).unwrap(),
            1 << random.below(8),
        );
        let at = random.below(wrapped.len());
        wrapped[at] ^= bit;
        keys.execute("UPDATE wrapped_key SET wrapped = ?2 WHERE id = ?1", [&one, &wrapped]).unwrap();
        Some(vec![Wanted::Key(hex(&one))])
    }),
    ("keys: what is remembered of the logs", |stage, random| {
        let path = Path::new("keys/checkpoints.sealed");
        stage.change(path, |bytes| {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        });
        Some(vec![Wanted::Row("keys/checkpoints.sealed".to_owned())])
    }),
];

/// An older copy of the index is brought forward from the packs, and so needs no finding.
pub const OLD_INDEX: &str = "index: an older copy";

fn row(table: &str, key: i64) -> Wanted {
    // a series may also be named by an entry of its manifest, or by the database's own check
    Wanted::Any(vec![
        Wanted::Row(format!("index.db, {table} {key}")),
        Wanted::Row(format!("manifest of {table} {key}, entry 0")),
    ])
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keys(index: &Connection, sql: &str) -> Vec<i64> {
    let mut statement = index.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn pick(index: &Connection, random: &mut Random, sql: &str) -> Option<i64> {
    let all = keys(index, sql);
    all.get(random.below(all.len())).copied()
}

fn key_ids(keys: &Connection) -> Vec<Vec<u8>> {
    let mut statement = keys.prepare("SELECT id FROM wrapped_key ORDER BY id").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn key_of(table: &str) -> String {
    format!("{}_key", table.strip_suffix("_version").unwrap_or(table))
}

fn one(stage: &Stage, random: &mut Random, table: &str, change: &str) -> Option<Vec<Wanted>> {
    let index = stage.index();
    let key = key_of(table);
    let chosen = pick(&index, random, &format!("SELECT {key} FROM {table} ORDER BY 1"))?;
    let changed = index.execute(&format!("UPDATE {table} SET {change} WHERE {key} = ?1"), [chosen]);
    assert_eq!(changed.unwrap(), 1, "{change}");
    Some(vec![row(table, chosen)])
}

fn two(stage: &Stage, random: &mut Random, table: &str) -> Option<(Connection, [i64; 2])> {
    let index = stage.index();
    let all = keys(&index, &format!("SELECT {} FROM {table} ORDER BY 1", key_of(table)));
    let (one, other) = (all[random.below(all.len())], all[random.below(all.len())]);
    (one != other).then_some((index, [one, other]))
}

fn exchange(index: &Connection, table: &str, one: i64, other: i64, columns: &[&str]) {
    let key = key_of(table);
    let sets: Vec<String> = columns
        .iter()
        .map(|column| {
            format!(
                "{column} = (SELECT o.{column} FROM {table} AS o WHERE o.{key} = \
                 CASE {table}.{key} WHEN ?1 THEN ?2 ELSE ?1 END)"
            )
        })
        .collect();
    index
        .execute_batch(&format!("CREATE TEMP TABLE both AS SELECT * FROM {table} WHERE {key} IN ({one}, {other})"))
        .unwrap();
    let sql = format!("UPDATE {table} SET {} WHERE {key} IN (?1, ?2)", sets.join(", "))
        .replace(&format!("FROM {table} AS o"), "FROM temp.both AS o");
    assert_eq!(index.execute(&sql, [one, other]).unwrap(), 2);
}

fn columns(index: &Connection, table: &str) -> String {
    let mut statement = index.prepare(&format!("SELECT name FROM pragma_table_info('{table}') WHERE pk = 0")).unwrap();
    let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    names.map(Result::unwrap).collect::<Vec<_>>().join(", ")
}

fn objects(index: &Connection, sql: &str, key: i64) -> Vec<Wanted> {
    let mut statement = index.prepare(sql).unwrap();
    let rows = statement.query_map([key], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    rows.map(|object| Wanted::Id(hex(&object.unwrap()))).collect()
}

fn removed(stage: &Stage, random: &mut Random, table: &str) -> Option<Vec<Wanted>> {
    let index = stage.index();
    let key = key_of(table);
    let chosen = pick(&index, random, &format!("SELECT {key} FROM {table} ORDER BY 1"))?;
    let wanted = objects(&index, &format!("SELECT object_id FROM {table} WHERE {key} = ?1"), chosen);
    index.execute(&format!("DELETE FROM {table} WHERE {key} = ?1"), [chosen]).unwrap();
    Some(wanted)
}

fn sealed(stage: &Stage, random: &mut Random, change: &str) -> Option<Vec<Wanted>> {
    let index = stage.index();
    let chosen = pick(&index, random, "SELECT series_key FROM series WHERE manifest_pack IS NOT NULL ORDER BY 1")?;
    index.execute(&format!("UPDATE series SET {change} WHERE series_key = ?1"), [chosen]).unwrap();
    let is_gone = change.contains("NULL");
    // without its manifest the series has lost all its instances, whatever hot ones came late
    Some(if is_gone {
        vec![Wanted::Any(vec![row("series", chosen), Wanted::Log("objects", None)])]
    } else {
        vec![row("series", chosen)]
    })
}

fn derived(stage: &Stage, random: &mut Random, choose: &str, change: &str) -> Option<Vec<Wanted>> {
    let index = stage.index();
    let chosen = pick(&index, random, &format!("{choose} ORDER BY 1"))?;
    index.execute(change, [chosen]).unwrap();
    Some(vec![Wanted::Any(vec![row("study", chosen), Wanted::Row("index.db".to_owned())])])
}

/// The older of two manifests of a series: what came between the two is not shown.
fn older_manifest(stage: &Stage, random: &mut Random) -> Option<Vec<Wanted>> {
    let index = stage.index();
    let sql = "SELECT series_key FROM series WHERE manifest_pack IS NOT NULL ORDER BY 1";
    let chosen = keys(&index, sql)
        .into_iter()
        .filter(|key| {
            let count = "SELECT sealed_count FROM series WHERE series_key = ?1";
            index.query_row(count, [key], |row| row.get::<_, i64>(0)).unwrap() > 5
        })
        .collect::<Vec<_>>();
    let series = *chosen.get(random.below(chosen.len()))?;
    let now: (i64, i64) = index
        .query_row("SELECT manifest_pack, manifest_offset FROM series WHERE series_key = ?1", [series], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    let key: Vec<u8> = index
        .query_row("SELECT key_id FROM study JOIN series USING (study_key) WHERE series_key = ?1", [series], |row| {
            row.get(0)
        })
        .unwrap();
    // the first manifests hold five instances each, and are of the same length as no other of their study
    let older = stage.records.iter().filter(|(location, header)| {
        header.kind == kluis_vault::RecordKind::Manifest
            && hex(&key) == header.key.to_string()
            && (location.pack as i64, location.offset as i64) < now
    });
    let (location, _) = older.max_by_key(|(location, _)| (location.pack, location.offset))?;
    let sql = "UPDATE series SET manifest_pack = ?2, manifest_offset = ?3, manifest_length = ?4 WHERE series_key = ?1";
    index.execute(sql, [series, location.pack as i64, location.offset as i64, location.length as i64]).unwrap();
    Some(vec![row("series", series)])
}

fn conflict_shown(stage: &Stage, random: &mut Random) -> Option<Vec<Wanted>> {
    let index = stage.index();
    let sql = "SELECT conflict_key FROM conflict_version AS c WHERE EXISTS \
               (SELECT 1 FROM instance AS i WHERE i.sop_uid = c.sop_uid) ORDER BY 1";
    let conflict = pick(&index, random, sql)?;
    let object: Vec<u8> = index
        .query_row("SELECT object_id FROM conflict_version WHERE conflict_key = ?1", [conflict], |row| row.get(0))
        .unwrap();
    let columns = "pack, pack_offset, pack_length, object_id, digest, data_set_length, received_at, sender";
    index
        .execute_batch(&format!(
            "CREATE TEMP TABLE c AS SELECT {columns}, sop_uid FROM conflict_version WHERE conflict_key = {conflict}; \
             CREATE TEMP TABLE i AS SELECT {columns}, sop_uid FROM instance WHERE sop_uid = (SELECT sop_uid FROM c); \
             UPDATE instance SET ({columns}) = (SELECT {columns} FROM temp.c) WHERE sop_uid = (SELECT sop_uid FROM c); \
             UPDATE conflict_version SET ({columns}) = (SELECT {columns} FROM temp.i) WHERE conflict_key = {conflict};"
        ))
        .unwrap();
    Some(vec![Wanted::Id(hex(&object))])
}

fn file(stage: &Stage, random: &mut Random, name: &str) -> Option<Vec<Wanted>> {
    stage.change(Path::new(name), |bytes| {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    });
    Some(vec![Wanted::Row(name.to_owned())])
}
