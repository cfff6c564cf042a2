//! Orthanc as a peer in both directions, over TLS with the certificate that enrolment gave it.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use kluis_testkit::SmallInstance;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::{Server, free_port, pause, program as kluis_program, tools::program};

/// A running Orthanc that knows a node of ours as `kluis`.
struct Orthanc {
    child: Child,
    http: String,
    client: Client,
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Orthanc {
    fn start(server: &Server, identity: &Path, port: u16) -> Result<Self> {
        let folder = server.beside().join("orthanc");
        std::fs::create_dir_all(&folder)?;
        let http = free_port()?;
        let (_, ours) = server.dicom_tls.rsplit_once(':').context("address")?;
        let config = json!({
            "Name": "peer", "DicomAet": "ORTHANC", "DicomPort": port, "HttpPort": http,
            "RemoteAccessAllowed": false, "StorageDirectory": folder.join("storage"),
            "IndexDirectory": folder.join("storage"), "Plugins": [],
            "DicomTlsEnabled": true, "DicomTlsRemoteCertificateRequired": true,
            "DicomTlsCertificate": identity.join("ORTHANC.cert.pem"),
            "DicomTlsPrivateKey": identity.join("ORTHANC.key.pem"),
            "DicomTlsTrustedCertificates": server.ca(),
            "DicomAlwaysAllowFind": true, "DicomAlwaysAllowGet": true, "DicomAlwaysAllowMove": true,
            "DicomModalities": { "kluis": {
                "AET": "KLUIS", "Host": "127.0.0.1", "Port": ours.parse::<u16>()?, "UseDicomTls": true,
                "AllowStorageCommitment": true } },
        });
        let file = folder.join("orthanc.json");
        std::fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
        let log = std::fs::File::create(folder.join("orthanc.log"))?;
        let child = Command::new(program("Orthanc")?)
            .arg(&file)
            // else each of its messages waits 40 ms
            .env("TCP_NODELAY", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let orthanc = Self {
            child,
            http: format!("http://127.0.0.1:{http}"),
            client: Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?,
        };
        let begun = Instant::now();
        while [http, port].iter().any(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_err()) {
            ensure!(begun.elapsed() < Duration::from_secs(40), "Orthanc does not start");
            pause();
        }
        Ok(orthanc)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.client.request(method, format!("{}{path}", self.http));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn put_file(&self, image: &SmallInstance) -> Result<String> {
        let answer = self.client.post(format!("{}/instances", self.http)).body(image.file()).send().await?;
        let answer: Value = answer.json().await?;
        Ok(answer["ID"].as_str().context("no ID")?.to_owned())
    }

    async fn count(&self) -> Result<usize> {
        let instances = self.ask(Method::GET, "/instances", None).await?;
        Ok(instances.as_array().map(Vec::len).unwrap_or_default())
    }
}

struct House {
    server: Server,
    orthanc: Orthanc,
    port: u16,
}

fn house() -> Result<House> {
    let server = Server::start()?;
    let port = free_port()?;
    let identity = server.listening_device("ORTHANC", "store,find,move,get,commit", &format!("127.0.0.1:{port}"))?;
    let orthanc = Orthanc::start(&server, &identity, port)?;
    Ok(House { server, orthanc, port })
}

fn images(count: u32) -> Vec<SmallInstance> {
    (1..=count).map(|number| SmallInstance::new(61, 1, 1, number)).collect()
}

#[tokio::test]
async fn orthanc_verifies_stores_and_has_it_committed() -> Result<()> {
    let House { server, orthanc, .. } = house()?;
    orthanc.post("/modalities/kluis/echo", json!({})).await?;
    let images = images(3);
    let mut ids = Vec::new();
    for image in &images {
        ids.push(orthanc.put_file(image).await?);
    }
    let stored = orthanc.post("/modalities/kluis/store", json!({ "Resources": ids, "Synchronous": true })).await?;
    assert_eq!((&stored["InstancesCount"], &stored["FailedInstancesCount"]), (&json!(3), &json!(0)), "{stored}");
    assert_eq!(server.command(&["study", "list"])?[0]["instance_count"], "3");

    // the answer comes on an association that we open
    let absent = json!([images[0].sop_class, "1.2.826.0.1.3680043.10.9.9.9"]);
    let mut wanted: Vec<Value> = images.iter().map(|image| json!([image.sop_class, image.sop_instance])).collect();
    for (add, status, failures) in [(None, "Success", 0), (Some(absent), "Failure", 1)] {
        wanted.extend(add);
        let asked = orthanc.post("/modalities/kluis/storage-commitment", json!({ "DicomInstances": wanted })).await?;
        let path = asked["Path"].as_str().context("path")?.to_owned();
        let begun = Instant::now();
        let report = loop {
            let report = orthanc.ask(Method::GET, &path, None).await?;
            if report["Status"] != "Pending" {
                break report;
            }
            ensure!(begun.elapsed() < Duration::from_secs(40), "no report: {report}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(report["Status"], status, "{report}");
        assert_eq!(report["Failures"].as_array().map(Vec::len).unwrap_or_default(), failures, "{report}");
    }
    Ok(())
}

#[tokio::test]
async fn orthanc_queries_and_has_a_study_moved_to_itself() -> Result<()> {
    let House { server, orthanc, .. } = house()?;
    let images = images(4);
    let folder = server.beside().join("images");
    std::fs::create_dir_all(&folder)?;
    for (at, image) in images.iter().enumerate() {
        std::fs::write(folder.join(format!("{at}.dcm")), image.file())?;
    }
    server.command(&["import", folder.to_str().context("path")?])?;
    let query = json!({ "Level": "Study", "Query": { "PatientID": images[0].patient_id, "StudyDescription": "" } });
    let answer = orthanc.post("/modalities/kluis/query", query).await?;
    let path = answer["Path"].as_str().context("path")?;
    let answers = orthanc.ask(Method::GET, &format!("{path}/answers?expand&simplify"), None).await?;
    assert_eq!(answers[0]["StudyInstanceUID"], json!(images[0].study), "{answers}");
    assert_eq!(orthanc.count().await?, 0);
    orthanc.post(&format!("{path}/retrieve"), json!({ "TargetAet": "ORTHANC", "Synchronous": true })).await?;
    assert_eq!(orthanc.count().await?, 4);
    Ok(())
}

#[tokio::test]
async fn our_client_sends_to_orthanc_searches_it_and_gets_from_it() -> Result<()> {
    let House { server, orthanc, port } = house()?;
    let images = images(3);
    let folder = server.beside().join("images");
    std::fs::create_dir_all(&folder)?;
    for (at, image) in images.iter().enumerate() {
        std::fs::write(folder.join(format!("{at}.dcm")), image.file())?;
    }
    let client = server.device("CLIENT", "")?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("path");
    let [key, cert] = ["key", "cert"].map(|kind| client.join(format!("CLIENT.{kind}.pem")));
    let pin = server.command(&["device", "show", "ORTHANC"])?["key_fingerprint"].as_str().context("pin")?.to_owned();
    let peer = format!("127.0.0.1:{port}");
    let connect = ["--pin", &pin, "--cert", &text(&cert)?, "--key", &text(&key)?, "--called", "ORTHANC", "--json"];
    let ask = |arguments: &[&str]| -> Result<Value> {
        let mut command = Command::new(kluis_program());
        command.args(["dicom", arguments[0], &peer]).args(connect).args(&arguments[1..]);
        let output = command.output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    assert_eq!(ask(&["echo"])?["status"], "0000H");
    assert_eq!(ask(&["send", &text(&folder)?])?["sent"], 3);
    assert_eq!(orthanc.count().await?, 3);
    let study = format!("StudyInstanceUID={}", images[0].study);
    let found = ask(&["find", "--level", "series", "-k", &study])?;
    assert_eq!(found["matches"][0]["0020000E"]["Value"][0], json!(images[0].series), "{found}");
    let out = server.beside().join("got");
    let got = ask(&["get", "-k", &study, "--out", &text(&out)?])?;
    assert_eq!((&got["completed"], &got["failed"]), (&json!(3), &json!(0)), "{got}");
    // it is configured with us: what it is asked to move comes to our door, which wants it to have the right
    let moved = ask(&["move", "--to", "KLUIS", "-k", &study])?;
    assert_eq!(moved["completed"], 3, "{moved}");
    assert_eq!(server.command(&["study", "list"])?[0]["instance_count"], "3");
    Ok(())
}
