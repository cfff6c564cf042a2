//! Remembering that a thing was made from exactly these inputs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The inputs of a thing, beside the place where the last successful ones are kept.
pub struct Stamp {
    file: PathBuf,
    inputs: String,
}

impl Stamp {
    /// A stamp kept in `file` over the text of these files and `version`, to be raised when the making changes.
    pub fn new(file: PathBuf, version: &str, inputs: &[&Path]) -> Result<Self> {
        let mut text = format!("{version}\n");
        for input in inputs {
            text += &fs::read_to_string(input).with_context(|| format!("{} cannot be read", input.display()))?;
        }
        Ok(Self { file, inputs: text })
    }

    /// Whether the thing was made from the same inputs before.
    pub fn is_fresh(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|before| before == self.inputs)
    }

    /// Notes that it is made now.
    pub fn set(&self) -> Result<()> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&self.file, &self.inputs).with_context(|| format!("{} cannot be written", self.file.display()))
    }
}
