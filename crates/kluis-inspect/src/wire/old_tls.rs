//! Whether a peer still speaks TLS 1.1 or older (retired by RFC 8996). The library speaks none of them, so that only the first
//! message is written here, and only the first bytes of the answer are read; no handshake comes of it (RFC 4346 7.4.1).

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Suites of that time: ECDHE and RSA with AES or 3DES.
const SUITES: [u16; 10] = [0xC014, 0xC013, 0xC00A, 0xC009, 0x0039, 0x0033, 0x0035, 0x002F, 0xC012, 0x000A];
/// x25519, P-256, P-384, P-521; uncompressed points.
const EXTENSIONS: [u8; 18] = [0, 10, 0, 10, 0, 8, 0, 29, 0, 23, 0, 24, 0, 25, 0, 11, 0, 2];
const POINTS: [u8; 2] = [1, 0];
/// Record header, handshake header and the version of a ServerHello.
const ANSWER: usize = 11;

/// Offers TLS 1.1; `Some` names the version that the peer took up, `None` where it took none.
pub(crate) async fn offered(mut stream: TcpStream, patience: Duration) -> Option<&'static str> {
    let asked = async {
        stream.write_all(&client_hello()).await.ok()?;
        let mut answer = [0_u8; ANSWER];
        stream.read_exact(&mut answer).await.ok()?;
        version(&answer)
    };
    let version = timeout(patience, asked).await.ok().flatten();
    let _ = timeout(patience, stream.shutdown()).await;
    version
}

/// A handshake record with a ServerHello says the version; an alert says none.
fn version(answer: &[u8; ANSWER]) -> Option<&'static str> {
    match answer {
        [0x16, 3, _, _, _, 2, _, _, _, 3, 2] => Some("TLS 1.1"),
        [0x16, 3, _, _, _, 2, _, _, _, 3, 1] => Some("TLS 1.0"),
        [0x16, 3, _, _, _, 2, _, _, _, 3, 0] => Some("SSL 3.0"),
        _ => None,
    }
}

fn client_hello() -> Vec<u8> {
    let mut random = [0_u8; 32];
    // nothing is protected by it
    let _ = aws_lc_rs::rand::fill(&mut random);
    let mut body = vec![3, 2];
    body.extend_from_slice(&random);
    body.push(0);
    let suites: Vec<u8> = SUITES.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    body.extend_from_slice(&length(suites.len()));
    body.extend_from_slice(&suites);
    body.extend_from_slice(&[1, 0]);
    body.extend_from_slice(&length(EXTENSIONS.len() + POINTS.len()));
    body.extend_from_slice(&EXTENSIONS);
    body.extend_from_slice(&POINTS);
    let mut handshake = vec![1, 0];
    handshake.extend_from_slice(&length(body.len()));
    handshake.append(&mut body);
    let mut record = vec![0x16, 3, 1];
    record.extend_from_slice(&length(handshake.len()));
    record.append(&mut handshake);
    record
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}
