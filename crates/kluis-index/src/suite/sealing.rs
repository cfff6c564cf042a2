//! From hot rows to manifests, and what happens in between.

use kluis_policy::RowFilter;
use time::Duration;

use super::sample::{Sample, epoch, uid};
use crate::{Index, Inserted, Known, Location, ManifestPointer, SealCandidate, SealedSeries};

fn pointer(offset: u64, count: u64) -> ManifestPointer {
    ManifestPointer { location: Location { pack: 9, offset, length: 10 }, count, data_length: count * 1000 }
}

fn sealed(manifest: ManifestPointer) -> SealedSeries {
    SealedSeries { study: uid(&[1]), series: uid(&[1, 1]), key_id: Sample::default().build().key_id, manifest }
}

async fn candidate(index: &impl Index) -> SealCandidate {
    let mut candidates = index.series_to_seal(epoch() + Duration::days(1), 10).await.unwrap();
    assert_eq!(candidates.len(), 1);
    candidates.remove(0)
}

async fn hot_rows(index: &impl Index) -> Vec<i64> {
    let rows = index.instances(&uid(&[1]), Some(&uid(&[1, 1])), None, &RowFilter::All).await.unwrap();
    rows.iter().map(|row| row.row_key).collect()
}

pub(super) async fn seal_and_late_arrival(index: &impl Index) {
    let sample = |instance| Sample { instance, arrival: i64::from(instance), ..Sample::default() };
    index.insert(vec![sample(1).build(), sample(2).build()].into()).await.unwrap();
    let found = candidate(index).await;
    assert_eq!((found.study.clone(), found.series.clone()), (uid(&[1]), uid(&[1, 1])));
    assert_eq!((found.manifest, found.hot_count), (None, 2));
    assert_eq!(found.key_id, sample(1).build().key_id);
    assert_eq!(found.last_arrival, epoch() + Duration::seconds(2));
    let first = pointer(0, 2);
    assert!(index.seal(&found, &first, &hot_rows(index).await).await.unwrap());

    assert!(hot_rows(index).await.is_empty());
    assert!(index.series_to_seal(epoch() + Duration::days(1), 10).await.unwrap().is_empty());
    let series = index.series_of(&uid(&[1]), &RowFilter::All).await.unwrap();
    assert_eq!((series[0].manifest, series[0].hot_count, series[0].sealed_count), (Some(first), 0, 2));
    let ids = sample(1).build().attributes.ids;
    assert_eq!(index.known(&[ids.sop_instance]).await.unwrap(), [Known::Sealed(vec![sealed(first)])]);
    assert_eq!(
        index.known(&[sample(3).build().attributes.ids.sop_instance]).await.unwrap(),
        [Known::Unknown],
        "not in the manifest"
    );

    // a late instance makes the series hot again; the next manifest holds all three
    let late = sample(3).build();
    assert_eq!(index.insert(vec![late.clone()].into()).await.unwrap(), [Inserted::New]);
    assert!(
        matches!(index.known(&[late.attributes.ids.sop_instance]).await.unwrap()[..], [Known::Hot(_)]),
        "hot rows first"
    );
    let again = candidate(index).await;
    assert_eq!((again.manifest, again.hot_count), (Some(first), 1));
    assert!(!index.seal(&found, &pointer(1, 3), &hot_rows(index).await).await.unwrap(), "an old candidate");
    assert!(index.seal(&again, &pointer(1, 3), &hot_rows(index).await).await.unwrap());
    let series = index.series_of(&uid(&[1]), &RowFilter::All).await.unwrap();
    assert_eq!((series[0].manifest, series[0].hot_count), (Some(pointer(1, 3)), 0));
}

pub(super) async fn seal_of_a_series_that_changed(index: &impl Index) {
    index.insert(vec![Sample::default().build()].into()).await.unwrap();
    let found = candidate(index).await;
    let rows = hot_rows(index).await;
    index.insert(vec![Sample { instance: 2, ..Sample::default() }.build()].into()).await.unwrap();
    assert!(!index.seal(&found, &pointer(0, 1), &rows).await.unwrap(), "one arrived meanwhile");
    assert_eq!(hot_rows(index).await.len(), 2, "nothing changed");
    assert_eq!(index.series_of(&uid(&[1]), &RowFilter::All).await.unwrap()[0].manifest, None);
    let unknown = SealCandidate { series: uid(&[1, 9]), ..found.clone() };
    assert!(!index.seal(&unknown, &pointer(0, 2), &hot_rows(index).await).await.unwrap(), "another series");
    let mut backwards = hot_rows(index).await;
    backwards.reverse();
    assert!(index.seal(&found, &pointer(0, 2), &backwards).await.unwrap(), "in any order");
}

pub(super) async fn insert_behind_a_seal(index: &impl Index) {
    index.insert(vec![Sample::default().build()].into()).await.unwrap();
    let first = pointer(0, 1);
    assert!(index.seal(&candidate(index).await, &first, &hot_rows(index).await).await.unwrap());
    // the caller asked before the seal, and has not looked into the manifest
    let same = Sample::default().build();
    let other_series = Sample { series: 2, ..Sample::default() }.build();
    let mut stray = same.clone();
    stray.attributes.ids.study = uid(&[2]);
    stray.attributes.ids.series = uid(&[2, 1]);
    let outcomes = index.insert(vec![same.clone(), other_series, stray].into()).await.unwrap();
    let expected = [Inserted::Sealed(sealed(first)), Inserted::New, Inserted::Sealed(sealed(first))];
    assert_eq!(outcomes, expected, "the rest of the batch goes in");
    assert!(hot_rows(index).await.is_empty() && index.study(&uid(&[2])).await.unwrap().is_none());
    let mut stale = same;
    stale.absent_from = vec![pointer(7, 1).location];
    assert_eq!(
        index.insert(vec![stale.clone()].into()).await.unwrap(),
        [Inserted::Sealed(sealed(first))],
        "an older manifest"
    );
    // as if its hash were that of another one
    stale.absent_from.push(first.location);
    assert_eq!(index.insert(vec![stale].into()).await.unwrap(), [Inserted::New]);
}

pub(super) async fn quiet_series(index: &impl Index) {
    let sample = |series, instance, arrival| Sample { series, instance, arrival, ..Sample::default() }.build();
    index.insert(vec![sample(1, 1, 10), sample(2, 1, 5), sample(3, 1, 20), sample(2, 2, 15)].into()).await.unwrap();
    // an older one that comes late does not make the series older
    index.insert(vec![sample(3, 2, 1)].into()).await.unwrap();
    for (seconds, limit, expected) in
        [(9, 10, &[][..]), (10, 10, &[1]), (15, 10, &[1, 2]), (30, 10, &[1, 2, 3]), (30, 2, &[1, 2])]
    {
        let found = index.series_to_seal(epoch() + Duration::seconds(seconds), limit).await.unwrap();
        let series: Vec<_> = found.iter().map(|candidate| candidate.series.clone()).collect();
        let expected: Vec<_> = expected.iter().map(|series| uid(&[1, *series])).collect();
        assert_eq!(series, expected, "{seconds} s");
    }
}
