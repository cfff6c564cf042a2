//! What is never done: the guard rails, seen from the outside.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kluis_inspect::{
    InspectError,
    run::Options,
    stop::{STOP_FILE, Stop, StopReason},
};

use super::{
    network, peers,
    site::{Site, run_options, service},
};

/// Moments at which somebody connected.
fn moments(address: &str) -> Arc<Mutex<Vec<Instant>>> {
    let listener = TcpListener::bind(address).unwrap();
    let moments = Arc::new(Mutex::new(Vec::new()));
    let held = Arc::clone(&moments);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            held.lock().unwrap().push(Instant::now());
            drop(stream);
        }
    });
    moments
}

#[test]
fn connections_follow_the_pace_and_stay_in_the_scope() {
    if !network::is_inside("guard_rails::connections_follow_the_pace_and_stay_in_the_scope") {
        return;
    }
    let within = moments("127.0.1.1:104");
    let skipped = moments("127.0.1.2:104");
    let outside = moments("127.0.2.1:104");
    let site = Site::new();
    let scope = "networks = [\"127.0.1.0/29\"]\nskip = [\"127.0.1.2\"]\nports = [104, 105, 106, 107]\n";
    let begun = Instant::now();
    let scan = site.run(scope).unwrap();
    // five hosts with four ports at ten a second, and one more question to who closed
    assert!(begun.elapsed() >= Duration::from_millis(1_900), "{:?}", begun.elapsed());
    assert_eq!(scan.coverage.hosts, 5);
    assert!(!within.lock().unwrap().is_empty());
    assert_eq!((skipped.lock().unwrap().len(), outside.lock().unwrap().len()), (0, 0));
    let probes = scan.probes.unwrap();
    // each connection is two leaves, and the run has its own two
    assert!(probes.size >= 2 * 20 + 2, "{}", probes.size);
    assert!(probes.checkpoint.starts_with("kluis-inspect/probes\n"));
}

#[test]
fn names_that_lead_out_of_the_scope_are_refused() {
    if !network::is_inside("guard_rails::names_that_lead_out_of_the_scope_are_refused") {
        return;
    }
    let here = moments("127.0.0.1:104");
    let site = Site::new();
    // `localhost` is 127.0.0.1, which this scope does not have
    let scope = "networks = [\"127.0.1.1\"]\nports = [104]\n[[host]]\nname = \"localhost\"\n";
    let scan = site.run(scope).unwrap();
    assert!(scan.coverage.refused >= 1);
    assert!(here.lock().unwrap().is_empty());
}

#[test]
fn public_addresses_must_show_that_they_are_controlled() {
    if !network::is_inside("guard_rails::public_addresses_must_show_that_they_are_controlled") {
        return;
    }
    network::add_address("203.0.113.5/32");
    network::add_address("203.0.113.6/32");
    let site = Site::new();
    let folder = site.folder.path();
    let _receiver = peers::storescp(folder, 104, &[]);
    // without the flag nothing is even signed
    let public = "networks = [\"203.0.113.5\", \"203.0.113.6\"]\nports = [104]\n[care]\nconnects_per_s = 200\n";
    let refused = std::panic::catch_unwind(|| Site::new().scope(public));
    assert!(refused.is_err());
    // with it, only the one that serves the signer's key
    let root = folder.join("control/.well-known");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::copy(folder.join("authority.vkey"), root.join("kluis-inspect")).unwrap();
    let server = format!("listen 203.0.113.5:80; root {};", folder.join("control").display());
    let _nginx = peers::nginx(folder, 8099, &server);
    // the other one serves the key of somebody else
    let other = folder.join("other");
    std::fs::create_dir_all(other.join(".well-known")).unwrap();
    kluis_inspect::scope::write_key_pair("lab", &other).unwrap();
    std::fs::copy(other.join("authority.vkey"), other.join(".well-known/kluis-inspect")).unwrap();
    let server = format!("listen 203.0.113.6:80; root {};", other.display());
    let _other = peers::nginx(folder, 8100, &server);
    let scan = site.run(&format!("public = true\n{public}")).unwrap();
    assert_eq!((scan.assets.len(), scan.coverage.refused), (1, 1), "{scan:#?}");
    assert_eq!(scan.assets[0].address, "203.0.113.5");
    assert_eq!(scan.grade(), kluis_inspect::scan::Grade::F);
}

#[test]
fn stop_ends_everything_at_once_and_the_next_run_goes_on() {
    if !network::is_inside("guard_rails::stop_ends_everything_at_once_and_the_next_run_goes_on") {
        return;
    }
    let site = Site::new();
    let scope = "networks = [\"127.0.1.0/26\"]\nports = [104]\n";
    let out = site.out();
    let switch = thread::spawn(move || {
        network::pause(2_000);
        std::fs::write(out.join(STOP_FILE), "").unwrap();
        Instant::now()
    });
    let scan = site.run(scope).unwrap();
    let stopped = switch.join().unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
    assert_eq!(scan.stopped, Some(StopReason::File));
    let before = scan.coverage.hosts;
    assert!((5..62).contains(&before), "{before}");

    let options =
        Options { scope: site.folder.path().join("scope.toml"), key: None, out: site.out(), only: None, port: None };
    let scan = run_options(&options, Stop::default()).unwrap();
    assert_eq!((scan.stopped, scan.coverage.hosts), (None, 62));
    // every address was asked once: the hosts that were done before were not asked again
    assert_eq!(scan.probes.unwrap().size, 62 * 2 + 4);
    // a finished folder is not written to
    assert!(matches!(run_options(&options, Stop::default()), Err(InspectError::Folder { .. })));
}

#[test]
fn quiet_hours_keep_everybody_quiet() {
    if !network::is_inside("guard_rails::quiet_hours_keep_everybody_quiet") {
        return;
    }
    let here = moments("127.0.0.1:104");
    let site = Site::new();
    let scope = "networks = [\"127.0.0.1\"]\nports = [104]\n[[quiet]]\nfrom = \"00:00\"\nuntil = \"00:00\"\n";
    let scan = site.run(scope).unwrap();
    assert_eq!(scan.stopped, Some(StopReason::Hours));
    assert!(here.lock().unwrap().is_empty());
}

#[test]
fn a_peer_that_serves_one_at_a_time_still_answers_its_own() {
    if !network::is_inside("guard_rails::a_peer_that_serves_one_at_a_time_still_answers_its_own") {
        return;
    }
    let site = Site::new();
    let folder = site.folder.path();
    let mut command = Command::new("storescp");
    command.arg("-od").arg(folder).arg("104");
    let _serial = network::Program::start(&mut command, folder, &[104]);
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let own = thread::spawn(move || {
        let mut longest = Duration::ZERO;
        let mut count = 0;
        while !over.load(Ordering::SeqCst) || count < 3 {
            let begun = Instant::now();
            let status = Command::new("echoscu").args(["127.0.0.1", "104"]).status().expect("echoscu cannot be run");
            assert!(status.success());
            longest = longest.max(begun.elapsed());
            count += 1;
        }
        longest
    });
    network::pause(200);
    let scan = site.run("networks = [\"127.0.0.1\"]\nports = [104]\n").unwrap();
    is_over.store(true, Ordering::SeqCst);
    let longest = own.join().unwrap();
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert_eq!(service(&scan, 104).level, kluis_inspect::scan::Level::E5);
}

#[test]
fn a_network_of_254_with_10_alive_takes_less_than_two_minutes() {
    if !network::is_inside("guard_rails::a_network_of_254_with_10_alive_takes_less_than_two_minutes") {
        return;
    }
    network::add_neighbours("10.9.0.1/24");
    let listeners: Vec<TcpListener> = (11..20)
        .map(|host| {
            network::add_address(&format!("10.9.0.{host}/32"));
            TcpListener::bind((format!("10.9.0.{host}"), 104)).unwrap()
        })
        .collect();
    let site = Site::new();
    let begun = Instant::now();
    let ports = "ports = [80, 104, 443, 2762, 4242, 8042, 8080, 11112]";
    let scan = site.run(&format!("networks = [\"10.9.0.0/24\"]\n{ports}\n")).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
    // our own address has no listener, the nine have one each
    assert_eq!((scan.coverage.hosts, scan.coverage.alive), (254, 9));
    drop(listeners);
}

/// One packet of a capture.
struct Packet {
    at_s: f64,
    source: String,
    destination: String,
    connection: String,
}

fn capture(file: &Path) -> Vec<Packet> {
    let output = Command::new("tshark")
        .args(["-r", file.to_str().unwrap(), "-T", "fields", "-E", "separator=,"])
        .args(["-e", "frame.time_relative", "-e", "ip.src", "-e", "ip.dst", "-e", "tcp.stream"])
        .output()
        .expect("tshark cannot be run");
    let text = String::from_utf8(output.stdout).unwrap();
    let packets = text.lines().filter_map(|line| {
        let mut cells = line.split(',');
        Some(Packet {
            at_s: cells.next()?.parse().ok()?,
            source: cells.next()?.to_owned(),
            destination: cells.next()?.to_owned(),
            connection: cells.next()?.to_owned(),
        })
    });
    packets.collect()
}

#[test]
fn a_capture_shows_nothing_out_of_scope_and_no_silent_socket() {
    if !network::is_inside("guard_rails::a_capture_shows_nothing_out_of_scope_and_no_silent_socket") {
        return;
    }
    network::add_address("10.77.0.1/24");
    let site = Site::new();
    let folder = site.folder.path();
    let _orthanc = peers::orthanc(folder, 4242, 8042, peers::DICOMWEB);
    let _archive = peers::dcmqrscp(folder, 104, "ANY");
    // listens and never says a word
    let _silent = TcpListener::bind("10.77.0.1:9").unwrap();
    let file = folder.join("capture.pcap");
    let mut dumpcap = Command::new("dumpcap");
    dumpcap.args(["-q", "-i", "lo", "-f", "tcp", "-w", file.to_str().unwrap()]);
    let mut dumpcap = dumpcap.spawn().expect("dumpcap cannot be run");
    network::pause(1_500);
    let scope = "networks = [\"10.77.0.1\"]\nports = [104, 4242, 8042, 9]\n[care]\nconnects_per_s = 200\n";
    let scan = site.run(scope).unwrap();
    assert!(service(&scan, 4242).level > kluis_inspect::scan::Level::E1);
    network::pause(500);
    let _ = Command::new("kill").args(["-INT", &dumpcap.id().to_string()]).status();
    dumpcap.wait().unwrap();
    let packets = capture(&file);
    assert!(packets.len() > 100, "{}", packets.len());
    let mut last: BTreeMap<&str, f64> = BTreeMap::new();
    let mut longest = 0.0_f64;
    for packet in &packets {
        assert_eq!((packet.source.as_str(), packet.destination.as_str()), ("10.77.0.1", "10.77.0.1"));
        if let Some(before) = last.insert(&packet.connection, packet.at_s) {
            longest = longest.max(packet.at_s - before);
        }
    }
    assert!(longest < 1.1, "a socket was silent for {longest} s");
}

#[test]
fn a_host_or_port_that_the_scope_does_not_name_is_wrong_use() {
    let site = Site::new();
    let scope = site.scope("networks = [\"127.0.0.1\"]\nports = [9]\n");
    for (only, port) in [(Some("127.0.0.2"), None), (Some("localhost"), None), (Some("127.0.0.1"), Some(10))] {
        let out = site.out();
        let options = Options { scope: scope.clone(), key: None, out, only: only.map(str::to_owned), port };
        let error = run_options(&options, Stop::default()).unwrap_err();
        assert!(error.is_wrong_use() && !site.out().exists(), "{error}");
    }
}
