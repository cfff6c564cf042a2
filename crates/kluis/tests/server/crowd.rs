//! Many devices at once: each stores and searches, none is left behind, and memory stays within bounds.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use kluis_dicom::implementation;
use kluis_dimse::{
    Body, Unreadable,
    command::Status,
    limits::Timing,
    requestor::{Association, Found, Offer, Proposal, Stored},
};
use kluis_identity::tls::{Trusted, client_config, read_identity};
use kluis_testkit::SmallInstance;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, sync::watch, task::JoinSet};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{memory::process::Watch, support::Server};

const ASSOCIATIONS: u32 = 64;
const ROUNDS: u32 = 4;
const IMAGES: u32 = 3;
const STUDY_ROOT: &str = "1.2.840.10008.5.1.4.1.2.2.1";
const VERIFICATION: &str = "1.2.840.10008.1.1";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

struct Whole(Option<Bytes>);

impl Body for Whole {
    async fn read(&mut self) -> Result<Option<Bytes>, Unreadable> {
        Ok(self.0.take())
    }
}

async fn associate(
    server: &Server,
    device: &std::path::Path,
    title: &str,
) -> Result<Association<TlsStream<TcpStream>>> {
    let file = |kind: &str| std::fs::read_to_string(device.join(format!("{title}.{kind}.pem")));
    let authority = std::fs::read_to_string(server.ca())?;
    let own = read_identity(&file("cert")?, &file("key")?)?;
    let config = client_config(Some(own), Trusted::Authority(&authority))?;
    let stream = TcpStream::connect(&server.dicom_tls).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(config).connect(ServerName::try_from("127.0.0.1")?, stream).await?;
    let classes =
        [VERIFICATION, STUDY_ROOT, kluis_testkit::instance::SECONDARY_CAPTURE, kluis_testkit::instance::CT_IMAGE];
    let offer =
        |class: &str| anyhow::Ok(Offer { abstract_syntax: class.parse()?, transfer_syntaxes: vec![EXPLICIT.parse()?] });
    let proposal = Proposal {
        calling: title.parse()?,
        called: "KLUIS".parse()?,
        contexts: classes.into_iter().map(offer).collect::<Result<_>>()?,
        roles: Vec::new(),
        extended: Vec::new(),
        identity: None,
        implementation_class_uid: implementation::class_uid(),
        implementation_version: "TEST".to_owned(),
    };
    let (_, never) = watch::channel(false);
    Ok(Association::request(stream, &proposal, Timing::default(), never).await?)
}

/// Stores a study of its own and finds it again, several times; how long it took.
async fn work(server: &Server, device: &std::path::Path, title: &str, number: u32) -> Result<f64> {
    let begun = Instant::now();
    let mut association = associate(server, device, title).await?;
    for round in 0..ROUNDS {
        let mut study = String::new();
        for image in 1..=IMAGES {
            let mut image = SmallInstance::new(71 + u64::from(number), round, 1, image);
            image.side_pixels = 256;
            let context = association.context_for(&image.sop_class.parse()?, &EXPLICIT.parse()?).context("context")?;
            let body = Whole(Some(image.data_set_bytes().into()));
            let stored = association.store(context, &image.sop_instance.parse()?, None, body).await?;
            ensure!(matches!(&stored, Stored::Answered(answer) if answer.status == Status::SUCCESS), "{stored:?}");
            study = image.study;
        }
        let context = association.context_of(&STUDY_ROOT.parse()?)?;
        let mut keys = serde_json::Map::new();
        keys.insert("00080052".to_owned(), serde_json::json!({ "vr": "CS", "Value": ["STUDY"] }));
        keys.insert("0020000D".to_owned(), serde_json::json!({ "vr": "UI", "Value": [study] }));
        let encoding = kluis_dicom::transfer_syntax::lookup(EXPLICIT).context("syntax")?.encoding;
        let mut finding = association.find(context, &kluis_dicom::data_set::write(&keys, encoding)).await?;
        let mut matches = 0;
        loop {
            match finding.next().await? {
                Found::Match(..) => matches += 1,
                Found::End(answer) => {
                    ensure!(answer.status == Status::SUCCESS && matches == 1, "{matches} {answer:?}");
                    break;
                }
            }
        }
    }
    association.release().await?;
    Ok(begun.elapsed().as_secs_f64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_devices_store_and_search_at_once() -> Result<()> {
    let server = Arc::new(Server::start()?);
    // eight devices with eight associations each
    let devices =
        (0..8).map(|number| server.device(&format!("CT{number}"), "store,find")).collect::<Result<Vec<_>>>()?;
    let watch = Watch::begin(&server)?;
    let mut crowd = JoinSet::new();
    for number in 0..ASSOCIATIONS {
        let (server, device) = (Arc::clone(&server), devices[number as usize % 8].clone());
        crowd.spawn(async move { work(&server, &device, &format!("CT{}", number % 8), number).await });
    }
    let mut times = Vec::new();
    while let Some(done) = crowd.join_next().await {
        times.push(done??);
    }
    times.sort_by(f64::total_cmp);
    // all began together and had the same to do: nobody has to wait for others to end
    let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
    assert!(last < 3.0 * median, "the last one took {last:.1} s, most {median:.1} s");
    let verified = server.command(&["verify"])?;
    assert_eq!(verified["objects"], ASSOCIATIONS * ROUNDS * IMAGES, "{verified}");
    let peak = watch.end()?;
    assert!(peak.resident < 300 << 20, "{peak:?}");
    Ok(())
}
