//! A crowd of peers that want nothing but to be in the way. Each comes again when it was sent away.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::JoinSet,
};

use super::scu::{Association, Identity, dial, request};

/// Between two bytes of one who drips.
const DRIP: Duration = Duration::from_secs(1);
/// Before one who was sent away comes again.
const AGAIN: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    SilentDicom,
    SilentHttps,
    HalfHelloDicom,
    HalfHelloHttps,
    HalfAssociate,
    NoCertificate,
    HalfHead,
    HalfStow,
    DripHello,
    DripObject,
    DripHead,
    DripStow,
    NeverRead,
}

impl Kind {
    pub const SILENT: [Self; 2] = [Self::SilentDicom, Self::SilentHttps];
    pub const HALF: [Self; 6] = [
        Self::HalfHelloDicom,
        Self::HalfHelloHttps,
        Self::HalfAssociate,
        Self::NoCertificate,
        Self::HalfHead,
        Self::HalfStow,
    ];
    pub const DRIPPING: [Self; 5] =
        [Self::DripHello, Self::DripObject, Self::DripHead, Self::DripStow, Self::NeverRead];
}

/// What the crowd knows of the node.
pub struct Target {
    pub dicom: SocketAddr,
    pub https: SocketAddr,
    pub nobody: Identity,
    /// An enrolled device that turned bad.
    pub device: Identity,
    pub calling: String,
    /// A token that turned bad.
    pub token: String,
    /// Path of an answer of many megabytes.
    pub large: String,
}

/// What became of the crowd.
#[derive(Default)]
pub struct Tally {
    pub came: AtomicUsize,
    pub open: AtomicUsize,
    /// The longest that the node bore one of a kind that it ended itself.
    pub longest: Mutex<HashMap<Kind, Duration>>,
}

impl Tally {
    fn note(&self, kind: Kind, life: Duration) {
        let mut longest = self.longest.lock().unwrap();
        let known = longest.entry(kind).or_default();
        *known = life.max(*known);
    }
}

/// The crowd; goes away when dropped.
pub struct Crowd {
    tasks: JoinSet<()>,
    pub tally: Arc<Tally>,
}

impl Crowd {
    /// So many of each group, in turn by kind; every second one from one address, the others each from its own.
    pub fn gather(target: &Arc<Target>, silent: usize, half: usize, dripping: usize) -> Self {
        let mut tasks = JoinSet::new();
        let tally = Arc::new(Tally::default());
        let groups: [(&[Kind], usize); 3] = [(&Kind::SILENT, silent), (&Kind::HALF, half), (&Kind::DRIPPING, dripping)];
        for (kinds, count) in groups {
            for (n, kind) in kinds.iter().cycle().take(count).enumerate() {
                let [high, low] = u16::try_from(n).unwrap().to_be_bytes();
                let from = if n / kinds.len() % 2 == 0 {
                    Ipv4Addr::new(127, 9, 9, 9)
                } else {
                    Ipv4Addr::new(127, 10 + u8::try_from(*kind as usize).unwrap(), high, low.max(1))
                };
                tasks.spawn(again_and_again(*kind, from, Arc::clone(target), Arc::clone(&tally)));
            }
        }
        Self { tasks, tally }
    }

    /// Until so many have come in all.
    pub async fn have_come(&self, count: usize) {
        while self.tally.came.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn go_home(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn again_and_again(kind: Kind, from: Ipv4Addr, target: Arc<Target>, tally: Arc<Tally>) {
    let mut has_come = false;
    loop {
        let begun = Instant::now();
        let open = Open::new(&tally);
        // counted also where it is not even let in: what matters is that it tried
        if !std::mem::replace(&mut has_come, true) {
            tally.came.fetch_add(1, Ordering::Relaxed);
        }
        // an error is the end of the connection, which is what the node is to bring about
        let _ = annoy(kind, from, &target).await;
        drop(open);
        tally.note(kind, begun.elapsed());
        tokio::time::sleep(AGAIN).await;
    }
}

struct Open<'a>(&'a Tally);

impl<'a> Open<'a> {
    fn new(tally: &'a Tally) -> Self {
        tally.open.fetch_add(1, Ordering::Relaxed);
        Self(tally)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens one connection and keeps it until the node ends it.
async fn annoy(kind: Kind, from: Ipv4Addr, target: &Target) -> Result<()> {
    let stow = |length: usize| {
        format!(
            "POST /dicom-web/studies HTTP/1.1\r\nHost: kluis\r\nAuthorization: Bearer {}\r\nContent-Type: \
             multipart/related; type=\"application/dicom\"; boundary=b\r\nContent-Length: {length}\r\n\r\n--b\r\n\
             Content-Type: application/dicom\r\n\r\n",
            target.token
        )
    };
    let half_head = "GET /dicom-web/studies HTTP/1.1\r\nHost: kluis\r\nX-Fill: ";
    match kind {
        Kind::SilentDicom => until_closed(dial(from, target.dicom, None).await?).await,
        Kind::SilentHttps => until_closed(dial(from, target.https, None).await?).await,
        Kind::HalfHelloDicom | Kind::HalfHelloHttps => {
            let to = if kind == Kind::HalfHelloDicom { target.dicom } else { target.https };
            let mut stream = dial(from, to, None).await?;
            let hello = target.nobody.hello()?;
            stream.write_all(&hello[..hello.len() / 2]).await?;
            until_closed(stream).await
        }
        Kind::HalfAssociate | Kind::NoCertificate => {
            let identity = if kind == Kind::HalfAssociate { &target.device } else { &target.nobody };
            let mut stream = identity.connect(from, target.dicom).await?;
            let request = request(&target.calling, "KLUIS");
            stream.write_all(&request[..request.len() / 2]).await?;
            until_closed(stream).await
        }
        Kind::HalfHead => {
            let mut stream = target.nobody.connect(from, target.https).await?;
            stream.write_all(half_head.as_bytes()).await?;
            until_closed(stream).await
        }
        Kind::HalfStow => {
            let mut stream = target.nobody.connect(from, target.https).await?;
            stream.write_all(stow(1_000_000).as_bytes()).await?;
            stream.write_all(&[0; 200]).await?;
            until_closed(stream).await
        }
        Kind::DripHello => {
            let hello = target.nobody.hello()?;
            drip(dial(from, target.dicom, None).await?, &hello).await
        }
        Kind::DripObject => {
            let mut association = Association::open(&target.device, from, target.dicom, &target.calling).await?;
            association.begin_store("1.2.3.4").await?;
            loop {
                association.drip(&[0]).await?;
                tokio::time::sleep(DRIP).await;
            }
        }
        Kind::DripHead => {
            let mut stream = target.nobody.connect(from, target.https).await?;
            stream.write_all(half_head.as_bytes()).await?;
            drip(stream, &[b'x'; 100_000]).await
        }
        Kind::DripStow => {
            let mut stream = target.nobody.connect(from, target.https).await?;
            stream.write_all(stow(1_000_000).as_bytes()).await?;
            drip(stream, &[0; 100_000]).await
        }
        Kind::NeverRead => {
            let stream = dial(from, target.https, Some(4096)).await?;
            let mut stream = target.nobody.shake_hands(stream).await?;
            let accept = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
            let request = format!(
                "GET {} HTTP/1.1\r\nHost: kluis\r\nAuthorization: Bearer {}\r\nAccept: {accept}\r\n\r\n",
                target.large, target.token
            );
            stream.write_all(request.as_bytes()).await?;
            // reads nothing; sees the end when the other side has given up
            loop {
                tokio::time::sleep(DRIP).await;
                if stream.get_ref().0.take_error()?.is_some() {
                    return Ok(());
                }
            }
        }
    }
}

async fn until_closed(mut stream: impl AsyncRead + Unpin) -> Result<()> {
    let mut bytes = [0; 256];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}

/// One byte at a time, until they are all sent or the other side ends it.
async fn drip(stream: impl AsyncRead + AsyncWrite, bytes: &[u8]) -> Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let dripping = async {
        for byte in bytes {
            write.write_all(&[*byte]).await?;
            write.flush().await?;
            tokio::time::sleep(DRIP).await;
        }
        std::future::pending::<()>().await;
        Ok(())
    };
    let mut read = std::pin::pin!(read);
    tokio::select! {
        ended = dripping => ended,
        ended = until_closed(read.as_mut()) => ended,
    }
}
