//! The `kluis` command: configuration, wiring, subcommands. No logic of the archive stands here.

mod cli;
mod client;
mod command;
mod config;
mod data_dir;
mod local;
mod node;
mod process;
mod say;

use std::{io::IsTerminal, process::ExitCode};

use anyhow::{Result, bail};
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{Cli, Command},
    client::Client,
    command::Output,
    data_dir::DataDir,
    local::Local,
    say::say,
};

/// Done.
const DONE: u8 = 0;
/// It failed.
const FAILED: u8 = 1;
/// Wrong use; what clap says of wrong arguments.
const WRONG_USE: u8 = 2;
/// It found something.
const FOUND: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(&cli.command);
    if cfg!(kluis_bench_bare) {
        eprintln!("kluis: built for measuring, WITHOUT encryption at rest and without ledger: never for patients");
    }
    process::restrict();
    let json = cli.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::from(FAILED);
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if json {
                say!("{}", serde_json::json!({ "error": format!("{error:#}") }));
            } else {
                eprintln!("error: {error:#}");
            }
            ExitCode::from(FAILED)
        }
    }
}

/// A node tells what it does, a command only what is wrong; `KLUIS_LOG` asks for more.
fn start_log(command: &Command) {
    let level = if matches!(command, Command::Serve(_) | Command::Demo(_)) { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("KLUIS_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

async fn run(cli: Cli) -> Result<u8> {
    let output = Output::new(cli.json);
    if let Command::Demo(args) = &cli.command {
        command::demo::run(cli.data, args, &output).await?;
        return Ok(DONE);
    }
    if let Command::Dicom(command) = &cli.command {
        return Ok(found(command::dicom::run(command, &output).await?, FAILED));
    }
    if let Command::Inspect(command) = &cli.command {
        return command::inspect::run(command, &output).await;
    }
    let Some(path) = cli.data else {
        bail!("say which data directory: --data DIR, or KLUIS_DATA");
    };
    let dir = DataDir::new(path);
    match &cli.command {
        Command::Init(args) => command::init::run(&dir, args, &output).await?,
        Command::Serve(args) => command::serve::run(&dir, args, &output).await?,
        Command::Index(command) => command::index::run(&dir, command, &output).await?,
        Command::Route(command) => command::route::run(&dir, command, &output).await?,
        command => return with_stores(&dir, command, &output).await,
    }
    Ok(DONE)
}

/// Commands that work beside a running node and without one.
async fn with_stores(dir: &DataDir, command: &Command, output: &Output) -> Result<u8> {
    dir.require_initialised()?;
    let wanted = if matches!(command, Command::Import(_)) { command::import::clients_wanted() } else { 1 };
    let (mut clients, opened) = match clients(dir, wanted).await {
        // stores that are not opened because of what is wrong with them have been verified, as far as that goes
        Err(error) if matches!(command, Command::Verify(_)) && command::verify::report_refusal(dir, &error, output) => {
            return Ok(FOUND);
        }
        clients => clients?,
    };
    let result = match command {
        Command::Import(args) => command::import::run(clients, &args.paths, output).await.map(|all| found(all, FAILED)),
        command => match clients.pop() {
            Some(client) => one(dir, &client, command, output).await,
            None => bail!("no way to the stores"),
        },
    };
    if let Some(opened) = opened {
        opened.close().await?;
    }
    result
}

async fn one(dir: &DataDir, client: &Client, command: &Command, output: &Output) -> Result<u8> {
    match command {
        Command::Device(command) => command::device::run(client, command, output).await?,
        Command::User(command) => {
            command::user::run(client, command, &command::serve::address_for_browsers(dir)?, output).await?;
        }
        Command::Token(command) => command::token::run(client, command, output).await?,
        Command::Export(args) => command::export::run(dir, client, args, output).await?,
        Command::Study(command) => command::study::run(client, command, output).await?,
        Command::Worklist(command) => return Ok(found(command::worklist::run(client, command, output).await?, FAILED)),
        Command::Verify(args) => return Ok(found(command::verify::run(client, args, output).await?, FOUND)),
        Command::Checkpoint(args) => command::checkpoint::run(client, args, output).await?,
        Command::Init(_) | Command::Serve(_) | Command::Demo(_) | Command::Import(_) | Command::Index(_) => {}
        Command::Dicom(_) | Command::Inspect(_) | Command::Route(_) => {}
    }
    Ok(DONE)
}

fn found(is_clean: bool, otherwise: u8) -> u8 {
    if is_clean { DONE } else { otherwise }
}

/// Through the socket of a running node, or to stores that this process opens.
async fn clients(dir: &DataDir, wanted: usize) -> Result<(Vec<Client>, Option<Local>)> {
    if dir.lock()?.is_none() {
        let mut clients = Vec::new();
        for _ in 0..wanted {
            clients.push(Client::Socket(dir.control_socket()));
        }
        return Ok((clients, None));
    }
    let opened = local::open(dir).await?;
    let clients = (0..wanted).map(|_| opened.client()).collect();
    Ok((clients, Some(opened)))
}
