//! `kluis device …`

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use http::Method;
use serde_json::{Value, json};

use crate::{
    cli::{DeviceAddArgs, DeviceCommand},
    client::Client,
    command::{Output, segment, text_of},
    say::say,
};

/// Runs the subcommand.
pub(crate) async fn run(client: &Client, command: &DeviceCommand, output: &Output) -> Result<()> {
    match command {
        DeviceCommand::Add(args) => add(client, args, output).await,
        DeviceCommand::List => list(client, output).await,
        DeviceCommand::Show { ae } => show(client, ae, output).await,
        DeviceCommand::Remove { ae } => {
            client.json(Method::DELETE, &format!("/control/devices/{}", segment(ae)), None).await?;
            output.print(&json!({ "removed": ae }), || say!("removed {ae}; its certificate is worth nothing now"));
            Ok(())
        }
    }
}

async fn add(client: &Client, args: &DeviceAddArgs, output: &Output) -> Result<()> {
    let csr = match &args.csr {
        Some(path) => {
            Some(fs::read_to_string(path).with_context(|| format!("cannot read the request {}", path.display()))?)
        }
        None => None,
    };
    // the AE title names the files: nothing in it may lead elsewhere
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' ');
    anyhow::ensure!(
        args.ae.bytes().all(is_plain) && !args.ae.starts_with('.'),
        "an AE title that names files has only letters, digits, space, `_`, `-` and `.`, and does not begin with `.`"
    );
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    // before the device is enrolled: its key is told once and must have a place
    for name in [format!("{}.key.pem", args.ae), format!("{}.cert.pem", args.ae)] {
        let path = args.out.join(name);
        anyhow::ensure!(!path.exists(), "{} is there already; choose another folder with --out", path.display());
    }
    let request = json!({ "ae": args.ae, "rights": args.allow, "address": args.address, "csr_pem": csr });
    let device = client.json(Method::POST, "/control/devices", Some(&request)).await?;
    let mut files: Vec<PathBuf> = Vec::new();
    if let Some(key) = device.get("key_pem").and_then(Value::as_str) {
        files.push(write(&args.out, &format!("{}.key.pem", args.ae), key, 0o600)?);
    }
    files.push(write(&args.out, &format!("{}.cert.pem", args.ae), text_of(&device, "certificate_pem"), 0o644)?);
    files.push(write(&args.out, "ca.pem", text_of(&device, "ca_pem"), 0o644)?);
    let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let document = json!({
        "ae": args.ae,
        "rights": device.get("rights"),
        "address": device.get("address"),
        "key_fingerprint": device.get("key_fingerprint"),
        "expires_at": device.get("expires_at"),
        "files": names,
    });
    output.print(&document, || {
        say!("enrolled {} ({}), until {}", args.ae, text_of(&device, "rights"), text_of(&device, "expires_at"));
        for name in &names {
            say!("  {name}");
        }
        say!("Give the device its key and certificate, and ca.pem as the authority it trusts.");
    });
    Ok(())
}

async fn list(client: &Client, output: &Output) -> Result<()> {
    let devices = client.json(Method::GET, "/control/devices", None).await?;
    output.print(&devices, || {
        for device in devices.as_array().into_iter().flatten() {
            say!(
                "{:16}  {:30}  until {}",
                text_of(device, "ae"),
                text_of(device, "rights"),
                text_of(device, "expires_at")
            );
        }
    });
    Ok(())
}

async fn show(client: &Client, ae: &str, output: &Output) -> Result<()> {
    let device = client.json(Method::GET, &format!("/control/devices/{}", segment(ae)), None).await?;
    output.print(&device, || {
        for key in ["ae", "rights", "address", "key_fingerprint", "created_at", "expires_at"] {
            say!("{key:16} {}", text_of(&device, key));
        }
    });
    Ok(())
}

/// Writes beside nothing that is there: a key must not replace another one unseen.
fn write(folder: &Path, name: &str, text: &str, mode: u32) -> Result<PathBuf> {
    use std::io::Write;
    let path = folder.join(name);
    let is_authority = name == "ca.pem";
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(mode).create_new(!is_authority);
    if is_authority {
        options.create(true).truncate(true);
    }
    let mut file = options.open(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(path)
}
