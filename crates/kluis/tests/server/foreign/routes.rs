//! Rules send arriving objects on, to destinations that foreign programs play, whatever dies meanwhile.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use kluis_testkit::SmallInstance;
use serde_json::{Value, json};

use crate::support::{Server, free_port, pause, tools::program};

/// How often either side is killed, unless `KLUIS_ROUTE_KILLS` says otherwise.
const KILLS: u32 = 3;
/// How many objects pass, unless `KLUIS_ROUTE_OBJECTS` says otherwise.
const OBJECTS: u32 = 150;

fn number(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A `storescp` over TLS with the certificate of a device.
struct Destination {
    arguments: Vec<String>,
    port: u16,
    child: Option<Child>,
}

impl Destination {
    fn new(server: &Server, title: &str, identity: &Path, folder: &Path, port: u16) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let text = |path: PathBuf| path.to_str().map(str::to_owned).context("path");
        let file = |kind: &str| text(identity.join(format!("{title}.{kind}.pem")));
        let mut arguments: Vec<String> = vec!["+tls".to_owned(), file("key")?, file("cert")?];
        arguments.extend(["+cf".to_owned(), text(server.ca())?, "-od".to_owned(), text(folder.to_owned())?]);
        arguments.push(port.to_string());
        Ok(Self { arguments, port, child: None })
    }

    fn start(&mut self) -> Result<()> {
        let mut command = Command::new(program("storescp")?);
        // else each object waits 40 ms
        command.args(&self.arguments).env("TCP_NODELAY", "1").stdin(Stdio::null());
        self.child = Some(command.spawn()?);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            pause();
        }
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A node whose kluis.toml has these lines in the end, and which knows a device that listens.
fn house(routes: &str) -> Result<(Server, PathBuf, Destination)> {
    let server = Server::start_with_config(routes)?;
    let port = free_port()?;
    let identity = server.listening_device("RESEARCH", "", &format!("127.0.0.1:{port}"))?;
    let folder = server.beside().join("research");
    let destination = Destination::new(&server, "RESEARCH", &identity, &folder, port)?;
    Ok((server, folder, destination))
}

fn import(server: &Server, name: &str, images: &[SmallInstance]) -> Result<()> {
    let folder = server.beside().join(name);
    std::fs::create_dir_all(&folder)?;
    for (at, image) in images.iter().enumerate() {
        std::fs::write(folder.join(format!("{at}.dcm")), image.file())?;
    }
    let told = server.command(&["import", folder.to_str().context("path")?])?;
    ensure!(told["stored"] == json!(images.len()), "{told}");
    Ok(())
}

fn files_in(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| Ok(std::fs::read(entry?.path())?);
    std::fs::read_dir(folder)?.map(read).collect()
}

/// Waits until so many files are there.
fn wait_for(folder: &Path, count: usize, patience: Duration) -> Result<()> {
    let begun = Instant::now();
    while std::fs::read_dir(folder)?.count() < count {
        ensure!(begun.elapsed() < patience, "{} of {count} after {patience:?}", std::fs::read_dir(folder)?.count());
        pause();
    }
    Ok(())
}

const CT_ONLY: &str = "[[route]]\nname = \"ct to research\"\nto = [\"RESEARCH\"]\nmatch = { Modality = [\"CT\"] }\n";
const ALL: &str = "[[route]]\nname = \"all\"\nto = [\"RESEARCH\"]\n";

#[test]
fn what_a_rule_takes_is_sent_on_and_explained() -> Result<()> {
    let (server, folder, mut destination) = house(CT_ONLY)?;
    destination.start()?;
    let of = |study: u32, modality: &str| {
        let mut image = SmallInstance::new(51, study, 1, 1);
        modality.clone_into(&mut image.modality);
        image
    };
    let (ct, mr) = (of(1, "CT"), of(2, "MR"));
    import(&server, "mixed", &[mr.clone(), ct.clone()])?;
    wait_for(&folder, 1, Duration::from_secs(20))?;
    let files = files_in(&folder)?;
    assert!(files.len() == 1 && files[0].ends_with(&ct.data_set_bytes()));
    let explained = |image: &SmallInstance| -> Result<Value> {
        let path = server.beside().join("one.dcm");
        std::fs::write(&path, image.file())?;
        server.command(&["route", "test", path.to_str().context("path")?])
    };
    for (image, is_taken) in [(&ct, true), (&mr, false)] {
        let told = explained(image)?;
        assert_eq!((&told[0]["name"], &told[0]["taken"]), (&json!("ct to research"), &json!(is_taken)), "{told}");
        assert_eq!(told[0]["conditions"][0]["of"], "Modality");
    }
    // what is known already is not sent again
    let again = server.command(&["import", server.beside().join("mixed").to_str().context("path")?])?;
    assert_eq!(again["known"], 2);
    assert_eq!(server.command(&["route", "list"])?[0]["to"], json!(["RESEARCH"]));
    Ok(())
}

#[test]
fn a_rule_that_makes_no_sense_stops_the_start() -> Result<()> {
    let mut server = Server::start()?;
    server.stop()?;
    for (lines, why) in [
        ("[[route]]\nname = \"x\"\nto = []\n", "`to` names no device"),
        ("[[route]]\nname = \"x\"\nto = [\"A\"]\nmatch = { Colour = [\"*\"] }\n", "`Colour`"),
        ("[[route]]\nname = \"x\"\nto = [\"A\"]\nhours = \"always\"\n", "HH:MM-HH:MM"),
    ] {
        std::fs::write(server.data().join("kluis.toml"), lines)?;
        let error = server.command(&["route", "list"]).unwrap_err().to_string();
        assert!(error.contains("[[route]] x") && error.contains(why), "{error}");
    }
    Ok(())
}

/// Both sides are killed in turn while objects pass; each of them arrives, whole.
#[test]
fn nothing_is_lost_whoever_is_killed() -> Result<()> {
    let (mut server, folder, mut destination) = house(ALL)?;
    let (kills, objects) = (number("KLUIS_ROUTE_KILLS", KILLS), number("KLUIS_ROUTE_OBJECTS", OBJECTS));
    let images: Vec<SmallInstance> =
        (0..objects).map(|number| SmallInstance::new(52, number / 50, 1, number % 50 + 1)).collect();
    destination.start()?;
    let share = images.len().div_ceil(kills as usize);
    for (round, images) in images.chunks(share).enumerate() {
        import(&server, &format!("round-{round}"), images)?;
        // somewhere in the middle of it
        let arrived = std::fs::read_dir(&folder)?.count();
        wait_for(&folder, arrived + 1, Duration::from_secs(60))?;
        if round % 2 == 0 {
            destination.kill()?;
            pause();
            destination.start()?;
        } else {
            server.kill()?;
            server.restart()?;
        }
    }
    wait_for(&folder, images.len(), Duration::from_secs(300))?;
    let begun = Instant::now();
    loop {
        // a file is there before it is written to its end
        let files = files_in(&folder)?;
        // by the last pixels, which no two images have in common
        let by_end: HashMap<&[u8], &Vec<u8>> =
            files.iter().filter_map(|file| Some((file.last_chunk::<64>()?.as_slice(), file))).collect();
        let is_whole = |image: &SmallInstance| {
            let bytes = image.data_set_bytes();
            by_end.get(&bytes[bytes.len() - 64..]).is_some_and(|file| file.ends_with(&bytes))
        };
        if files.len() == images.len() && images.iter().all(is_whole) {
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(30), "{} files, not all whole", files.len());
        pause();
    }
}
