//! A C-STORE sender over TLS that makes the data set while it sends it. Its PDUs are written by hand (PS3.8 9.3), so that
//! nothing of ours is on both sides.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use kluis_testkit::{Giant, giant::MULTI_FRAME_WORD};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Server;

/// Bytes of the data set in one PDU; the node takes 128 KiB.
const FRAGMENT: usize = 120 << 10;
const CONTEXT: u8 = 1;

/// An association with one presentation context.
pub struct Sender {
    stream: TlsStream<TcpStream>,
    message: u16,
}

impl Sender {
    /// Associates as `ae` with the files of its enrolment in `folder`, for multi-frame images in this transfer syntax.
    pub async fn associate(server: &Server, folder: &Path, ae: &str, transfer_syntax: &str) -> Result<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(server.ca())?)?;
        let chain = CertificateDer::pem_file_iter(folder.join(format!("{ae}.cert.pem")))?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(folder.join(format!("{ae}.key.pem")))?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?;
        let stream = TcpStream::connect(&server.dicom_tls).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1")?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let mut sender = Self { stream, message: 0 };
        sender.stream.write_all(&request(ae, transfer_syntax)).await?;
        let (kind, body) = sender.receive().await?;
        ensure!(kind == 2, "no A-ASSOCIATE-AC but PDU {kind}: {body:?}");
        Ok(sender)
    }

    /// The command of a C-STORE, without its data set.
    pub async fn begin(&mut self, sop_instance: &str) -> Result<()> {
        self.message += 1;
        let command = command(self.message, sop_instance);
        self.data(&command, 0b11).await
    }

    /// Some of the data set.
    pub async fn data_set(&mut self, bytes: &[u8], is_last: bool) -> Result<()> {
        self.data(bytes, if is_last { 0b10 } else { 0 }).await
    }

    /// A whole C-STORE; the status of the answer.
    pub async fn store(&mut self, giant: &Giant) -> Result<u16> {
        self.begin(&giant.sop_instance).await?;
        let mut piece = vec![0; FRAGMENT];
        let (mut at, length) = (0, giant.data_set_bytes());
        while at < length {
            let read = giant.read_at(at, &mut piece);
            at += read as u64;
            self.data_set(&piece[..read], at == length).await?;
        }
        self.status().await
    }

    /// The status of the answer to the last command.
    pub async fn status(&mut self) -> Result<u16> {
        self.stream.flush().await?;
        let (kind, body) = self.receive().await?;
        ensure!(kind == 4, "no P-DATA-TF but PDU {kind}: {body:?}");
        let command = body.get(6..).context("no command")?;
        let at = command.windows(4).position(|tag| tag == [0, 0, 0, 9]).context("no status")?;
        Ok(u16::from_le_bytes([command[at + 8], command[at + 9]]))
    }

    /// Releases the association.
    pub async fn release(mut self) -> Result<()> {
        self.stream.write_all(&pdu(5, &[0; 4])).await?;
        self.stream.flush().await?;
        let (kind, _) = self.receive().await?;
        if kind != 6 {
            bail!("no A-RELEASE-RP but PDU {kind}");
        }
        Ok(())
    }

    async fn data(&mut self, bytes: &[u8], control: u8) -> Result<()> {
        let length = u32::try_from(bytes.len())?;
        let mut head = vec![4, 0];
        head.extend((length + 6).to_be_bytes());
        head.extend((length + 2).to_be_bytes());
        head.extend([CONTEXT, control]);
        self.stream.write_all(&head).await?;
        Ok(self.stream.write_all(bytes).await?)
    }

    async fn receive(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 6];
        self.stream.read_exact(&mut head).await?;
        let mut body = vec![0; u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize];
        self.stream.read_exact(&mut body).await?;
        Ok((head[0], body))
    }
}

fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0], u32::try_from(body.len()).unwrap().to_be_bytes().as_slice(), body].concat()
}

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0], u16::try_from(body.len()).unwrap().to_be_bytes().as_slice(), body].concat()
}

fn request(calling: &str, transfer_syntax: &str) -> Vec<u8> {
    let context = [
        &[CONTEXT, 0, 0, 0],
        item(0x30, MULTI_FRAME_WORD.as_bytes()).as_slice(),
        &item(0x40, transfer_syntax.as_bytes()),
    ]
    .concat();
    let user = [item(0x51, &131_072_u32.to_be_bytes()), item(0x52, b"2.25.1")].concat();
    let body = [
        &[0, 1, 0, 0],
        format!("{:16}{calling:16}", "KLUIS").as_bytes(),
        &[0; 32],
        &item(0x10, b"1.2.840.10008.3.1.1.1"),
        &item(0x20, &context),
        &item(0x50, &user),
    ]
    .concat();
    pdu(1, &body)
}

/// C-STORE-RQ (PS3.7 9.3.1.1), in Implicit VR Little Endian.
fn command(message: u16, sop_instance: &str) -> Vec<u8> {
    let element = |number: u16, value: &[u8]| {
        let mut bytes = [[0, 0], number.to_le_bytes()].concat();
        let padding = value.len() % 2;
        bytes.extend(u32::try_from(value.len() + padding).unwrap().to_le_bytes());
        bytes.extend(value);
        bytes.extend(std::iter::repeat_n(0, padding));
        bytes
    };
    let body = [
        element(0x0002, MULTI_FRAME_WORD.as_bytes()),
        element(0x0100, &1_u16.to_le_bytes()),
        element(0x0110, &message.to_le_bytes()),
        element(0x0700, &0_u16.to_le_bytes()),
        element(0x0800, &0_u16.to_le_bytes()),
        element(0x1000, sop_instance.as_bytes()),
    ]
    .concat();
    [element(0, &u32::try_from(body.len()).unwrap().to_le_bytes()), body].concat()
}
