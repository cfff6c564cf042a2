//! Foreign C-STORE senders over TLS.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    Server,
    tools::{ForeignRun, program, python_run},
};

/// What a script reads as `--files`.
pub struct Listed<'a> {
    pub path: &'a Path,
    pub sop_class: &'a str,
    pub transfer_syntax: &'a str,
}

impl Listed<'_> {
    pub fn to_json(&self) -> Value {
        json!({ "path": self.path, "sop_class": self.sop_class, "transfer_syntax": self.transfer_syntax })
    }
}

/// Runs `dimse.py` or `storescu.py` as `calling`, with the files of an enrolled device in `identity`, or with none.
pub fn send(
    script: &str,
    server: &Server,
    calling: &str,
    identity: Option<(&Path, &str)>,
    list: &Path,
) -> Result<ForeignRun> {
    talk(script, server, calling, identity, ("--files", list))
}

/// Asks queries by `find.py`; what it printed.
pub fn find(server: &Server, calling: &str, identity: Option<(&Path, &str)>, queries: &Value) -> Result<Value> {
    let list = server.beside().join("queries.json");
    std::fs::write(&list, serde_json::to_vec(queries)?)?;
    Ok(talk("find.py", server, calling, identity, ("--queries", &list))?.answer)
}

/// Retrieves by `get.py`; what it printed.
pub fn get(server: &Server, calling: &str, identity: Option<(&Path, &str)>, queries: &Value) -> Result<Value> {
    let list = server.beside().join("retrievals.json");
    std::fs::write(&list, serde_json::to_vec(queries)?)?;
    Ok(talk("get.py", server, calling, identity, ("--queries", &list))?.answer)
}

/// Has objects moved by `move.py`; what it printed.
pub fn transfer(server: &Server, calling: &str, identity: Option<(&Path, &str)>, queries: &Value) -> Result<Value> {
    let list = server.beside().join("transfers.json");
    std::fs::write(&list, serde_json::to_vec(queries)?)?;
    Ok(talk("move.py", server, calling, identity, ("--queries", &list))?.answer)
}

/// Asks for storage commitment by `commit.py`; what it printed.
pub fn commit(server: &Server, calling: &str, identity: Option<(&Path, &str)>, queries: &Value) -> Result<Value> {
    let list = server.beside().join("commitments.json");
    std::fs::write(&list, serde_json::to_vec(queries)?)?;
    Ok(talk("commit.py", server, calling, identity, ("--queries", &list))?.answer)
}

/// Runs a program that knows no TLS against the DICOM door, through a tunnel with the certificate of a device; what it said.
pub fn tunnelled(server: &Server, (folder, name): (&Path, &str), tool: &str, arguments: &[&str]) -> Result<String> {
    let run = tunnelled_run(server, (folder, name), tool, arguments)?;
    ensure!(run.is_well, "{}", run.answer);
    Ok(run.answer["said"].as_str().context("said")?.to_owned())
}

/// Likewise, however it ended. `HOST` and `PORT` among the arguments are where the door is; without them they stand at the end.
pub fn tunnelled_run(
    server: &Server,
    (folder, name): (&Path, &str),
    tool: &str,
    arguments: &[&str],
) -> Result<ForeignRun> {
    let text = |path: &Path| path.to_str().map(str::to_owned).context("path");
    let (_, port) = server.dicom_tls.rsplit_once(':').context("address")?;
    let file = |kind: &str| text(&folder.join(format!("{name}.{kind}.pem")));
    let (ca, cert, key) = (text(&server.ca())?, file("cert")?, file("key")?);
    let tool = text(&program(tool)?)?;
    let tunnel = ["--port", port, "--ca", &ca, "--cert", &cert, "--key", &key, "--", &tool];
    python_run("tunnel.py", &[&tunnel[..], arguments].concat())
}

/// Sends requests of normalized services by `normalized.py`; what it printed.
pub fn normalized(server: &Server, calling: &str, identity: Option<(&Path, &str)>, requests: &Value) -> Result<Value> {
    let list = server.beside().join("requests.json");
    std::fs::write(&list, serde_json::to_vec(requests)?)?;
    Ok(talk("normalized.py", server, calling, identity, ("--requests", &list))?.answer)
}

fn talk(
    script: &str,
    server: &Server,
    calling: &str,
    identity: Option<(&Path, &str)>,
    (option, list): (&str, &Path),
) -> Result<ForeignRun> {
    let port = server.dicom_tls.rsplit(':').next().context("port")?;
    let mut arguments: Vec<String> = ["--port", port, "--calling", calling, option].map(str::to_owned).into();
    arguments.push(list.to_str().context("path")?.to_owned());
    arguments.extend(["--ca".to_owned(), server.ca().to_str().context("path")?.to_owned()]);
    if let Some((folder, name)) = identity {
        for (option, file) in [("--cert", format!("{name}.cert.pem")), ("--key", format!("{name}.key.pem"))] {
            arguments.extend([option.to_owned(), folder.join(file).to_str().context("path")?.to_owned()]);
        }
    }
    python_run(script, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}
