//! An archive with very little memory: everyone gets through, and nobody waits for one who stalls.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::StreamExt;
use kluis_archive::{Archive, Expected, Incoming, Origin, Settings, StoreStream, act};
use kluis_dicom::part10::Source;
use kluis_policy::{DeviceRights, Door, Principal, Transport};
use kluis_testkit::{Giant, SmallInstance, giant::Pixels};
use kluis_vault::DiskVault;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::site::{ORIGIN, clock, data_sets, open_with, permit, verify_is_clean};

/// The least there is: 13 places for devices and 5 for others on their way in, 12 for answers; 3 MiB to gather in and
/// 2 MiB to read ahead.
const LITTLE: u64 = 16 << 20;

async fn archive(dir: &TempDir) -> Archive {
    let vault = DiskVault::open(&dir.path().join("packs"), kluis_vault::Settings::default()).unwrap();
    let settings = Settings { memory_bytes: LITTLE, ..Settings::default() };
    open_with(dir.path(), clock(), Arc::new(vault), settings).await.0
}

/// Image `number` of 1.5 MiB.
fn giant(number: u32) -> Giant {
    Giant::new(1, number, 3, 512, Pixels::Native)
}

async fn begin(archive: &Archive, door: Door) -> StoreStream {
    let principal = match door {
        Door::Dimse => Principal::Device {
            ae: "SENDER".to_owned(),
            key_fingerprint: "00".to_owned(),
            rights: DeviceRights::default(),
        },
        _ => Principal::Operator,
    };
    let permit = archive.admit(&principal, Origin { door, peer: None }, act::Store { study: None }).await.unwrap();
    let incoming = Incoming { source: Source::File, expected: Expected::default(), transport: Transport::Local };
    archive.begin_store(permit, incoming)
}

/// Sends the data set from `at` up to `until`.
async fn send(stream: &mut StoreStream, giant: &Giant, mut at: u64, until: u64) {
    let mut piece = vec![0; 50_000];
    if at == 0 {
        stream.write(&giant.file_meta()).await.unwrap();
    }
    while at < until.min(giant.data_set_bytes()) {
        let read = giant.read_at(at, &mut piece);
        stream.write(&piece[..read]).await.unwrap();
        at += read as u64;
        tokio::task::yield_now().await;
    }
}

async fn store(archive: &Archive, door: Door, giant: &Giant) {
    let mut stream = begin(archive, door).await;
    send(&mut stream, giant, 0, u64::MAX).await;
    stream.finish().await.unwrap();
}

/// Far longer than anything here takes, and than any wait for memory that is given up.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(50), work).await.expect("nothing moves any more")
}

async fn all_are_there(archive: &Archive, giants: impl Iterator<Item = u32>) {
    let stored = data_sets(archive, &giant(1).study).await.unwrap();
    let mut count = 0;
    for (number, data_set) in giants.zip(&stored) {
        let mut sent = vec![0; data_set.len()];
        assert_eq!(giant(number).read_at(0, &mut sent), sent.len());
        assert!(*data_set == sent, "{number}");
        count += 1;
    }
    assert_eq!(count, stored.len());
    verify_is_clean(archive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_at_once_all_get_through() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir).await;
    let mut senders = JoinSet::new();
    for number in 1..=40 {
        let archive = archive.clone();
        let door = if number % 2 == 0 { Door::Dimse } else { Door::Web };
        senders.spawn(async move { store(&archive, door, &giant(number)).await });
    }
    in_time(senders.join_all()).await;
    all_are_there(&archive, 1..=40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_that_stall_keep_nobody_from_storing() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir).await;
    // four of five places, and all the memory there is to gather in
    let mut stalled = Vec::new();
    for number in 1..=4 {
        let mut stream = begin(&archive, Door::Web).await;
        send(&mut stream, &giant(number), 0, 1_300_000).await;
        stalled.push(stream);
    }
    in_time(async {
        for number in 5..=8 {
            store(&archive, if number % 2 == 0 { Door::Dimse } else { Door::Web }, &giant(number)).await;
        }
    })
    .await;
    for (number, mut stream) in (1..).zip(stalled) {
        send(&mut stream, &giant(number), 1_300_000, u64::MAX).await;
        in_time(stream.finish()).await.unwrap();
    }
    all_are_there(&archive, 1..=8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_have_places_of_their_own() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir).await;
    let mut stalled = Vec::new();
    for number in 1..=5 {
        let mut stream = begin(&archive, Door::Web).await;
        send(&mut stream, &giant(number), 0, 1_000_000).await;
        stalled.push(stream);
    }
    let late = giant(6);
    let mut waiting = Box::pin(store(&archive, Door::Web, &late));
    in_time(store(&archive, Door::Dimse, &giant(7))).await;
    let small = SmallInstance::new(2, 1, 1, 1);
    let mut stream = begin(&archive, Door::Dimse).await;
    in_time(stream.write(&small.file())).await.unwrap();
    in_time(stream.finish()).await.unwrap();
    let polled = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(polled.is_err(), "all places but those of devices are taken");
    stalled.pop().unwrap().give_up();
    in_time(waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_stall_keep_nobody_from_reading() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir).await;
    let sent = giant(1);
    store(&archive, Door::Web, &sent).await;
    // all places but one, and every byte there is to read ahead
    let mut stalled = Vec::new();
    for _ in 0..11 {
        let permit = permit(&archive, &Principal::Operator, &sent.study).await.unwrap();
        let holding = archive.holding(permit).await.unwrap();
        let reader = archive.open_instance(&holding, &holding.instances[0]).await.unwrap();
        let mut body = Box::pin(reader.data_set());
        let piece = body.next().await.unwrap().unwrap();
        stalled.push((holding, body, piece));
    }
    let whole = in_time(data_sets(&archive, &sent.study)).await.unwrap();
    let mut expected = vec![0; whole[0].len()];
    sent.read_at(0, &mut expected);
    assert!(whole[0] == expected);
    // those who stalled get the rest as well
    for (holding, body, piece) in stalled {
        let rest: Vec<_> = in_time(body.map(Result::unwrap).collect()).await;
        assert!([piece.to_vec(), rest.concat()].concat() == expected);
        holding.complete();
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_finds_no_place_is_told_to_come_back() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir).await;
    let sent = SmallInstance::new(1, 1, 1, 1);
    super::site::store(&archive, &sent).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..12 {
        held.push(archive.holding(permit(&archive, &Principal::Operator, &sent.study).await.unwrap()).await.unwrap());
    }
    let one_more = archive.admit(
        &Principal::Operator,
        ORIGIN,
        act::Retrieve { target: kluis_policy::Target::study(sent.study.parse().unwrap()) },
    );
    let refused = archive.holding(one_more.await.unwrap()).await.err().unwrap();
    assert!(refused.to_string().contains("try again later"), "{refused}");
    held.pop().unwrap().complete();
    assert!(archive.holding(permit(&archive, &Principal::Operator, &sent.study).await.unwrap()).await.is_ok());
}
