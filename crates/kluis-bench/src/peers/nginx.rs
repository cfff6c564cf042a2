//! nginx serving prepared answers over TLS 1.3: the yardstick for reads.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::{Server, Web};
use crate::{
    process::{self, Program},
    stream::Tls,
};

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    program: Program,
    https: SocketAddr,
    tls: Tls,
    /// Files here are answered under their names.
    pub files: PathBuf,
}

impl Nginx {
    /// Starts it with one worker a core; the rest as Debian has it, without a log of requests.
    pub fn start(folder: &Path) -> Result<Self> {
        let https = process::loopback(process::free_port()?);
        let files = folder.join("files");
        fs::create_dir_all(&files)?;
        fs::create_dir_all(folder.join("temporary"))?;
        let authority = identity(folder)?;
        let config = folder.join("nginx.conf");
        fs::write(&config, text(folder, &files, https))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&config);
        let mut program = Program::start(&mut command, &folder.join("nginx.log"))?;
        program.wait_until(|| process::is_open(https).then_some(())).context("nginx does not start")?;
        Ok(Self { program, https, tls: Tls::new(&authority, None)?.for_http(), files })
    }
}

impl Server for Nginx {
    fn process(&self) -> u32 {
        self.program.id()
    }

    fn web(&self) -> Option<Web<'_>> {
        Some(Web { address: self.https, tls: Some(&self.tls), headers: "" })
    }
}

fn text(folder: &Path, files: &Path, https: SocketAddr) -> String {
    let (folder, files) = (folder.display(), files.display());
    // workers of a root-owned nginx would run as an account that may not read the folder
    format!(
        "daemon off;\nworker_processes auto;\nuser root;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n access_log off;\n sendfile on;\n tcp_nopush on;\n keepalive_requests 10000000;\n\
         default_type application/octet-stream;\n\
         client_body_temp_path {folder}/temporary;\n proxy_temp_path {folder}/temporary;\n\
         fastcgi_temp_path {folder}/temporary;\n uwsgi_temp_path {folder}/temporary;\n scgi_temp_path {folder}/temporary;\n\
         ssl_certificate {folder}/server.pem;\n ssl_certificate_key {folder}/server.key;\n ssl_protocols TLSv1.3;\n\
         server {{ listen {https} ssl; root {files}; }}\n}}\n"
    )
}

/// An authority and a server certificate for the loopback address; the file of the authority.
fn identity(folder: &Path) -> Result<PathBuf> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "bench authority");
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let mut server = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    server.distinguished_name.push(DnType::CommonName, "bench server");
    let server_key = KeyPair::generate()?;
    let certificate = server.signed_by(&server_key, &issuer)?;
    let path = folder.join("authority.pem");
    fs::write(&path, authority_certificate.pem())?;
    fs::write(folder.join("server.pem"), certificate.pem())?;
    fs::write(folder.join("server.key"), server_key.serialize_pem())?;
    Ok(path)
}
