//! Peers that answer garbage, nothing, too much, or something else: a result, never a hang.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kluis_inspect::scan::{Level, Protocol};

use super::{
    network,
    site::{Site, local, rules, service},
};

/// Serves each connection in a thread of its own.
fn serve(port: u16, with: fn(TcpStream)) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || with(stream));
        }
    });
    connections
}

fn silent(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

fn garbage(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 64]);
    let _ = stream.write_all(&[0x80, 0xff, 0x00, 0x13].repeat(100));
}

/// An acceptance that declares a length and never ends.
fn endless(mut stream: TcpStream) {
    let _ = stream.write_all(&[2, 0, 0, 0, 0xff, 0xff]);
    while stream.write_all(&[0; 4096]).is_ok() {}
}

/// HTTP headers without an end.
fn endless_web(mut stream: TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
    while stream.write_all(b"X-More: more\r\n").is_ok() {}
}

/// One byte each 200 ms.
fn trickle(mut stream: TcpStream) {
    for byte in [2_u8, 0, 0, 0, 1, 0].iter().chain(std::iter::repeat_n(&0, 200)) {
        if stream.write_all(&[*byte]).is_err() {
            return;
        }
        network::pause(200);
    }
}

fn ssh(mut stream: TcpStream) {
    let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
    silent(stream);
}

/// Sends whoever asks elsewhere: to a port of this machine where nobody may ask.
fn redirect(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 2048]);
    let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:9999/\r\nContent-Length: 0\r\n\r\n");
}

fn closes(_: TcpStream) {}

#[test]
fn every_bad_peer_is_a_result_and_holds_nobody_up() {
    if !network::is_inside("bad_peers::every_bad_peer_is_a_result_and_holds_nobody_up") {
        return;
    }
    let ports = [8000, 9001, 9002, 9003, 9004, 9005, 9006, 9008];
    let kinds: [fn(TcpStream); 8] = [redirect, silent, garbage, endless, endless_web, trickle, ssh, closes];
    for (port, kind) in ports.into_iter().zip(kinds) {
        serve(port, kind);
    }
    let elsewhere = TcpListener::bind(("127.0.0.2", 9999)).unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let site = Site::new();
    let begun = Instant::now();
    let scan = site.run(&local(&ports, "")).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    for port in ports {
        let service = service(&scan, port);
        let expected = if port == 8000 { (Protocol::Http, Level::E1) } else { (Protocol::Other, Level::E0) };
        assert_eq!((service.protocol, service.level), expected, "{service:#?}");
        assert_eq!(rules(&scan, port), Vec::<String>::new(), "{port}");
    }
    assert!(elsewhere.accept().is_err(), "a redirect was followed");
}
