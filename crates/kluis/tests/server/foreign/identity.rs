//! Who may open an association, told by foreign programs over TLS.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use crate::support::{
    Server,
    dicomweb::{find, retrieve},
    tools::{program, run, text},
};

/// `echoscu` with these files; its output, and whether it succeeded.
fn echo(server: &Server, calling: &str, called: &str, identity: Option<(&Path, &str)>) -> Result<(bool, String)> {
    let (host, port) = server.dicom_tls.rsplit_once(':').context("address")?;
    let mut command = Command::new(program("echoscu")?);
    command.args(["-v", "-aet", calling, "-aec", called, "-to", "5", "-ta", "5"]).env("TCP_NODELAY", "1");
    if let Some((folder, name)) = identity {
        command.arg("+tls").arg(folder.join(format!("{name}.key.pem"))).arg(folder.join(format!("{name}.cert.pem")));
        command.arg("+cf").arg(server.ca());
    } else {
        command.args(["+tla", "+cf"]).arg(server.ca());
    }
    let output = run(command.args([host, port]))?;
    Ok((output.status.success(), text(&output)))
}

#[test]
fn only_an_enrolled_certificate_with_its_own_ae_title_associates() -> Result<()> {
    let server = Server::start()?;
    let stranger = Server::start()?;
    let ct = server.device("CT1", "store")?;
    server.device("CT2", "store")?;
    let foreign = stranger.device("CT1", "store")?;

    let (is_ok, said) = echo(&server, "CT1", "KLUIS", Some((&ct, "CT1")))?;
    assert!(is_ok, "{said}");
    for (what, calling, called, identity) in [
        ("no certificate", "CT1", "KLUIS", None),
        ("certificate of another authority", "CT1", "KLUIS", Some((foreign.as_path(), "CT1"))),
        ("another device's AE title", "CT2", "KLUIS", Some((ct.as_path(), "CT1"))),
        ("an AE title nobody has", "NOBODY", "KLUIS", Some((ct.as_path(), "CT1"))),
        ("another called AE title", "CT1", "ANY-SCP", Some((ct.as_path(), "CT1"))),
    ] {
        let (is_ok, said) = echo(&server, calling, called, identity)?;
        assert!(!is_ok, "{what}: {said}");
        assert!(!said.contains("Association Accepted"), "{what}: {said}");
    }
    server.command(&["device", "remove", "CT1"])?;
    let (is_ok, said) = echo(&server, "CT1", "KLUIS", Some((&ct, "CT1")))?;
    assert!(!is_ok, "removed: {said}");
    Ok(())
}

/// A device that may not store may open an association, and its object is refused with 0124H.
#[test]
fn b18_device_without_the_right_is_refused_and_nothing_is_kept() -> Result<()> {
    let server = Server::start()?;
    let folder = server.device("VIEW1", "find")?;
    let file = server.beside().join("one.dcm");
    std::fs::write(&file, kluis_testkit::SmallInstance::new(1, 1, 1, 1).file())?;
    let (host, port) = server.dicom_tls.rsplit_once(':').context("address")?;
    let output = run(Command::new(program("storescu")?)
        .args(["-v", "-aet", "VIEW1", "-aec", "KLUIS", "+tls"])
        .arg(folder.join("VIEW1.key.pem"))
        .arg(folder.join("VIEW1.cert.pem"))
        .arg("+cf")
        .arg(server.ca())
        .args([host, port])
        .arg(&file))?;
    let said = text(&output);
    assert!(said.contains("0x124"), "{said}");
    assert_eq!(server.command(&["verify"])?["objects"], 0);
    Ok(())
}

/// The file that a retrieve makes names the device that sent the object (0002,0016).
#[tokio::test(flavor = "multi_thread")]
async fn b20_file_meta_names_the_sending_device() -> Result<()> {
    let server = Server::start()?;
    let folder = server.device("CTSOURCE", "store")?;
    let instance = kluis_testkit::SmallInstance::new(1, 1, 1, 1);
    let file = server.beside().join("one.dcm");
    std::fs::write(&file, instance.file())?;
    let (host, port) = server.dicom_tls.rsplit_once(':').context("address")?;
    let output = run(Command::new(program("storescu")?)
        .args(["-v", "-aet", "CTSOURCE", "-aec", "KLUIS", "+tls"])
        .arg(folder.join("CTSOURCE.key.pem"))
        .arg(folder.join("CTSOURCE.cert.pem"))
        .arg("+cf")
        .arg(server.ca())
        .args([host, port])
        .arg(&file))?;
    assert!(output.status.success(), "{}", text(&output));
    let path = format!("/dicom-web/studies/{}", instance.study);
    let files = retrieve(&server.http()?, &server, &server.token("admin")?, &path).await?;
    let head = files.first().context("no file")?.get(..400).context("short")?;
    assert!(find(head, b"\x02\0\x16\0AE\x08\0CTSOURCE").is_some(), "no (0002,0016)");
    Ok(())
}

/// Plain DICOM on the TLS port gets no answer that a DICOM peer could use.
#[test]
fn a30_plain_dicom_on_the_tls_port_is_closed() -> Result<()> {
    let server = Server::start()?;
    let (host, port) = server.dicom_tls.rsplit_once(':').context("address")?;
    let output =
        run(Command::new(program("echoscu")?).args(["-v", "-aec", "KLUIS", "-to", "5", "-ta", "5", host, port]))?;
    assert!(!output.status.success(), "{}", text(&output));
    Ok(())
}
