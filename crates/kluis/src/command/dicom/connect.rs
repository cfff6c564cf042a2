//! To a peer: the connection, TLS, the association.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use kluis_dicom::{AeTitle, Uid, implementation, transfer_syntax};
use kluis_dimse::{
    PromptTcp,
    association::Violation,
    limits::Timing,
    pdu::{PduError, RoleSelection},
    requestor::{Association, Failure, Offer, Proposal},
};
use kluis_identity::tls::{Trusted, client_config, read_identity};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::cli::ConnectArgs;

/// The first byte of what a TLS server says to one who does not speak TLS (RFC 8446 5.1).
const TLS_ALERT: u8 = 0x15;

/// Whatever the bytes go over.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug> Wire for T {}

/// An association, in the clear or over TLS.
pub(super) type Link = Association<Box<dyn Wire>>;

/// A peer that can be called, and how.
pub(super) struct Peer {
    address: String,
    tls: Option<Arc<ClientConfig>>,
    pub(super) calling: AeTitle,
    pub(super) called: AeTitle,
    timing: Timing,
    connect: Duration,
}

impl Peer {
    /// Reads certificates and titles.
    pub(super) fn new(args: &ConnectArgs) -> Result<Self> {
        let (_, port) = args.peer.rsplit_once(':').context("the peer is named as HOST:PORT")?;
        ensure!(port.parse::<u16>().is_ok_and(|port| port > 0), "the port of the peer is no port number");
        let files = Files::of(args)?;
        let calling = args.calling.as_deref().or(files.title.as_deref()).unwrap_or("KLUIS");
        let called = args.called.as_deref().unwrap_or(if files.title.is_some() { "KLUIS" } else { "ANY-SCP" });
        let wait = Duration::from_secs(args.timeout_s.max(1));
        Ok(Self {
            address: args.peer.clone(),
            tls: if args.plain { None } else { Some(files.config(args.pin.as_deref())?) },
            calling: calling.parse().context("the calling AE title is none")?,
            called: called.parse().context("the called AE title is none")?,
            timing: Timing { idle: wait, artim: wait.min(Timing::default().artim), ..Timing::default() },
            connect: wait.min(Duration::from_secs(10)),
        })
    }

    /// Calls, and asks for an association with these contexts.
    pub(super) async fn associate(&self, contexts: Vec<Offer>, roles: Vec<RoleSelection>) -> Result<Link> {
        let address = &self.address;
        let connected = timeout(self.connect, TcpStream::connect(address)).await;
        let stream = connected.with_context(|| format!("{address} does not answer"))?;
        let stream = stream.and_then(PromptTcp::new).with_context(|| format!("cannot connect to {address}"))?;
        let stream: Box<dyn Wire> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let host = address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
                let name = ServerName::try_from(host.to_owned()).context("the host of the peer is no host name")?;
                let shaken = timeout(self.connect, TlsConnector::from(Arc::clone(config)).connect(name, stream)).await;
                let shaken = shaken.with_context(|| format!("{address} does not answer over TLS"))?;
                Box::new(shaken.with_context(|| format!("no TLS with {address}; `--plain` asks for none"))?)
            }
        };
        let proposal = Proposal {
            calling: self.calling.clone(),
            called: self.called.clone(),
            contexts,
            roles,
            extended: Vec::new(),
            identity: None,
            implementation_class_uid: implementation::class_uid(),
            implementation_version: implementation::VERSION_NAME.to_owned(),
        };
        // nobody stops a command but by ending it
        let (_, never) = watch::channel(false);
        let asked = Association::request(stream, &proposal, self.timing, never).await;
        asked.map_err(|failure| match failure {
            Failure::Violation(Violation::Pdu(PduError::UnrecognizedType(TLS_ALERT))) if self.tls.is_none() => {
                anyhow!("{address} speaks TLS; leave out --plain")
            }
            failure => failure.into(),
        })
    }
}

/// A context for messages without pixels.
pub(super) fn plain_offer(sop_class: &str) -> Result<Offer> {
    Ok(Offer {
        abstract_syntax: sop_class.parse()?,
        transfer_syntaxes: vec![
            transfer_syntax::EXPLICIT_LITTLE_ENDIAN.parse()?,
            transfer_syntax::IMPLICIT_LITTLE_ENDIAN.parse()?,
        ],
    })
}

/// How data sets of a context are written.
pub(super) fn encoding(link: &Link, context: u8) -> Result<(Uid, transfer_syntax::Encoding)> {
    let agreed = link.contexts().get(&context).context("no presentation context")?;
    let uid = agreed.transfer_syntax.clone();
    let syntax = transfer_syntax::lookup(uid.as_str()).context("the peer chose a transfer syntax that is unknown")?;
    Ok((uid, syntax.encoding))
}

/// Certificates and keys, as files.
#[derive(Default)]
struct Files {
    /// The AE title in the name of the certificate.
    title: Option<String>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    ca: Option<PathBuf>,
}

impl Files {
    fn of(args: &ConnectArgs) -> Result<Self> {
        let mut files = match &args.identity {
            Some(folder) => Self::in_folder(folder, args.calling.as_deref())?,
            None => Self::default(),
        };
        files.cert = args.cert.clone().or(files.cert);
        files.key = args.key.clone().or(files.key);
        files.ca = args.ca.clone().or(files.ca);
        ensure!(files.cert.is_some() == files.key.is_some(), "--cert and --key go together");
        Ok(files)
    }

    /// What `kluis device add` wrote.
    fn in_folder(folder: &Path, calling: Option<&str>) -> Result<Self> {
        let mut titles = Vec::new();
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let name = entry?.file_name();
            titles.extend(name.to_str().and_then(|name| name.strip_suffix(".cert.pem")).map(str::to_owned));
        }
        titles.retain(|title| calling.is_none_or(|calling| calling == title));
        let [title] = <[String; 1]>::try_from(titles).map_err(|titles| match titles.len() {
            0 => anyhow!("{} holds no certificate of that device", folder.display()),
            _ => anyhow!("{} holds several devices; say which by --calling", folder.display()),
        })?;
        let file = |kind: &str| Some(folder.join(format!("{title}.{kind}.pem")));
        let ca = Some(folder.join("ca.pem")).filter(|path| path.exists());
        Ok(Self { cert: file("cert"), key: file("key"), ca, title: Some(title) })
    }

    fn config(&self, pin: Option<&str>) -> Result<Arc<ClientConfig>> {
        let own = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some(read_identity(&read(cert)?, &read(key)?)?),
            _ => None,
        };
        let ca = self.ca.as_deref().map(read).transpose()?;
        let trusted = match (pin, &ca) {
            (Some(pin), _) => Trusted::Key(pin),
            (None, Some(pem)) => Trusted::Authority(pem),
            (None, None) => bail!(
                "say by what the peer is known: --ca FILE (its authority), --identity DIR (what `kluis device add` \
                 wrote) or --pin FINGERPRINT; or --plain for no TLS at all"
            ),
        };
        Ok(client_config(own, trusted)?)
    }
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
