//! `kluis-scale load | query | start --data DIR`: see the library.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::{Parser, Subcommand};
use kluis_scale::{figures, load, query, site, start};

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
        /// Images with so many bytes of pixels instead of headers: for the rate. Take a seed of its own each time; how far
        /// the load has come is neither read nor kept.
        #[arg(long, default_value_t = 0)]
        pixels: usize,
        /// Images of a study, where there are pixels.
        #[arg(long, default_value_t = 100)]
        slices: u32,
    },
    /// Asks every shape of query and prints its times.
    Query {
        /// Queries of each shape.
        #[arg(long, default_value_t = 500)]
        rounds: usize,
        /// Seed of the keys.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only shapes whose names contain this.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Seals what is hot.
    Seal {
        /// Minutes after which it ends wherever it is.
        #[arg(long, default_value_t = 100_000)]
        stop_after_min: u64,
    },
    /// Counts what is in the index, hot and sealed.
    Count,
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
        Phase::Load { studies, senders, report_every, seal_after_s, stop_after_min, seed, pixels, slices } => {
            let plan = load::Plan {
                dir,
                seed,
                studies,
                senders,
                report_every,
                seal_after: Duration::from_secs(seal_after_s),
                stop_after: Duration::from_secs(stop_after_min * 60),
                images: (pixels > 0).then_some(load::Images { slices, pixels }),
            };
            let progress = load::run(plan).await?;
            println!("{} studies, {} instances", progress.studies, progress.instances);
        }
        Phase::Query { rounds, seed, only } => {
            query::run(&dir, rounds, seed, &only).await?;
            let (resident, peak) = figures::memory("self");
            println!("resident {} MiB, peak {} MiB", resident >> 20, peak >> 20);
        }
        Phase::Seal { stop_after_min } => seal(&dir, Duration::from_secs(stop_after_min * 60)).await?,
        Phase::Count => println!("{:?}", site::counts(&dir).await?),
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

async fn seal(dir: &Path, stop_after: Duration) -> Result<()> {
    let (archive, _) = site::open(dir, Duration::ZERO).await?;
    let begun = Instant::now();
    let mut all = 0;
    while begun.elapsed() < stop_after {
        let (round, cpu) = (Instant::now(), figures::processor());
        let sealed = archive.seal_quiet().await?;
        if sealed == 0 {
            break;
        }
        all += u64::from(sealed);
        let (took, cpu) = (round.elapsed().as_secs_f64(), (figures::processor() - cpu).as_secs_f64());
        let each = cpu * 1e3 / f64::from(sealed);
        println!("{all} series, {:.0} a second, {each:.2} ms CPU each", f64::from(sealed) / took);
    }
    Ok(archive.close().await?)
}
