//! Programs of DCMTK that know no TLS, through a tunnel with the certificate of a device.

use anyhow::{Context, Result};
use kluis_testkit::SmallInstance;
use serde_json::Value;

use crate::support::{
    Server,
    dicomweb::retrieve,
    dimse::{tunnelled, tunnelled_run},
};

/// A folder with 20 images of two series, one of them twice.
fn folder(server: &Server) -> Result<(std::path::PathBuf, Vec<SmallInstance>)> {
    let folder = server.beside().join("images");
    std::fs::create_dir_all(&folder)?;
    let images: Vec<SmallInstance> =
        (0..20).map(|number| SmallInstance::new(40, 1, 1 + number % 2, 1 + number)).collect();
    for (number, image) in images.iter().chain(images.first()).enumerate() {
        std::fs::write(folder.join(format!("{number}.dcm")), image.file())?;
    }
    Ok((folder, images))
}

#[tokio::test(flavor = "multi_thread")]
async fn dcmsend_sends_a_folder() -> Result<()> {
    let server = Server::start()?;
    let device = server.device("SENDER", "store")?;
    let (folder, images) = folder(&server)?;
    let folder = folder.to_str().context("path")?;
    let arguments = ["-v", "-aet", "SENDER", "-aec", "KLUIS", "+sd", "HOST", "PORT", folder];
    let said = tunnelled(&server, (&device, "SENDER"), "dcmsend", &arguments)?;
    assert!(said.contains("with status SUCCESS"), "{said}");
    let path = format!("/dicom-web/studies/{}", images[0].study);
    let files = retrieve(&server.http()?, &server, &server.token("radiologist")?, &path).await?;
    assert_eq!(files.len(), images.len());
    for image in &images {
        let bytes = image.data_set_bytes();
        assert!(files.iter().any(|file| file.ends_with(&bytes)), "{}", image.sop_instance);
    }
    Ok(())
}

/// DCMTK's own way to end a server from afar: its SOP class is none of ours, whatever rights a device has.
#[test]
fn termscu_ends_nothing() -> Result<()> {
    let server = Server::start()?;
    let device = server.device("ENDER", "store,find,get,move,commit,worklist")?;
    let run = tunnelled_run(&server, (&device, "ENDER"), "termscu", &["-d", "-aet", "ENDER", "-aec", "KLUIS"])?;
    let said = run.answer["said"].as_str().context("said")?;
    assert!(said.contains("No Acceptable Presentation Contexts"), "{said}");
    let list = server.command(&["device", "list"])?;
    assert_ne!(list, Value::Null);
    tunnelled(&server, (&device, "ENDER"), "echoscu", &["-aet", "ENDER", "-aec", "KLUIS"])?;
    Ok(())
}
