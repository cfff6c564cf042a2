//! `kluis inspect compare`

use kluis_inspect::{
    InspectError,
    compare::{By, Change, Comparison, Group, Side, Verdict, compare},
    report,
    rule::Language,
};

use crate::{
    DONE, FOUND,
    cli::{InspectCompareArgs, PageLanguage, Place},
    command::Output,
    say::say,
};

/// Compares and tells; the exit code.
pub(super) fn run(args: &InspectCompareArgs, output: &Output) -> Result<u8, InspectError> {
    let by = match args.by {
        Place::Site => By::Site,
        Place::Department => By::Department,
        Place::Country => By::Country,
    };
    let comparison = compare(&Side::read(&args.old, by)?, &Side::read(&args.new, by)?, by);
    if let Some(path) = &args.html {
        let language = match args.language {
            PageLanguage::En => Language::En,
            PageLanguage::Nl => Language::Nl,
            PageLanguage::De => Language::De,
        };
        report::write_page(path, &report::html::comparison(&comparison, language))?;
    }
    let document = serde_json::to_value(&comparison).unwrap_or_default();
    output.print(&document, || tell(&comparison));
    Ok(if comparison.verdict() == Verdict::Good { DONE } else { FOUND })
}

fn tell(comparison: &Comparison) {
    let total = &comparison.total;
    say!(
        "{} days; {} Good, {} Bad, {} Ugly",
        comparison.days,
        comparison.count(Verdict::Good),
        comparison.count(Verdict::Bad),
        comparison.count(Verdict::Ugly)
    );
    say!("systems {}, {} new, {} gone", change(total.systems), total.systems_new, total.systems_gone);
    say!("studies {}, images {}", change(total.studies), change(total.images));
    say!(
        "findings: {} new, {} fixed, {} unchanged, {} regressed",
        total.new,
        total.fixed,
        total.unchanged,
        total.regressed
    );
    for group in &comparison.groups {
        say!("{}", line(group));
    }
}

fn line(group: &Group) -> String {
    let name = if group.name.is_empty() { "(no place)" } else { &group.name };
    let tally = &group.tally;
    format!(
        "{:?}: {name}: systems {}, images {}, {} new, {} fixed, {} unchanged",
        group.verdict,
        change(tally.systems),
        change(tally.images),
        tally.new,
        tally.fixed,
        tally.unchanged
    )
}

fn change(change: Change<u64>) -> String {
    format!("{} -> {}", change.before, change.now)
}
