//! Two of the three doors, by hand: associations over TLS (PS3.8 9.3) and the control socket.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use kluis_testkit::{instance::CT_IMAGE, part10};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::Server;

/// A peer that waits longer has found a hang.
const PATIENCE: Duration = Duration::from_secs(20);
const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Each with a presentation context of its own, from 3 on.
const SYNTAXES: [&str; 5] = [
    part10::EXPLICIT_VR_LITTLE_ENDIAN,
    part10::IMPLICIT_VR_LITTLE_ENDIAN,
    part10::EXPLICIT_VR_BIG_ENDIAN,
    part10::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    part10::JPEG_BASELINE,
];
const FRAGMENT: usize = 64 << 10;

/// The key of a device and trust in the node.
pub struct Identity(Arc<ClientConfig>);

impl Identity {
    /// The device whose files lie in `folder`.
    pub fn device(server: &Server, folder: &Path, ae: &str) -> Result<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let chain = CertificateDer::pem_file_iter(folder.join(format!("{ae}.cert.pem")))?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(folder.join(format!("{ae}.key.pem")))?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(server.ca())?)?;
        Ok(Self(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?)))
    }
}

/// What the node says to a stream.
#[derive(Debug)]
pub enum Answer {
    /// The status of a response.
    Status(u16),
    /// It ends the association.
    Ended,
}

/// An association with contexts for Verification and for CT images in every syntax.
pub struct Association {
    stream: TlsStream<TcpStream>,
    message: u16,
}

impl Association {
    pub async fn open(identity: &Identity, server: &Server) -> Result<Self> {
        let stream = TcpStream::connect(&server.dicom_tls).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1")?;
        let mut stream = TlsConnector::from(Arc::clone(&identity.0)).connect(name, stream).await?;
        stream.write_all(&request("SENDER")).await?;
        let (kind, body) = receive(&mut stream).await?.context("closed instead of an answer")?;
        ensure!(kind == 2, "no A-ASSOCIATE-AC but PDU {kind}: {body:?}");
        Ok(Self { stream, message: 0 })
    }

    pub async fn echo(&mut self) -> Result<u16> {
        let stream = data(1, 0b11, &command(0x0030, VERIFICATION, 1, None));
        match self.answer(&stream, false).await? {
            Answer::Status(status) => Ok(status),
            Answer::Ended => bail!("the association ended on a C-ECHO"),
        }
    }

    /// The PDUs of a C-STORE.
    pub fn store(&mut self, transfer_syntax: &str, instance: &str, data_set: &[u8]) -> Vec<u8> {
        self.message = self.message.wrapping_add(1);
        let place = SYNTAXES.iter().position(|syntax| *syntax == transfer_syntax).unwrap();
        let context = u8::try_from(3 + 2 * place).unwrap();
        let mut stream = data(context, 0b11, &command(0x0001, CT_IMAGE, self.message, Some(instance)));
        let (last, before) = match data_set.chunks(FRAGMENT).collect::<Vec<_>>().split_last() {
            Some((last, before)) => (last.to_vec(), before.concat()),
            None => (Vec::new(), Vec::new()),
        };
        for piece in before.chunks(FRAGMENT) {
            stream.extend(data(context, 0, piece));
        }
        stream.extend(data(context, 0b10, &last));
        stream
    }

    /// Sends a stream and reads the answer. With `is_last` nothing more will be sent, so that a node that waits for the rest
    /// of a PDU learns that none comes.
    pub async fn answer(&mut self, bytes: &[u8], is_last: bool) -> Result<Answer> {
        let exchange = async {
            // a node that has seen enough closes before all is sent
            let mut sent = self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok();
            if is_last {
                sent &= self.stream.shutdown().await.is_ok();
            }
            let answer = receive(&mut self.stream).await;
            match answer {
                Ok(Some((4, body))) => Ok(Answer::Status(status(&body)?)),
                Ok(_) => Ok(Answer::Ended),
                Err(_) if !sent || is_last => Ok(Answer::Ended),
                Err(error) => Err(error),
            }
        };
        timeout(PATIENCE, exchange).await.context("the node hangs")?
    }
}

/// The next PDU; `None` where the node has closed.
async fn receive(stream: &mut TlsStream<TcpStream>) -> Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 6];
    if stream.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut head[1..]).await?;
    let length = u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize;
    ensure!(length < 1 << 20, "a PDU of {length} bytes");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((head[0], body)))
}

fn status(body: &[u8]) -> Result<u16> {
    let at = body.windows(8).position(|element| element == [0, 0, 0, 9, 2, 0, 0, 0]).context("no status")?;
    Ok(u16::from_le_bytes([body[at + 8], body[at + 9]]))
}

fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0], u32::try_from(body.len()).unwrap().to_be_bytes().as_slice(), body].concat()
}

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0], u16::try_from(body.len()).unwrap().to_be_bytes().as_slice(), body].concat()
}

/// A P-DATA-TF with one presentation data value.
fn data(context: u8, control: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len() + 2).unwrap().to_be_bytes();
    pdu(4, &[length.as_slice(), &[context, control], bytes].concat())
}

fn request(calling: &str) -> Vec<u8> {
    let context = |id: u8, class: &str, syntax: &str| {
        let names = [item(0x30, class.as_bytes()), item(0x40, syntax.as_bytes())].concat();
        item(0x20, &[&[id, 0, 0, 0], names.as_slice()].concat())
    };
    let mut body = [&[0, 1, 0, 0], format!("{:16}{calling:16}", "KLUIS").as_bytes(), &[0; 32]].concat();
    body.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    body.extend(context(1, VERIFICATION, part10::IMPLICIT_VR_LITTLE_ENDIAN));
    for (place, syntax) in SYNTAXES.iter().enumerate() {
        body.extend(context(u8::try_from(3 + 2 * place).unwrap(), CT_IMAGE, syntax));
    }
    body.extend(item(0x50, &[item(0x51, &131_072_u32.to_be_bytes()), item(0x52, b"2.25.1")].concat()));
    pdu(1, &body)
}

/// A command set (PS3.7 6.3).
fn command(field: u16, class: &str, message: u16, instance: Option<&str>) -> Vec<u8> {
    let element = |number: u16, value: &[u8]| {
        let padding = vec![0; value.len() % 2];
        let length = u32::try_from(value.len() + padding.len()).unwrap().to_le_bytes();
        [[0, 0].as_slice(), &number.to_le_bytes(), &length, value, &padding].concat()
    };
    let data_set: u16 = if instance.is_some() { 1 } else { 0x0101 };
    let mut body = [
        element(0x0002, class.as_bytes()),
        element(0x0100, &field.to_le_bytes()),
        element(0x0110, &message.to_le_bytes()),
        element(0x0700, &[0, 0]),
        element(0x0800, &data_set.to_le_bytes()),
    ]
    .concat();
    if let Some(instance) = instance {
        body.extend(element(0x1000, instance.as_bytes()));
    }
    [element(0, &u32::try_from(body.len()).unwrap().to_le_bytes()), body].concat()
}

/// One file through the control socket, as `kluis import` sends it: status and answer.
pub async fn import(socket: &Path, file: &[u8]) -> Result<(u16, Value)> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        let head = format!(
            "POST /control/import HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/dicom\r\n\
             content-length: {}\r\n\r\n",
            file.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(file).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8(answer)?;
        let status = answer.split(' ').nth(1).context("no status")?.parse()?;
        let body = answer.split_once("\r\n\r\n").context("no body")?.1;
        Ok((status, serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))))
    };
    timeout(PATIENCE, exchange).await.context("the node hangs")?
}
