//! Watermark, clearing, counting, checking.

use kluis_dicom::query::{Level, Matching, Query};
use kluis_policy::RowFilter;

use super::sample::{Sample, query, uid};
use crate::{CheckReport, Counts, Index, Inserted, Known, Watermark};

pub(super) async fn watermark_and_clear(index: &impl Index) {
    assert_eq!(index.watermark().await.unwrap(), None);
    for offset in [5, 9] {
        let watermark = Watermark { pack: 2, offset, objects_size: 3, audit_size: 4 };
        index.set_watermark(watermark).await.unwrap();
        assert_eq!(index.watermark().await.unwrap(), Some(watermark));
    }
    let sample = Sample {
        name: "Hoekstra=山田".to_owned(),
        description: "KNIE".to_owned(),
        modality: "CT",
        ..Sample::default()
    };
    let conflict = Sample { content: 2, ..sample.clone() };
    index.insert(vec![sample.build(), conflict.build()].into()).await.unwrap();
    index.checkpoint().await.unwrap();
    assert_eq!(index.check().await.unwrap(), CheckReport::default());
    index.clear().await.unwrap();
    assert_eq!(index.watermark().await.unwrap(), None);
    assert_eq!(index.counts(&RowFilter::All).await.unwrap(), Counts::default());
    assert_eq!(index.known(&[sample.build().attributes.ids.sop_instance]).await.unwrap(), [Known::Unknown]);
    assert!(index.conflicts(&uid(&[1, 1, 1])).await.unwrap().is_empty());
    assert!(index.search(&Query::all(Level::Study, 10), &RowFilter::All).await.unwrap().matches.is_empty());
    // and it can be filled again
    assert_eq!(index.insert(vec![sample.build()].into()).await.unwrap(), [Inserted::New]);
    let infix = query(Level::Study, &[(kluis_dicom::Tag(0x0010, 0x0010), Matching::Wildcard("*oekst*".to_owned()))]);
    assert_eq!(index.search(&infix, &RowFilter::All).await.unwrap().matches.len(), 1);
    assert_eq!(index.check().await.unwrap(), CheckReport::default());
}

pub(super) async fn counts(index: &impl Index) {
    let sample = |study, series, instance, content| Sample { study, series, instance, content, ..Sample::default() };
    let samples = [sample(1, 1, 1, 1), sample(1, 1, 2, 1), sample(1, 2, 1, 1), sample(2, 1, 1, 1), sample(2, 1, 1, 2)];
    index.insert(samples.iter().map(Sample::build).collect()).await.unwrap();
    let expected =
        Counts { studies: 2, series: 3, hot_instances: 4, sealed_instances: 0, conflicts: 1, data_length: 4005 };
    assert_eq!(index.counts(&RowFilter::All).await.unwrap(), expected);
}
