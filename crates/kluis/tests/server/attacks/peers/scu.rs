//! A requestor over TLS from any loopback address. Its PDUs are written by hand (PS3.8 9.3), so that nothing of ours is
//! on both sides.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use kluis_testkit::{SmallInstance, instance::CT_IMAGE, part10::EXPLICIT_VR_LITTLE_ENDIAN};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::Server;

pub const VERIFICATION: &str = "1.2.840.10008.1.1";
const ECHO: u8 = 1;
const STORE: u8 = 3;
const FRAGMENT: usize = 64 << 10;

/// What connects: trust in the node, and the key of a device where there is one.
#[derive(Clone)]
pub struct Identity(Arc<ClientConfig>);

impl Identity {
    /// Trust in the node and no key.
    pub fn nobody(server: &Server) -> Result<Self> {
        Ok(Self(Arc::new(Self::builder(server)?.with_no_client_auth())))
    }

    /// The device whose files lie in `folder`.
    pub fn device(server: &Server, folder: &Path, ae: &str) -> Result<Self> {
        let chain = CertificateDer::pem_file_iter(folder.join(format!("{ae}.cert.pem")))?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(folder.join(format!("{ae}.key.pem")))?;
        Ok(Self(Arc::new(Self::builder(server)?.with_client_auth_cert(chain, key)?)))
    }

    fn builder(server: &Server) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(server.ca())?)?;
        Ok(ClientConfig::builder().with_root_certificates(roots))
    }

    /// The first bytes of a handshake.
    pub fn hello(&self) -> Result<Vec<u8>> {
        let name = ServerName::try_from("127.0.0.1")?;
        let mut connection = rustls::ClientConnection::new(Arc::clone(&self.0), name)?;
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes)?;
        Ok(bytes)
    }

    /// TLS over a connection from this address.
    pub async fn connect(&self, from: Ipv4Addr, to: SocketAddr) -> Result<TlsStream<TcpStream>> {
        self.shake_hands(dial(from, to, None).await?).await
    }

    pub async fn shake_hands(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("127.0.0.1")?;
        Ok(TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await?)
    }
}

/// A connection from this address, with a small receive buffer where wanted.
pub async fn dial(from: Ipv4Addr, to: SocketAddr, receive_bytes: Option<u32>) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(SocketAddr::from((from, 0)))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An association with contexts for Verification and CT Image Storage.
pub struct Association {
    pub stream: TlsStream<TcpStream>,
    message: u16,
}

impl Association {
    pub async fn open(identity: &Identity, from: Ipv4Addr, to: SocketAddr, calling: &str) -> Result<Self> {
        let mut stream = identity.connect(from, to).await?;
        stream.write_all(&request(calling, "KLUIS")).await?;
        let mut association = Self { stream, message: 0 };
        let (kind, body) = association.receive().await?;
        ensure!(kind == 2, "no A-ASSOCIATE-AC but PDU {kind}: {body:?}");
        Ok(association)
    }

    /// C-ECHO; its status.
    pub async fn echo(&mut self) -> Result<u16> {
        let message = self.next_message();
        let command = command(0x0030, VERIFICATION, message, None);
        self.data(ECHO, 0b11, &command).await?;
        self.status().await
    }

    /// C-STORE; its status.
    pub async fn store(&mut self, instance: &str, data_set: &[u8]) -> Result<u16> {
        self.begin_store(instance).await?;
        let mut pieces = data_set.chunks(FRAGMENT).peekable();
        while let Some(piece) = pieces.next() {
            let control = if pieces.peek().is_none() { 0b10 } else { 0 };
            self.data(STORE, control, piece).await?;
        }
        self.status().await
    }

    /// The command of a C-STORE, without its data set.
    pub async fn begin_store(&mut self, instance: &str) -> Result<()> {
        let message = self.next_message();
        let command = command(0x0001, CT_IMAGE, message, Some(instance));
        self.data(STORE, 0b11, &command).await
    }

    pub async fn release(mut self) -> Result<()> {
        self.stream.write_all(&pdu(5, &[0; 4])).await?;
        let (kind, _) = self.receive().await?;
        ensure!(kind == 6, "no A-RELEASE-RP but PDU {kind}");
        Ok(())
    }

    pub async fn data(&mut self, context: u8, control: u8, bytes: &[u8]) -> Result<()> {
        let length = u32::try_from(bytes.len())?;
        let mut message = vec![4, 0];
        message.extend((length + 6).to_be_bytes());
        message.extend((length + 2).to_be_bytes());
        message.extend([context, control]);
        message.extend(bytes);
        Ok(self.stream.write_all(&message).await?)
    }

    /// A fragment of the data set of a C-STORE that goes on.
    pub async fn drip(&mut self, bytes: &[u8]) -> Result<()> {
        self.data(STORE, 0, bytes).await
    }

    fn next_message(&mut self) -> u16 {
        self.message = self.message.wrapping_add(1);
        self.message
    }

    /// The status of the answer to the last command.
    async fn status(&mut self) -> Result<u16> {
        self.stream.flush().await?;
        let (kind, body) = self.receive().await?;
        ensure!(kind == 4, "no P-DATA-TF but PDU {kind}: {body:?}");
        status(body.get(6..).context("no command")?).context("no status")
    }

    async fn receive(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 6];
        self.stream.read_exact(&mut head).await?;
        let mut body = vec![0; u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize];
        self.stream.read_exact(&mut body).await?;
        Ok((head[0], body))
    }
}

/// CT slices of about half a megabyte, or as large as wanted: instance UID and data set.
pub fn slices(seed: u64, count: u32, side_pixels: u16) -> Vec<(String, Vec<u8>)> {
    let one = |number| {
        let mut instance = SmallInstance::new(seed, 1, 1, number);
        CT_IMAGE.clone_into(&mut instance.sop_class);
        instance.side_pixels = side_pixels;
        (instance.sop_instance.clone(), instance.data_set_bytes())
    };
    (1..=count).map(one).collect()
}

fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0], u32::try_from(body.len()).unwrap().to_be_bytes().as_slice(), body].concat()
}

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0], u16::try_from(body.len()).unwrap().to_be_bytes().as_slice(), body].concat()
}

/// A-ASSOCIATE-RQ.
pub fn request(calling: &str, called: &str) -> Vec<u8> {
    let context = |id: u8, class: &str| {
        let (class, syntax) = (item(0x30, class.as_bytes()), item(0x40, EXPLICIT_VR_LITTLE_ENDIAN.as_bytes()));
        item(0x20, &[&[id, 0, 0, 0], class.as_slice(), &syntax].concat())
    };
    let user = [item(0x51, &131_072_u32.to_be_bytes()), item(0x52, b"2.25.1")].concat();
    let body = [
        vec![0, 1, 0, 0],
        format!("{called:16}{calling:16}").into_bytes(),
        vec![0; 32],
        item(0x10, b"1.2.840.10008.3.1.1.1"),
        context(ECHO, VERIFICATION),
        context(STORE, CT_IMAGE),
        item(0x50, &user),
    ];
    pdu(1, &body.concat())
}

/// A command set in Implicit VR Little Endian (PS3.7 6.3).
fn command(field: u16, class: &str, message: u16, instance: Option<&str>) -> Vec<u8> {
    let element = |number: u16, value: &[u8]| {
        let mut bytes = [[0, 0], number.to_le_bytes()].concat();
        let padding = value.len() % 2;
        bytes.extend(u32::try_from(value.len() + padding).unwrap().to_le_bytes());
        bytes.extend(value);
        bytes.extend(std::iter::repeat_n(0, padding));
        bytes
    };
    let data_set: u16 = if instance.is_some() { 0 } else { 0x0101 };
    let mut body = [
        element(0x0002, class.as_bytes()),
        element(0x0100, &field.to_le_bytes()),
        element(0x0110, &message.to_le_bytes()),
    ]
    .concat();
    if instance.is_some() {
        body.extend(element(0x0700, &0_u16.to_le_bytes()));
    }
    body.extend(element(0x0800, &data_set.to_le_bytes()));
    if let Some(instance) = instance {
        body.extend(element(0x1000, instance.as_bytes()));
    }
    [element(0, &u32::try_from(body.len()).unwrap().to_le_bytes()), body].concat()
}

/// (0000,0900) of a command set in Implicit VR Little Endian.
fn status(mut command: &[u8]) -> Option<u16> {
    loop {
        let (head, rest) = command.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (value, rest) = rest.split_at_checked(length)?;
        if head[..4] == [0, 0, 0, 9] {
            return Some(u16::from_le_bytes(value.try_into().ok()?));
        }
        command = rest;
    }
}
