//! Blocking streams of the load clients: TCP as it is, or TLS over it.
//!
//! May not contain: protocols above TLS.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, IpAddr, PrivateKeyDer, ServerName, pem::PemObject},
};

/// A server that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// rustls asks its socket for 4 KiB at a time; this asks the kernel for more, so that the client costs less.
const READ_AHEAD: usize = 128 << 10;

/// How a client shows itself and whom it trusts.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the authority of the PEM file and shows the certificate of `device` where there is one: the files of its
    /// certificate and its key.
    pub fn new(authority: &Path, device: Option<(&Path, &Path)>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots);
        let mut config = match device {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?
            }
        };
        // every connection pays its handshake; ticket bookkeeping would only add noise
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// The same, asking for HTTP/1.1.
    #[must_use]
    pub fn for_http(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }
}

/// A connection.
pub enum Stream {
    /// In the clear.
    Plain(Buffered),
    /// Over TLS 1.3.
    Tls(Box<StreamOwned<ClientConnection, Buffered>>),
}

/// TCP read in large pieces.
#[derive(Debug)]
pub struct Buffered(io::BufReader<TcpStream>);

impl Stream {
    /// Connects, and shakes hands where there is TLS.
    pub fn connect(address: SocketAddr, tls: Option<&Tls>) -> Result<Self> {
        let tcp = TcpStream::connect_timeout(&address, PATIENCE).context("cannot connect")?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let buffered = Buffered(io::BufReader::with_capacity(READ_AHEAD, tcp));
        let Some(Tls(config)) = tls else { return Ok(Self::Plain(buffered)) };
        let name = ServerName::IpAddress(IpAddr::from(address.ip()));
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, buffered);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).context("TLS handshake failed")?;
        }
        Ok(Self::Tls(Box::new(stream)))
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(from),
            Self::Tls(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Read for Buffered {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Buffered {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(from)
    }

    fn write_vectored(&mut self, from: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.get_mut().write_vectored(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}
