//! Floods and endless messages at the HTTPS door: each is ended, and others are served meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::StatusCode;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{GOOD, Identity, https, scu::dial};
use crate::support::Server;

/// None of these floods may send more than this before it is ended.
const FLOOD_BYTES: usize = 64 << 20;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
/// `:method: GET`, `:scheme: https`, `:path: /` of the static table (RFC 7541 A).
const HEAD: &[u8] = &[0x82, 0x87, 0x84];

#[tokio::test(flavor = "multi_thread")]
async fn t14_http2_floods_are_ended() -> Result<()> {
    let server = Server::start()?;
    // opened and reset before anybody looks at it (rapid reset)
    let resets = |n: u32| {
        let stream = n.wrapping_mul(2) + 1;
        [frame(HEADERS, 0x5, stream, HEAD), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    flood(&server, "resets", resets).await?;
    // a head that never ends
    let continued = |n: u32| match n {
        0 => frame(HEADERS, 0x1, 1, HEAD),
        // a field of 8 KiB that is not indexed
        _ => frame(CONTINUATION, 0, 1, &[&[0, 1, b'x', 0x7F, 0x81, 0x3F], [b'y'; 8_192].as_slice()].concat()),
    };
    flood(&server, "continuations", continued).await?;
    let response = server.http()?.get(format!("{}/healthz", server.https)).send().await?;
    ensure!(response.status() == StatusCode::OK, "{}", response.status());
    Ok(())
}

/// Sends pieces until the node ends the connection.
async fn flood(server: &Server, what: &str, piece: impl Fn(u32) -> Vec<u8>) -> Result<()> {
    let stream = http2(server).await?;
    let (mut read, mut write) = tokio::io::split(stream);
    let ended = tokio::spawn(async move {
        let mut bytes = vec![0; 64 << 10];
        while read.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    });
    let sending = async {
        write.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await?;
        let mut sent = 0;
        for n in 0.. {
            let piece = piece(n);
            sent += piece.len();
            ensure!(sent < FLOOD_BYTES, "{what}: {sent} bytes were taken");
            if write.write_all(&piece).await.is_err() || ended.is_finished() {
                break;
            }
        }
        println!("{what}: ended after {sent} bytes");
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(30), sending).await.with_context(|| format!("{what} go on"))?
}

async fn http2(server: &Server) -> Result<TlsStream<TcpStream>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.ca())?)?;
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = dial(GOOD, https(server)?, None).await?;
    Ok(TlsConnector::from(std::sync::Arc::new(config)).connect(ServerName::try_from("127.0.0.1")?, stream).await?)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [length.as_slice(), &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Bodies that never end, each in its own way; one with a content coding, which is not unpacked.
#[tokio::test(flavor = "multi_thread")]
async fn t27_endless_bodies_are_refused() -> Result<()> {
    let server = Server::start()?;
    let token = server.token("admin")?;
    let part_head = b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n";
    let cases: [(&str, &str, &[u8], Vec<u8>); 5] = [
        ("preamble", "", b"", vec![b'x'; 64 << 10]),
        ("head of a part", "", b"--b\r\n", [b"X-Fill: ".as_slice(), &[b'x'; 1_000], b"\r\n"].concat()),
        ("parts", "", b"--b--not", part_head.repeat(1_000)),
        ("padding of a boundary", "", b"--b", vec![b' '; 64 << 10]),
        ("gzip", "Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", vec![0; 64 << 10]),
    ];
    for (what, header, begin, again) in cases {
        let status = endless(&server, &token, header, begin, &again).await.with_context(|| what.to_owned())?;
        println!("{what}: {status}");
        ensure!((400..500).contains(&status), "{what}: {status}");
    }
    Ok(())
}

/// The status with which a chunked STOW body that never ends is refused.
async fn endless(server: &Server, token: &str, header: &str, begin: &[u8], again: &[u8]) -> Result<u16> {
    let stream = Identity::nobody(server)?.connect(GOOD, https(server)?).await?;
    let (mut read, mut write) = tokio::io::split(stream);
    let head = format!(
        "POST /dicom-web/studies HTTP/1.1\r\nHost: kluis\r\nAuthorization: Bearer {token}\r\nContent-Type: \
         multipart/related; type=\"application/dicom\"; boundary=b\r\nAccept: application/dicom+json\r\n{header}\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    write.write_all(head.as_bytes()).await?;
    write.write_all(&chunk(begin)).await?;
    let answer = tokio::spawn(async move {
        let mut head = [0; 12];
        read.read_exact(&mut head).await.map(|_| head)
    });
    let again = chunk(again);
    let sending = async {
        let mut sent = 0;
        while !answer.is_finished() && write.write_all(&again).await.is_ok() {
            sent += again.len();
            ensure!(sent < FLOOD_BYTES, "{sent} bytes were taken");
        }
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(30), sending).await??;
    let head = answer.await??;
    let status = std::str::from_utf8(&head)?.rsplit(' ').next().map(str::parse);
    match status {
        Some(Ok(status)) => Ok(status),
        _ => bail!("{head:?}"),
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// An address that other machines reach is not opened before somebody is enrolled.
#[test]
fn t01_other_addresses_stay_closed_until_somebody_is_enrolled() -> Result<()> {
    let mut server = Server::start()?;
    server.stop()?;
    // an address of the documentation, which no machine has: nothing is opened to a network by this test
    let serve = |server: &Server| {
        let mut command = std::process::Command::new(crate::support::program());
        command.args(["serve", "--https", "192.0.2.1:0", "--dicom-tls", "127.0.0.1:0"]);
        command.env("KLUIS_DATA", server.data()).output().map(|output| crate::support::tools::text(&output))
    };
    let refused = serve(&server)?;
    ensure!(refused.contains("nobody is enrolled yet"), "{refused}");
    server.device("CT", "store")?;
    let tried = serve(&server)?;
    ensure!(tried.contains("cannot listen on 192.0.2.1"), "{tried}");
    Ok(())
}
