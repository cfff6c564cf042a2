//! Writes the synthetic archive to a folder: `cargo run -p kluis-testkit --example phantom -- FOLDER [SEED]`.

use std::{error::Error, fs, path::PathBuf};

use kluis_testkit::{hostile, phantom::Phantom};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name the folder to write to")?);
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    fs::create_dir_all(folder.join("hostile"))?;
    for file in Phantom::new(seed).all() {
        fs::write(folder.join(file.name), file.bytes)?;
    }
    for file in hostile::refused().into_iter().chain(hostile::repaired().into_iter().map(|(file, _)| file)) {
        fs::write(folder.join("hostile").join(file.name + ".dcm"), file.bytes)?;
    }
    Ok(())
}
