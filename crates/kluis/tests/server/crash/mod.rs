//! kill -9 while objects are on their way in.

mod kills;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use kluis_testkit::SmallInstance;

use crate::support::{
    Server,
    dicomweb::{data_set, retrieve, stow},
};

const ROUNDS: u32 = 10;
const STORES: u32 = 200;
const SENDERS: u32 = 4;

/// An acknowledged object is there after the restart, whole; none is there in part.
#[tokio::test(flavor = "multi_thread")]
async fn killed_node_has_every_acknowledged_object() -> Result<()> {
    let mut server = Server::start()?;
    let token = server.token("admin")?;
    let mut acknowledged: Vec<SmallInstance> = Vec::new();
    for round in 0..ROUNDS {
        let before = acknowledged.len();
        acknowledged.extend(store_and_kill(&mut server, &token, round).await?);
        assert!(acknowledged.len() > before, "nothing was acknowledged in round {round}: the kill came too early");
        server.restart()?;
        check(&server, &token, &acknowledged, round).await?;
    }
    Ok(())
}

async fn store_and_kill(server: &mut Server, token: &str, round: u32) -> Result<Vec<SmallInstance>> {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let gone = Arc::new(AtomicBool::new(false));
    let mut senders = Vec::new();
    let shared = Arc::new((server.http()?, server.https.clone()));
    for sender in 0..SENDERS {
        let (shared, token) = (Arc::clone(&shared), token.to_owned());
        let (acknowledged, gone) = (Arc::clone(&acknowledged), Arc::clone(&gone));
        senders.push(tokio::spawn(async move {
            for number in 0..STORES / SENDERS {
                let instance = SmallInstance::new(9, round, sender, number);
                let (http, https) = (&shared.0, &shared.1);
                let sent = http
                    .post(format!("{https}/dicom-web/studies"))
                    .bearer_auth(&token)
                    .header(
                        "content-type",
                        "multipart/related; type=\"application/dicom\"; boundary=kluis-test-boundary",
                    )
                    .body(crate::support::dicomweb::multipart(&[instance.file()]))
                    .send()
                    .await;
                match sent {
                    Ok(response) if response.status().is_success() => {
                        acknowledged.lock().unwrap().push(instance);
                    }
                    _ if gone.load(Ordering::Relaxed) => return,
                    other => panic!("a store failed before the kill: {other:?}"),
                }
            }
        }));
    }
    // another moment in each round, counted in objects, not in time
    let wanted = 5 + 17 * round as usize;
    while acknowledged.lock().unwrap().len() < wanted.min(STORES as usize - 10) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    gone.store(true, Ordering::Relaxed);
    server.kill()?;
    for sender in senders {
        sender.await?;
    }
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    Ok(acknowledged)
}

async fn check(server: &Server, token: &str, acknowledged: &[SmallInstance], round: u32) -> Result<()> {
    let http = server.http()?;
    let mut studies: Vec<&str> = acknowledged.iter().map(|instance| instance.study.as_str()).collect();
    studies.dedup();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for study in studies {
        let files = retrieve(&http, server, token, &format!("/dicom-web/studies/{study}")).await?;
        kept.extend(files.iter().map(|file| data_set(file).to_vec()));
    }
    for instance in acknowledged {
        let sent = instance.data_set_bytes();
        assert!(kept.contains(&sent), "round {round}: acknowledged object {} is lost", instance.sop_instance);
    }
    let report = server.command(&["verify", "--full"])?;
    let findings = report["findings"].as_array().context("no findings field")?;
    assert!(findings.is_empty(), "round {round}: {report}");
    Ok(())
}

/// What was there is there, when the index is lost and made anew from the packs.
#[tokio::test(flavor = "multi_thread")]
async fn lost_index_is_rebuilt_from_packs() -> Result<()> {
    let mut server = Server::start_with_config("[seal]\nquiet_s = 1\n")?;
    let token = server.token("admin")?;
    let http = server.http()?;
    let instances: Vec<SmallInstance> = (1..=6).map(|n| SmallInstance::new(11, n % 2, n % 3, n)).collect();
    let files: Vec<Vec<u8>> = instances.iter().map(SmallInstance::file).collect();
    stow(&http, &server, &token, &files).await?;
    let before = server.command(&["study", "list"])?;
    assert_eq!(server.stop()?, 0);
    let rebuilt = server.command(&["index", "rebuild"])?;
    assert_eq!(rebuilt["objects"], 6, "{rebuilt}");
    assert_eq!(rebuilt["leaves"], 0, "the ledger was whole: {rebuilt}");
    server.restart()?;
    assert_eq!(server.command(&["study", "list"])?, before);
    let report = server.command(&["verify", "--full"])?;
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
    Ok(())
}
