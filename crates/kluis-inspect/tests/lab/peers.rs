//! The products of the laboratory, as they are shipped or as they are often set up.

use std::{fs, path::Path, process::Command};

use super::network::Program;

/// Orthanc with these lines of JSON in its configuration, with DICOMweb.
pub fn orthanc(folder: &Path, dicom: u16, http: u16, more: &str) -> Program {
    let home = folder.join(format!("orthanc-{dicom}"));
    fs::create_dir_all(&home).unwrap();
    let place = home.to_str().unwrap();
    let config = format!(
        "{{\"DicomPort\": {dicom}, \"HttpPort\": {http}, \"StorageDirectory\": \"{place}\", \
         \"IndexDirectory\": \"{place}\"{more}}}"
    );
    let file = home.join("orthanc.json");
    fs::write(&file, config).unwrap();
    Program::start(Command::new("Orthanc").arg(&file), folder, &[dicom, http])
}

/// The plugin for DICOMweb.
pub const DICOMWEB: &str = ", \"Plugins\": [\"/usr/share/orthanc/plugins/libOrthancDicomWeb.so\"]";

/// DCMTK's archive. `peers` is ANY, or a list of those that are known.
pub fn dcmqrscp(folder: &Path, port: u16, peers: &str) -> Program {
    let home = folder.join(format!("qr-{port}"));
    fs::create_dir_all(&home).unwrap();
    let hosts = if peers == "ANY" { "" } else { "friend = (FRIEND, localhost, 11113)\nfriends = friend\n" };
    let config = format!(
        "NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n\
         HostTable BEGIN\n{hosts}HostTable END\nVendorTable BEGIN\nVendorTable END\n\
         AETable BEGIN\nARCHIVE {} RW (200, 1024mb) {peers}\nAETable END\n",
        home.display()
    );
    let file = folder.join(format!("qr-{port}.cfg"));
    fs::write(&file, config).unwrap();
    Program::start(Command::new("dcmqrscp").arg("-c").arg(&file), folder, &[port])
}

/// DCMTK's receiver.
pub fn storescp(folder: &Path, port: u16, options: &[&str]) -> Program {
    let home = folder.join(format!("scp-{port}"));
    fs::create_dir_all(&home).unwrap();
    let mut command = Command::new("storescp");
    command.arg("--fork").args(options).arg("-od").arg(&home).arg(port.to_string());
    Program::start(&mut command, folder, &[port])
}

/// DCMTK's worklist, whose called AE title is a folder.
pub fn wlmscpfs(folder: &Path, port: u16) -> Program {
    let home = folder.join("worklists");
    fs::create_dir_all(home.join("WORKLIST")).unwrap();
    fs::write(home.join("WORKLIST/lockfile"), "").unwrap();
    let mut command = Command::new("wlmscpfs");
    command.arg("-dfp").arg(&home).arg(port.to_string());
    Program::start(&mut command, folder, &[port])
}

/// nginx with this inside its `server` block.
pub fn nginx(folder: &Path, port: u16, server: &str) -> Program {
    let home = folder.join(format!("nginx-{port}"));
    fs::create_dir_all(&home).unwrap();
    let place = home.display();
    let config = format!(
        "daemon off; pid {place}/pid; error_log {place}/error.log; user root; worker_processes 1;\n\
         events {{}}\nhttp {{ access_log off; client_body_temp_path {place}; proxy_temp_path {place};\n\
         fastcgi_temp_path {place}; uwsgi_temp_path {place}; scgi_temp_path {place};\n\
         server {{ listen 127.0.0.1:{port}; {server} }} }}\n"
    );
    let file = home.join("nginx.conf");
    fs::write(&file, config).unwrap();
    Program::start(Command::new("nginx").arg("-c").arg(&file).arg("-e").arg(home.join("start.log")), folder, &[port])
}
