//! An acceptor on loopback without TLS that throws away what it gets: for trying foreign peers and for measuring the
//! driver by itself. `cargo run --example sink [PORT]`; called AE title KLUIS, any calling one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/peer/mod.rs"]
mod peer;

use kluis_dimse::{PromptTcp, driver::serve};
use tokio::{net::TcpListener, sync::watch, time::Instant};

#[tokio::main]
async fn main() {
    let port: u16 = std::env::args().nth(1).map_or(0, |text| text.parse().unwrap());
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let (_stop, stopping) = watch::channel(false);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let stopping = stopping.clone();
        tokio::spawn(async move {
            let mut memory = peer::Memory { discards: true, ..peer::Memory::default() };
            let stream = PromptTcp::new(stream).unwrap();
            let ending = serve(stream, &mut memory, &peer::config(), Instant::now(), stopping).await;
            println!("{ending:?}");
        });
    }
}
