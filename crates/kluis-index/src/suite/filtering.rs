//! A referrer sees the own studies only: at every level, by every way, and in every count.

use kluis_dicom::{
    fold,
    query::{Level, Query},
};
use kluis_policy::RowFilter;

use super::sample::{Sample, query, uid};
use crate::{Counts, Index};

pub(super) async fn rows_of_a_referrer(index: &impl Index) {
    let sample = |study, instance, referring, content| Sample {
        study,
        instance,
        referring,
        content,
        date: format!("2024010{study}"),
        modality: "CT",
        ..Sample::default()
    };
    let samples = [
        sample(1, 1, "Dijk^Anna", 1),
        sample(1, 2, "Dijk^Anna", 1),
        sample(1, 1, "Dijk^Anna", 2),
        sample(2, 1, "Jong^Bob", 1),
        sample(2, 1, "Jong^Bob", 2),
        sample(3, 1, "", 1),
        sample(4, 1, "DÍJK^anna^", 1),
    ];
    index.insert(samples.iter().map(Sample::build).collect()).await.unwrap();
    let anna = RowFilter::Referring(fold("Dijk^Anna"));
    let nobody = RowFilter::Referring(String::new());
    for (level, own) in [(Level::Study, 2), (Level::Series, 2), (Level::Instance, 3)] {
        let rows = |page: crate::Page| page.matches.iter().map(|row| row.study.clone()).collect::<Vec<_>>();
        let found = rows(index.search(&query(level, &[]), &anna).await.unwrap());
        assert_eq!(found.len(), own, "{level:?}");
        assert!(found.iter().all(|study| [uid(&[1]), uid(&[4])].contains(study)), "{level:?}");
        assert!(rows(index.search(&query(level, &[]), &nobody).await.unwrap()).is_empty(), "{level:?}");
        let foreign = Query { study: Some(uid(&[2])), ..query(level, &[]) };
        assert!(rows(index.search(&foreign, &anna).await.unwrap()).is_empty(), "{level:?}");
    }
    let matches = index.search_series(&query(Level::Instance, &[]), &anna, None, 10).await.unwrap().series;
    assert_eq!(matches.iter().map(|series| series.study.clone()).collect::<Vec<_>>(), [uid(&[4]), uid(&[1])]);
    assert!(index.search_series(&query(Level::Instance, &[]), &nobody, None, 10).await.unwrap().series.is_empty());

    for (study, rows, visible) in [(1, &anna, 2), (2, &anna, 0), (3, &anna, 0), (3, &nobody, 0), (4, &anna, 1)] {
        assert_eq!(index.instances(&uid(&[study]), None, None, rows).await.unwrap().len(), visible, "{study} {rows:?}");
        let series = index.series_of(&uid(&[study]), rows).await.unwrap();
        assert_eq!(series.len(), usize::from(visible > 0), "{study} {rows:?}");
    }
    let counts = index.counts(&anna).await.unwrap();
    let own = Counts { studies: 2, series: 2, hot_instances: 3, conflicts: 1, data_length: 3004, ..Counts::default() };
    assert_eq!(counts, own);
    assert_eq!(index.counts(&nobody).await.unwrap(), Counts::default());
    assert_eq!(index.counts(&RowFilter::All).await.unwrap().studies, 4);
}
