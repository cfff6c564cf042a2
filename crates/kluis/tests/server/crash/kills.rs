//! kill -9 at any moment, by a seed: while objects come over DICOM and HTTPS and series are sealed, and while the node
//! starts and replays. `KLUIS_SEED` and `KLUIS_KILLS` repeat it or make it longer.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use kluis_testkit::{SmallInstance, random::Random};

use crate::support::{
    Server,
    dicomweb::{data_set, multipart, retrieve},
    tools::{program, text},
};

/// Kills where nothing else is said.
const KILLS: u64 = 10;

/// Objects that each sender has to send in a round: more than it comes to.
const OBJECTS: u32 = 150;

/// Senders over HTTPS.
const SENDERS: u32 = 2;

fn number(name: &str, otherwise: u64) -> Result<u64> {
    std::env::var(name).map_or(Ok(otherwise), |text| text.parse().context("no number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn node_killed_at_any_moment_has_every_acknowledged_object() -> Result<()> {
    let (seed, kills) = (number("KLUIS_SEED", 1)?, number("KLUIS_KILLS", KILLS)?);
    println!("KLUIS_SEED={seed} KLUIS_KILLS={kills}");
    let mut server = Server::start_with_config("[seal]\nquiet_s = 1\n")?;
    let token = server.token("admin")?;
    let device = server.device("SENDER", "store")?;
    let mut dice = Random::new(seed, "kills");
    let mut acknowledged = 0;
    for kill in 0..kills {
        let round = u32::try_from(kill)?;
        let sent = load(&mut server, &token, &device, round, &mut dice).await?;
        acknowledged += sent.values().filter(|(_, is_acknowledged)| *is_acknowledged).count();
        while dice.below(3) == 0 {
            // while it starts, or looks at what the crash has left
            server.start_and_kill(Duration::from_millis(dice.below(400) as u64)).await?;
        }
        server.restart()?;
        check(&server, &token, &sent, round).await.with_context(|| format!("KLUIS_SEED={seed}, kill {kill}"))?;
    }
    println!("{acknowledged} objects were acknowledged");
    assert!(acknowledged > 0, "every kill came too early");
    Ok(())
}

/// What was sent in a round, by its bytes: the study, and whether it was acknowledged.
type Sent = HashMap<Vec<u8>, (String, bool)>;

/// Sends from all sides until the node is killed.
async fn load(server: &mut Server, token: &str, device: &Path, round: u32, dice: &mut Random) -> Result<Sent> {
    let sent = Arc::new(Mutex::new(Sent::new()));
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let (http, address, token, sent) = (server.http()?, server.https.clone(), token.to_owned(), Arc::clone(&sent));
        senders.push(tokio::spawn(async move {
            for number in 0..OBJECTS {
                let instance = SmallInstance::new(21, round, sender, number);
                let bytes = instance.data_set_bytes();
                sent.lock().unwrap().insert(bytes.clone(), (instance.study.clone(), false));
                let request = http
                    .post(format!("{address}/dicom-web/studies"))
                    .bearer_auth(&token)
                    .header(
                        "content-type",
                        "multipart/related; type=\"application/dicom\"; boundary=kluis-test-boundary",
                    )
                    .body(multipart(&[instance.file()]));
                match request.send().await {
                    Ok(response) if response.status().is_success() => {
                        sent.lock().unwrap().insert(bytes, (instance.study, true));
                    }
                    // the node is gone
                    _ => return,
                }
            }
        }));
    }
    let files = files(server, round)?;
    let storescu = storescu(server, device, files.keys())?;
    tokio::time::sleep(Duration::from_millis(100 + dice.below(1_400) as u64)).await;
    server.kill()?;
    for sender in senders {
        sender.await?;
    }
    let said = text(&storescu.wait_with_output()?);
    let mut sent = std::mem::take(&mut *sent.lock().unwrap());
    let mut current = None;
    for line in said.lines() {
        if let Some((_, file)) = line.split_once("Sending file: ") {
            current = files.get(Path::new(file.trim()));
        } else if line.contains("Received Store Response (Success)") {
            let instance = current.take().context("an answer without a file")?;
            sent.insert(instance.data_set_bytes(), (instance.study.clone(), true));
        }
    }
    for instance in files.values() {
        sent.entry(instance.data_set_bytes()).or_insert_with(|| (instance.study.clone(), false));
    }
    Ok(sent)
}

fn files(server: &Server, round: u32) -> Result<HashMap<PathBuf, SmallInstance>> {
    let folder = server.beside().join(format!("round-{round}"));
    std::fs::create_dir_all(&folder)?;
    let mut files = HashMap::new();
    for number in 0..OBJECTS {
        let instance = SmallInstance::new(21, round, SENDERS, number);
        let path = folder.join(format!("{number:04}.dcm"));
        std::fs::write(&path, instance.file())?;
        files.insert(path, instance);
    }
    Ok(files)
}

fn storescu<'a>(
    server: &Server,
    device: &Path,
    files: impl Iterator<Item = &'a PathBuf>,
) -> Result<std::process::Child> {
    let (host, port) = server.dicom_tls.rsplit_once(':').context("address")?;
    Command::new(program("storescu")?)
        .args(["-v", "-aet", "SENDER", "-aec", "KLUIS", "+tls"])
        .arg(device.join("SENDER.key.pem"))
        .arg(device.join("SENDER.cert.pem"))
        .arg("+cf")
        .arg(server.ca())
        .args([host, port])
        .args(files)
        .env("TCP_NODELAY", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run storescu")
}

/// Whatever was acknowledged is there, and whatever is there was sent, whole.
async fn check(server: &Server, token: &str, sent: &Sent, round: u32) -> Result<()> {
    let http = server.http()?;
    let mut studies: Vec<&str> = sent.values().map(|(study, _)| study.as_str()).collect();
    studies.sort_unstable();
    studies.dedup();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for study in studies {
        let has_any = sent.values().any(|(of, is_acknowledged)| of == study && *is_acknowledged);
        match retrieve(&http, server, token, &format!("/dicom-web/studies/{study}")).await {
            Ok(files) => kept.extend(files.iter().map(|file| data_set(file).to_vec())),
            Err(error) if has_any => return Err(error.context("a study with acknowledged objects is gone")),
            Err(_) => {}
        }
    }
    for (bytes, (_, is_acknowledged)) in sent {
        assert!(!is_acknowledged || kept.contains(bytes), "round {round}: an acknowledged object is lost");
    }
    assert!(kept.iter().all(|bytes| sent.contains_key(bytes)), "round {round}: bytes that nobody sent");
    let report = server.command(&["verify", "--full"])?;
    let findings = report["findings"].as_array().context("no findings field")?;
    assert!(findings.is_empty(), "round {round}: {report}");
    Ok(())
}
