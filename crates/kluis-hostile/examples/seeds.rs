//! Writes the seeds of every target to `fuzz/corpus`: `cargo run -p kluis-hostile --example seeds [FOLDER]`.

use std::{io, path::PathBuf};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let folder = std::env::args_os().nth(1).map_or(here, PathBuf::from);
    for target in kluis_hostile::TARGETS {
        let folder = folder.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in kluis_hostile::seeds(target.name).into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}
