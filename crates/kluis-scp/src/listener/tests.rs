use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use kluis_archive::{Clock, SystemClock};
use kluis_dimse::{
    Refusal,
    pdu::{Abort, AbortSource, AssociateRq, Pdu, reject_reason},
};
use kluis_identity::{CertificateAuthority, IssuedCertificate, tls::dimse_config};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::connection::Caller;

#[path = "../../../kluis-dimse/tests/peer/mod.rs"]
mod peer;

use peer::{Memory, Peer, ae, data, request, store_command};

/// Lets in whose certificate it knows, and keeps in memory what they send.
#[derive(Clone, Default)]
struct TestHouse {
    known: Arc<Mutex<HashSet<CertificateDer<'static>>>>,
    memory: Memory,
    unproved: Arc<AtomicU32>,
}

impl House for TestHouse {
    type Services = Memory;

    fn services(&self, caller: Caller) -> Memory {
        let is_known = self.known.lock().unwrap().contains(&caller.certificate);
        Memory { refusal: (!is_known).then_some(Refusal::Identity), ..self.memory.clone() }
    }

    async fn note_unproved(&self, _: IpAddr) {
        self.unproved.fetch_add(1, Ordering::SeqCst);
    }
}

struct Running {
    house: TestHouse,
    authority: CertificateAuthority,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn start(change: impl FnOnce(&mut Settings)) -> Running {
    let now = SystemClock.now();
    let authority = CertificateAuthority::create(now).unwrap();
    let server = authority.issue_server(&["127.0.0.1".to_owned()], now).unwrap();
    let tls = dimse_config(&server, &authority).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    let house = TestHouse::default();
    let mut settings = Settings::new(vec!["KLUIS".parse().unwrap()]);
    change(&mut settings);
    let task = tokio::spawn(run(listener, tls, house.clone(), settings, stopping));
    Running { house, authority, address, stop, task }
}

impl Running {
    /// A certificate; only those of devices are let in.
    fn certificate(&self, is_device: bool) -> IssuedCertificate {
        let issued = self.authority.issue_device(&"MODALITY".parse().unwrap(), SystemClock.now()).unwrap();
        if is_device {
            self.house.known.lock().unwrap().insert(issued.certificate.clone());
        }
        issued
    }

    async fn connect(&self, certificate: Option<&IssuedCertificate>) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            Some(issued) => {
                let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_ref().unwrap().as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![issued.certificate.clone()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        Ok(Peer::new(stream))
    }

    async fn associated(&self, certificate: &IssuedCertificate) -> Peer<TlsStream<TcpStream>> {
        let mut peer = self.connect(Some(certificate)).await.unwrap();
        peer.associate(request()).await;
        peer
    }

    /// What a request gets that is not accepted.
    async fn answer(&self, certificate: &IssuedCertificate, rq: AssociateRq) -> Option<Pdu> {
        let mut peer = self.connect(Some(certificate)).await.unwrap();
        peer.send_pdu(&Pdu::AssociateRq(Box::new(rq))).await;
        peer.receive().await
    }
}

#[tokio::test]
async fn a01_b01_b02_a_device_echoes_and_stores_over_tls() {
    let running = start(|_| ()).await;
    let mut peer = running.associated(&running.certificate(true)).await;
    assert_eq!(peer.echo(1).await, 0);
    let data_set = vec![7; 300_000];
    assert_eq!(peer.store(2, "1.2.3", &data_set).await, 0);
    peer.release().await;
    assert!(running.house.memory.stored.lock().unwrap()[0].data_set == data_set);
    assert_eq!(running.house.unproved.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a30_plain_tcp_gets_nothing() {
    let running = start(|_| ()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(&peer::pdu_bytes(&Pdu::AssociateRq(Box::new(request())))).await.unwrap();
    let mut answer = Vec::new();
    // a TLS alert or a reset, but nothing of DICOM
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
}

#[tokio::test]
async fn a30_clients_without_a_certificate_of_ours_get_nothing() {
    let running = start(|_| ()).await;
    let other = start(|_| ()).await;
    let foreign = other.certificate(true);
    for certificate in [None, Some(&foreign)] {
        // TLS 1.3 tells the client only after its own handshake is done
        if let Ok(mut peer) = running.connect(certificate).await {
            let rq = peer::pdu_bytes(&Pdu::AssociateRq(Box::new(request())));
            let _ = peer.stream.write_all(&rq).await;
            assert_eq!(peer.receive().await, None);
        }
    }
    assert_eq!(running.house.unproved.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a03_t02_all_failed_identities_are_answered_alike_and_noted() {
    let running = start(|_| ()).await;
    let stranger = running.certificate(false);
    for title in ["MODALITY", "KLUIS", "ADMIN"] {
        let answer = running.answer(&stranger, AssociateRq { calling_ae: ae(title), ..request() }).await;
        assert_eq!(answer, Some(Pdu::AssociateRj(reject_reason::CALLING_AE)));
    }
    assert_eq!(running.house.unproved.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a02_who_calls_another_title_is_rejected_and_noted() {
    let running = start(|_| ()).await;
    let device = running.certificate(true);
    let answer = running.answer(&device, AssociateRq { called_ae: ae("ARCHIVE"), ..request() }).await;
    assert_eq!(answer, Some(Pdu::AssociateRj(reject_reason::CALLED_AE)));
    let noted = async {
        while running.house.unproved.load(Ordering::SeqCst) != 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), noted).await.expect("it was not noted");
}

#[tokio::test]
async fn t14_a_device_has_so_many_associations_whatever_its_addresses() {
    let running = start(|settings| {
        settings.associations = 8;
        settings.associations_per_device = 4;
    })
    .await;
    let device = running.certificate(true);
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(running.associated(&device).await);
    }
    let one_more = running.answer(&device, request()).await;
    assert_eq!(one_more, Some(Pdu::AssociateRj(reject_reason::LOCAL_LIMIT)));
    // the limit goes by the title that the certificate proved
    let other = running.answer(&device, AssociateRq { calling_ae: ae("OTHER"), ..request() }).await;
    assert!(matches!(other, Some(Pdu::AssociateAc(_))), "{other:?}");
}

#[tokio::test]
async fn a21_20_associations_at_once_and_2_3_2_beyond_the_limit() {
    let running = start(|settings| settings.associations_per_source = 20).await;
    let device = running.certificate(true);
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(running.associated(&device).await);
    }
    for peer in &mut peers {
        assert_eq!(peer.echo(1).await, 0);
    }
    let one_more = running.answer(&device, request()).await;
    assert_eq!(one_more, Some(Pdu::AssociateRj(reject_reason::LOCAL_LIMIT)));
    // an identity is looked at first, so that a stranger does not learn how busy we are
    let stranger = running.answer(&running.certificate(false), request()).await;
    assert_eq!(stranger, Some(Pdu::AssociateRj(reject_reason::CALLING_AE)));
    // a place is free again when the connection of its association has ended
    let mut left = peers.pop().unwrap();
    left.send_pdu(&Pdu::Abort(Abort { source: AbortSource::User, reason: 0 })).await;
    assert_eq!(left.receive().await, None);
    loop {
        match running.answer(&device, request()).await {
            Some(Pdu::AssociateAc(_)) => break,
            answer => assert_eq!(answer, Some(Pdu::AssociateRj(reject_reason::LOCAL_LIMIT))),
        }
    }
}

#[tokio::test]
async fn t14_silent_connections_cost_nobody_else_anything() {
    let running = start(|settings| {
        settings.waiting = 50;
        // so that nobody goes for any other reason
        settings.timing.artim = Duration::from_secs(3600);
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(&[0x16, 3, 1]).await.unwrap();
    let mut peer = running.associated(&running.certificate(true)).await;
    assert_eq!(peer.echo(1).await, 0);
    // the first of them was sent away for others
    let mut end = [0];
    let sent_away = timeout(Duration::from_secs(10), silent[0].read(&mut end)).await;
    assert_eq!(sent_away.expect("still waiting").unwrap_or(0), 0);
    // and no flood ends an association
    for _ in 0..100 {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    assert_eq!(peer.echo(2).await, 0);
}

#[tokio::test]
async fn a19_silence_before_and_after_the_handshake_ends_with_artim() {
    let running = start(|settings| settings.timing.artim = Duration::from_millis(300)).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(&[0x16, 3, 1]).await.unwrap();
    assert_eq!(half.read(&mut [0]).await.unwrap_or(0), 0);
    let mut peer = running.connect(Some(&running.certificate(true))).await.unwrap();
    assert_eq!(peer.receive().await, None);
}

#[tokio::test]
async fn stopping_lets_a_message_finish_and_then_ends() {
    let running = start(|_| ()).await;
    let device = running.certificate(true);
    let mut idle = running.associated(&device).await;
    let mut busy = running.associated(&device).await;
    busy.send(&data(&[(3, true, true, &store_command(1, "1.2.3")), (3, false, false, &[1; 100])])).await;
    let _silent = TcpStream::connect(running.address).await.unwrap();
    // the store has begun when its sink shares the memory too, beside this test, the listener and two associations
    while Arc::strong_count(&running.house.memory.stored) < 5 {
        tokio::task::yield_now().await;
    }
    running.stop.send(true).unwrap();
    let abort = Some(Pdu::Abort(Abort { source: AbortSource::User, reason: 0 }));
    assert_eq!(idle.receive().await, abort);
    busy.send(&data(&[(3, false, true, &[2; 100])])).await;
    assert_eq!(busy.receive_status().await, 0);
    assert_eq!(busy.receive().await, abort);
    drop((idle, busy));
    running.task.await.unwrap();
    assert_eq!(running.house.memory.stored.lock().unwrap().len(), 1);
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn stopping_cuts_off_at_the_end_of_the_grace_time() {
    let running = start(|settings| settings.grace = Duration::from_millis(200)).await;
    let mut busy = running.associated(&running.certificate(true)).await;
    busy.send(&data(&[(3, true, true, &store_command(1, "1.2.3")), (3, false, false, &[1; 100])])).await;
    running.stop.send(true).unwrap();
    running.task.await.unwrap();
    assert!(running.house.memory.stored.lock().unwrap().is_empty());
}
