//! What encryption and ledger cost: the normal build against one without them, which is made for this alone.

use anyhow::{Result, bail};

use super::{Book, ingest};
use crate::site::Site;

/// Alternates both builds.
pub fn run(site: &Site, book: &mut Book) -> Result<()> {
    let Some(bare) = site.kluis_bare() else {
        bail!("there is no build without encryption and ledger (cfg kluis_bench_bare)");
    };
    ingest::run(site, book, "bare", &[site.kluis(), bare], false)
}
