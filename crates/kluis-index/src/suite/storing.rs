//! Instances going in, and what is known of them.

use kluis_policy::RowFilter;
use time::Duration;

use super::sample::{Sample, epoch, uid};
use crate::{Index, Inserted, Known};

pub(super) async fn new_duplicate_and_conflict(index: &impl Index) {
    let first = Sample { name: "A^B".to_owned(), ..Sample::default() };
    let other = Sample { content: 2, ..first.clone() };
    let second = Sample { instance: 2, ..first.clone() };
    let outcomes =
        index.insert(vec![first.build(), first.build(), other.build(), second.build()].into()).await.unwrap();
    assert_eq!(
        outcomes,
        [Inserted::New, Inserted::Duplicate, Inserted::Conflict, Inserted::New],
        "an instance of a batch is known to those behind it"
    );
    let outcomes = index.insert(vec![other.build(), first.build()].into()).await.unwrap();
    assert_eq!(outcomes, [Inserted::Conflict, Inserted::Duplicate]);

    let conflicts = index.conflicts(&uid(&[1, 1, 1])).await.unwrap();
    assert_eq!(conflicts.len(), 1, "one conflict version per digest");
    assert_eq!(conflicts[0].digest, [2; 32]);
    assert_eq!(conflicts[0].location, other.build().location);
    assert_eq!(conflicts[0].key_id, other.build().key_id);
    assert_eq!(index.conflicts_of(&uid(&[1])).await.unwrap(), conflicts);
    assert!(index.conflicts(&uid(&[1, 1, 2])).await.unwrap().is_empty());

    let rows = index.instances(&uid(&[1]), None, None, &RowFilter::All).await.unwrap();
    let digests: Vec<u8> = rows.iter().map(|row| row.digest[0]).collect();
    assert_eq!(digests, [1, 1], "a conflict version is not visible");

    let third = Sample { content: 3, ..first };
    assert_eq!(index.insert_conflicts(vec![third.build(), third.build(), other.build()]).await.unwrap(), 1);
    let versions = index.conflicts(&uid(&[1, 1, 1])).await.unwrap();
    assert_eq!(versions.iter().map(|row| row.digest[0]).collect::<Vec<_>>(), [2, 3]);
}

pub(super) async fn known_sop_instance_in_another_study(index: &impl Index) {
    let first = Sample::default().build();
    let mut stray = Sample { study: 2, content: 2, ..Sample::default() }.build();
    stray.attributes.ids.sop_instance = first.attributes.ids.sop_instance.clone();
    let same = first.attributes.ids.sop_instance.clone();
    assert_eq!(index.insert(vec![first.clone()].into()).await.unwrap(), [Inserted::New]);
    assert_eq!(index.insert(vec![stray].into()).await.unwrap(), [Inserted::Conflict]);
    assert!(index.study(&uid(&[2])).await.unwrap().is_none(), "a conflict makes no study");
    let unknown = Sample { instance: 9, ..Sample::default() }.build().attributes.ids.sop_instance;
    let known = index.known(&[same, unknown]).await.unwrap();
    let [Known::Hot(hot), Known::Unknown] = &known[..] else { panic!("{known:?}") };
    assert_eq!(hot.ids, first.attributes.ids, "its own study and series");
    assert_eq!((hot.digest, hot.location, hot.object_id), (first.digest, first.location, first.object_id));
}

pub(super) async fn rows_as_they_went_in(index: &impl Index) {
    let sample = Sample {
        name: "Müller^Jörg".to_owned(),
        referring: "Van Dijk^Anna",
        modality: "MR",
        series_number: Some(-3),
        number: Some(12),
        arrival: 5,
        ..Sample::default()
    };
    let new = sample.build();
    index.insert(vec![new.clone()].into()).await.unwrap();
    // the first instance names the study and the series, whatever a later one says
    let later = Sample { instance: 2, name: "X".to_owned(), referring: "X", modality: "CT", arrival: 7, ..sample };
    index.insert(vec![later.build()].into()).await.unwrap();

    let study = index.study(&uid(&[1])).await.unwrap().unwrap();
    assert_eq!((study.uid, study.referring.as_str(), study.key_id), (uid(&[1]), "Van Dijk^Anna", new.key_id));
    assert_eq!(study.created_at, epoch() + Duration::seconds(5));
    assert_eq!(study.attributes, new.attributes.study_json);

    let series = index.series_of(&uid(&[1]), &RowFilter::All).await.unwrap();
    assert_eq!(series.len(), 1);
    assert_eq!((series[0].modality.as_str(), series[0].number, series[0].hot_count), ("MR", Some(-3), 2));
    assert_eq!((series[0].manifest, series[0].sealed_count), (None, 0));
    assert_eq!(series[0].last_arrival, epoch() + Duration::seconds(7));
    assert_eq!(series[0].attributes["00100010"]["Value"][0]["Alphabetic"], "Müller^Jörg");
    assert_eq!(series[0].attributes["00080060"]["Value"][0], "MR");

    let rows = index.instances(&uid(&[1]), Some(&uid(&[1, 1])), Some(&uid(&[1, 1, 1])), &RowFilter::All).await.unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(row.ids, new.attributes.ids);
    assert_eq!((row.location, row.object_id, row.key_id), (new.location, new.object_id, new.key_id));
    assert_eq!((&row.transfer_syntax, row.data_set_length), (&new.transfer_syntax, new.data_set_length));
    assert_eq!((&row.sender, row.transport, row.received_at), (&new.sender, new.transport, new.received_at));
    assert_eq!((row.digest, row.number), (new.digest, Some(12)));
    assert_eq!(row.attributes, new.attributes.instance_json);
    for (study, series, instance) in [(2, 1, 1), (1, 2, 1), (1, 1, 3)] {
        let (series, instance) = (uid(&[1, series]), uid(&[1, 1, instance]));
        let rows = index.instances(&uid(&[study]), Some(&series), Some(&instance), &RowFilter::All).await.unwrap();
        assert!(rows.is_empty(), "{study} {series} {instance}");
    }
}

pub(super) async fn series_with_one_uid_in_two_studies(index: &impl Index) {
    let first = Sample::default().build();
    let mut second = Sample { study: 2, ..Sample::default() }.build();
    second.attributes.ids.series = first.attributes.ids.series.clone();
    assert_eq!(index.insert(vec![first, second].into()).await.unwrap(), [Inserted::New, Inserted::New]);
    for study in [1, 2] {
        let series = index.series_of(&uid(&[study]), &RowFilter::All).await.unwrap();
        assert_eq!(
            series.iter().map(|series| (series.uid.clone(), series.hot_count)).collect::<Vec<_>>(),
            [(uid(&[1, 1]), 1)]
        );
    }
}
