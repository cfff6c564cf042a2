//! `kluis serve`: opens the doors of a node and closes them on SIGTERM.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use kluis_archive::{Clock, Janitor, SystemClock};
use kluis_dicom::AeTitle;
use kluis_identity::tls::{dimse_config, https_config};
use kluis_scp::{Dialer, Edge};
use kluis_web::{App, ListenError, Settings, Viewer, serve_control, serve_tls};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    cli::ServeArgs,
    command::Output,
    config::Config,
    data_dir::{DataDir, write_atomically},
    local,
    node::{self, Node},
    process::Connections,
};

/// Runs a node until it is told to stop.
pub(crate) async fn run(dir: &DataDir, args: &ServeArgs, output: &Output) -> Result<()> {
    let running = start(dir, args).await?;
    let addresses = json!({ "https": running.https.to_string(), "dicom_tls": running.dicom_tls.to_string() });
    output.print(&addresses, || {});
    running.until_stopped().await
}

/// A node with its doors open.
pub(crate) struct Running {
    dir: DataDir,
    https: SocketAddr,
    dicom_tls: SocketAddr,
    node: Node,
    janitor: Janitor,
    stop: watch::Sender<bool>,
    doors: Vec<JoinHandle<()>>,
}

/// Opens the doors.
pub(crate) async fn start(dir: &DataDir, args: &ServeArgs) -> Result<Running> {
    let Some(node) = node::open(dir).await? else {
        bail!("another process has {} open; is a node running already?", dir.path().display());
    };
    // else the first sender waits for it
    kluis_dicom::dictionary::load();
    let replayed = node.replayed;
    if replayed.objects > 0 || replayed.leaves > 0 {
        tracing::info!(objects = replayed.objects, leaves = replayed.leaves, "replayed what the last end left open");
    }
    let connections = Connections::allowed()?;
    let wanted =
        (args.https.unwrap_or(node.config.https.address), args.dicom_tls.unwrap_or(node.config.dicom_tls.address));
    require_someone_enrolled(&node, [wanted.0, wanted.1]).await?;
    let https = bind(wanted.0, "HTTPS").await?;
    let dicom = bind(wanted.1, "DICOM").await?;
    let control = bind_control(&dir.control_socket())?;
    let addresses = (https.local_addr()?, dicom.local_addr()?);

    let mut hosts = node.config.https.hostnames.clone();
    for address in [addresses.0, addresses.1] {
        if !address.ip().is_unspecified() {
            hosts.push(address.ip().to_string());
        }
    }
    let certificate = node.authority.issue_server(&hosts, SystemClock.now())?;
    let (https_tls, dicom_tls) = (https_config(&certificate)?, dimse_config(&certificate, &node.authority)?);
    let called: AeTitle = node.config.dicom_tls.ae_title.parse().context("kluis.toml: [dicom_tls] ae_title")?;
    let viewer = args.viewer.as_deref().map(Viewer::open).transpose().context("cannot open the viewer")?;
    let app = App::new(
        node.archive.clone(),
        viewer,
        Settings { waiting: connections.web_waiting, connections: connections.web, ..local::settings(&node.config) },
    );
    let (stop, stopping) = watch::channel(false);
    let own = node.authority.issue_device(&called, SystemClock.now())?;
    let dialer = Dialer::new(Arc::clone(&node.authenticator), own, called.clone(), stopping.clone());
    let edge = Edge::new(node.archive.clone(), Arc::clone(&node.authenticator), dialer);
    let dicom_settings = kluis_scp::Settings {
        associations: connections.dicom,
        waiting: connections.dicom_waiting,
        ..kluis_scp::Settings::new(vec![called])
    };
    let doors = vec![
        door("https", serve_tls(https, https_tls, app.clone(), stopping.clone())),
        door("control", serve_control(control, app, stopping.clone())),
        tokio::spawn(kluis_scp::work(edge.clone(), stopping.clone())),
        tokio::spawn(kluis_scp::serve(dicom, dicom_tls, edge, dicom_settings, stopping)),
    ];
    let janitor = Janitor::start(&node.archive);
    let document = json!({ "https": addresses.0.to_string(), "dicom_tls": addresses.1.to_string() });
    write_atomically(&dir.addresses(), document.to_string().as_bytes(), 0o600)?;
    tracing::info!(https = %addresses.0, dicom_tls = %addresses.1, "the node accepts connections");
    Ok(Running { dir: dir.clone(), https: addresses.0, dicom_tls: addresses.1, node, janitor, stop, doors })
}

impl Running {
    /// Where browsers reach the node.
    pub(crate) fn https_url(&self) -> String {
        format!("https://{}", self.https)
    }

    /// Waits for SIGTERM or SIGINT, then drains.
    pub(crate) async fn until_stopped(self) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("the node stops: no new connections, what is under way is finished");
        let _ = fs::remove_file(self.dir.addresses());
        let _ = self.stop.send(true);
        for door in self.doors {
            let _ = door.await;
        }
        let _ = fs::remove_file(self.dir.control_socket());
        self.janitor.stop().await.context("the last state could not be written; the next start makes good for it")?;
        self.node.close().await?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Where browsers reach a node: the running one, or as configured.
pub(crate) fn address_for_browsers(dir: &DataDir) -> Result<String> {
    let running = fs::read_to_string(dir.addresses()).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    if let Some(address) = running.as_ref().and_then(|document| document.get("https")).and_then(Value::as_str) {
        return Ok(format!("https://{address}"));
    }
    Ok(format!("https://{}", Config::read(&dir.config())?.https.address))
}

/// A door that tells when it closed by itself.
fn door(name: &'static str, serving: impl Future<Output = Result<(), ListenError>> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(door = name, %error, "a door closed by itself");
        }
    })
}

/// Before anybody is enrolled there is nobody to serve but who sits at this machine: other addresses stay closed.
async fn require_someone_enrolled(node: &Node, addresses: [SocketAddr; 2]) -> Result<()> {
    let Some(open) = addresses.into_iter().find(|address| !address.ip().to_canonical().is_loopback()) else {
        return Ok(());
    };
    if node.archive.has_enrolled().await.context("cannot read the directory of devices and people")? {
        return Ok(());
    }
    bail!(
        "{open} can be reached from other machines, and nobody is enrolled yet: enrol a device (`kluis device add`), \
         make a token (`kluis token create`), or serve on 127.0.0.1 and open the link of an administrator \
         (`kluis user link`) first"
    );
}

async fn bind(address: SocketAddr, door: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for {door}; is the port taken?"))
}

/// The socket is the owner's alone: its folder has mode 0700, itself 0600. One that a killed node left is replaced; the
/// lock says that no node runs.
fn bind_control(path: &Path) -> Result<UnixListener> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        bail!("cannot replace {}: {error}", path.display());
    }
    // closed before the socket is there: between its making and its own mode nobody else can reach it
    if let Some(folder) = path.parent() {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot restrict the folder {}", folder.display()))?;
    }
    let listener = UnixListener::bind(path)
        .with_context(|| format!("cannot make {}; is the path longer than 107 characters?", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
