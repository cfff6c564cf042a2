//! The load in small: what holds for ten million instances holds for three thousand, and is counted, not timed.

use std::time::Duration;

use kluis_scale::{load, population, query, site};

const STUDIES: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_load_is_counted_found_and_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let plan = |studies, senders| load::Plan {
        dir: dir.path().to_owned(),
        seed: 5,
        studies,
        senders,
        report_every: 1_000,
        seal_after: Duration::from_secs(3_600),
        stop_after: Duration::from_secs(600),
        images: None,
    };
    load::run(plan(STUDIES / 2, 16)).await.unwrap();
    let progress = load::run(plan(STUDIES, 16)).await.unwrap();
    let all: Vec<population::Study> = (0..STUDIES).map(|number| population::study(5, number)).collect();
    let instances: u64 = all.iter().map(population::Study::instances).sum();
    let series: u64 = all.iter().map(population::Study::series).sum();
    assert_eq!((progress.studies, progress.instances), (STUDIES, instances));

    let (archive, replayed) = site::open(dir.path(), Duration::ZERO).await.unwrap();
    assert_eq!((replayed.objects, replayed.leaves), (0, 0), "nothing is replayed after a quiet end");
    query::ask_all(&archive, progress, 10, 1, "").await.unwrap();
    while archive.seal_quiet().await.unwrap() > 0 {}
    query::ask_all(&archive, progress, 10, 2, "").await.unwrap();
    archive.close().await.unwrap();

    let counts = site::counts(dir.path()).await.unwrap();
    assert_eq!((counts.studies, counts.series, counts.sealed_instances), (STUDIES, series, instances));
    assert_eq!((counts.hot_instances, counts.conflicts), (0, 0), "no row per instance is left");
}
