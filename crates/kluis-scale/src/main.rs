//! `kluis-scale load | query | start --data DIR`: see the library.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Parser, Subcommand};
use kluis_scale::{figures, load, query, start};

#[derive(Parser)]
#[command(about = "Loads an archive with a million studies and measures what grows")]
struct Args {
    /// The data directory; made where there is none.
    #[arg(long)]
    data: PathBuf,
    #[command(subcommand)]
    command: Phase,
}

#[derive(Subcommand)]
enum Phase {
    /// Stores studies; goes on where the last load stopped.
    Load {
        /// Studies that shall be there in the end.
        #[arg(long, default_value_t = 1_000_000)]
        studies: u64,
        /// Senders at the same time.
        #[arg(long, default_value_t = 64)]
        senders: usize,
        /// Instances between two lines of figures.
        #[arg(long, default_value_t = 50_000)]
        report_every: u64,
        /// Seconds after which a quiet series is sealed.
        #[arg(long, default_value_t = 300)]
        seal_after_s: u64,
        /// Minutes after which the load ends wherever it is.
        #[arg(long, default_value_t = 100_000)]
        stop_after_min: u64,
        /// Seed of the studies.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Asks every shape of query and prints its times.
    Query {
        /// Queries of each shape.
        #[arg(long, default_value_t = 500)]
        rounds: usize,
        /// Seed of the keys.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Starts the node and waits for its first answer.
    Start {
        /// The program.
        #[arg(long)]
        kluis: PathBuf,
        /// How often.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let Args { data: dir, command } = Args::parse();
    match command {
        Phase::Load { studies, senders, report_every, seal_after_s, stop_after_min, seed } => {
            let plan = load::Plan {
                dir,
                seed,
                studies,
                senders,
                report_every,
                seal_after: Duration::from_secs(seal_after_s),
                stop_after: Duration::from_secs(stop_after_min * 60),
            };
            let progress = load::run(plan).await?;
            println!("{} studies, {} instances", progress.studies, progress.instances);
        }
        Phase::Query { rounds, seed } => {
            query::run(&dir, rounds, seed).await?;
            let (resident, peak) = figures::memory("self");
            println!("resident {} MiB, peak {} MiB", resident >> 20, peak >> 20);
        }
        Phase::Start { kluis, rounds } => {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            for _ in 0..rounds {
                let start = start::once(&kluis, &dir).await?;
                println!("answered after {} ms, {} MiB", start.answered.as_millis(), start.resident >> 20);
            }
        }
    }
    Ok(())
}
