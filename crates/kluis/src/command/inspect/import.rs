//! `kluis inspect import`

use std::path::Path;

use kluis_inspect::{
    InspectError, clock,
    import::{DISCLOSURE, Imported, Source, empty_scan, import},
    report,
    run::SCAN_FILE,
    scan::{Level, Scan},
    scope::Scope,
};
use serde_json::json;

use super::key;
use crate::{
    DONE, FOUND,
    cli::{InspectImportArgs, Tool},
    command::Output,
    say::say,
};

/// Takes a file over; the exit code.
pub(super) fn run(args: &InspectImportArgs, output: &Output) -> Result<u8, InspectError> {
    let source = match args.tool {
        Tool::Shodan => Source::Shodan,
        Tool::Censys => Source::Censys,
        Tool::Nmap => Source::Nmap,
        Tool::Openvas => Source::Openvas,
        Tool::Nuclei => Source::Nuclei,
    };
    let now = clock::now();
    let (Some(scope), Some(out)) = (&args.scope, &args.out) else {
        let imported = import(source, &args.file, None, now)?;
        tell(&imported, None, output);
        return Ok(if is_open(&imported) { FOUND } else { DONE });
    };
    let scope = Scope::open(scope, key(args.key.as_deref())?.as_ref(), now)?;
    let mut scan = match &args.with {
        Some(path) => Scan::read(&if path.is_dir() { path.join(SCAN_FILE) } else { path.clone() })?,
        None => empty_scan(&scope, now),
    };
    let imported = import(source, &args.file, Some((&scope, &mut scan)), now)?;
    report::write_scan(&scan, out)?;
    tell(&imported, Some(out), output);
    Ok(if is_open(&imported) || scan.assets.iter().any(|asset| asset.level >= Level::E2) { FOUND } else { DONE })
}

/// Whether systems of others answer anybody, as the tool says.
fn is_open(imported: &Imported) -> bool {
    imported.others.levels.keys().any(|level| level.as_str() > "E1")
}

fn tell(imported: &Imported, out: Option<&Path>, output: &Output) {
    let mut document = json!(imported);
    if let (Some(fields), true) = (document.as_object_mut(), imported.others.systems > 0) {
        fields.insert("disclosure".to_owned(), json!(DISCLOSURE));
    }
    output.print(&document, || {
        say!("{} systems, {} entries about something else", imported.systems, imported.passed_over);
        if let Some(out) = out {
            say!("{} added, {} known better; everything stands in {}", imported.added, imported.known, out.display());
        }
        if imported.others.systems > 0 {
            say!("{} {DISCLOSURE}", imported.others.systems);
            for (country, count) in &imported.others.countries {
                say!("  {country}: {count}");
            }
        }
    });
}
