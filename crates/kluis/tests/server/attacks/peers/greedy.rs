//! Those who have proved who they are, and take all they can get.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    GOOD, Identity, https, raise_open_files,
    scu::{Association, slices},
};
use crate::support::{Server, dicomweb::get};

/// One device has its 64 associations, all silent in the middle of an object, from many addresses. Others work on, and
/// more than its share it does not get.
#[tokio::test(flavor = "multi_thread")]
async fn t14_a_device_that_takes_all_it_can_get_shuts_nobody_out() -> Result<()> {
    raise_open_files();
    let server = Server::start()?;
    let to = server.dicom_tls.parse()?;
    let good = Identity::device(&server, &server.device("GOOD", "store")?, "GOOD")?;
    let mut held = Vec::new();
    for name in ["BAD1", "BAD2", "BAD3", "BAD4"] {
        let bad = Identity::device(&server, &server.device(name, "store")?, name)?;
        let mut own = 0;
        for n in 0..80_u8 {
            let from = [127, 3, u8::try_from(held.len() / 100)?, n + 1].into();
            let Ok(mut association) = Association::open(&bad, from, to, name).await else { continue };
            association.begin_store(&format!("1.2.{n}")).await?;
            association.drip(&[0]).await?;
            own += 1;
            held.push(association);
        }
        ensure!(own <= 64, "{name} has {own} associations");
    }
    ensure!(held.len() >= 192, "only {} associations are held: the test is of no use", held.len());
    let mut few = Vec::new();
    for n in 0..4 {
        let association = Association::open(&good, GOOD, to, "GOOD").await;
        few.push(association.with_context(|| format!("association {n} of a device that has few"))?);
    }
    for association in &mut few {
        let status = association.echo().await?;
        ensure!(status == 0, "C-ECHO {status:04X}H");
        for (instance, data_set) in slices(1, 3, 256) {
            ensure!(association.store(&instance, &data_set).await? == 0, "C-STORE");
        }
    }
    drop(held);
    Ok(())
}

/// One token has hundreds of connections with a request under way on each. Another one is answered at once.
#[tokio::test(flavor = "multi_thread")]
async fn t14_a_token_with_hundreds_of_connections_shuts_nobody_out() -> Result<()> {
    raise_open_files();
    let server = Server::start()?;
    let to = https(&server)?;
    let nobody = Identity::nobody(&server)?;
    let (bad, good) = (server.token("admin")?, server.token("radiologist")?);
    let mut held = Vec::new();
    let mut refused = 0;
    for n in 0..400_u16 {
        let [high, low] = (n + 1).to_be_bytes();
        let mut stream = nobody.connect([127, 4, high, low].into(), to).await?;
        let request = format!(
            "POST /dicom-web/studies HTTP/1.1\r\nHost: kluis\r\nAuthorization: Bearer {bad}\r\nContent-Type: \
             multipart/related; type=\"application/dicom\"; boundary=b\r\nContent-Length: 100000\r\nExpect: \
             100-continue\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 12];
        tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut head)).await??;
        match &head {
            b"HTTP/1.1 100" => held.push(stream),
            b"HTTP/1.1 503" => refused += 1,
            other => anyhow::bail!("{}", String::from_utf8_lossy(other)),
        }
    }
    ensure!(held.len() == 256 && refused == 144, "{} requests are under way, {refused} refused", held.len());
    let http = server.http()?;
    for _ in 0..20 {
        let response = get(&http, &server, &good, "/dicom-web/studies", "application/dicom+json").await?;
        ensure!(response.status().is_success(), "{}", response.status());
    }
    drop(held);
    // what one token held is free again
    let mut patience = 200;
    loop {
        let response = get(&http, &server, &bad, "/dicom-web/studies", "application/dicom+json").await?;
        if response.status().is_success() {
            return Ok(());
        }
        patience -= 1;
        ensure!(patience > 0, "{}", response.status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
