//! A comparison as one page, in the manner of the page of a scan.

use std::fmt::Write;

use super::{
    html::{escape, head},
    rfc3339, word,
};
use crate::{
    compare::{Change, Comparison, Group, Verdict},
    rule::Language,
};

struct Labels {
    title: &'static str,
    days: &'static str,
    place: &'static str,
    none: &'static str,
    verdicts: [&'static str; 3],
    meanings: [&'static str; 3],
    columns: [&'static str; 7],
    all: &'static str,
    at_least: &'static str,
}

const EN: Labels = Labels {
    title: "Exposure: what changed",
    days: "days between the scans",
    place: "Place",
    none: "(no place)",
    verdicts: ["Good", "Bad", "Ugly"],
    meanings: [
        "nothing is open any more and nothing is new",
        "something is open, no more of it than before",
        "newly open to the world, or more at risk than before",
    ],
    columns: ["Open systems", "Studies", "Images", "New", "Fixed", "Unchanged", "Worse"],
    all: "All",
    at_least: "Where scans count in steps, studies and images are at least so many.",
};

const NL: Labels = Labels {
    title: "Blootstelling: wat veranderde",
    days: "dagen tussen de inspecties",
    place: "Plaats",
    none: "(geen plaats)",
    verdicts: ["Goed", "Slecht", "Lelijk"],
    meanings: [
        "er staat niets meer open en er is niets nieuws",
        "er staat iets open, niet meer dan eerst",
        "nieuw open voor de wereld, of meer in gevaar dan eerst",
    ],
    columns: ["Open systemen", "Onderzoeken", "Beelden", "Nieuw", "Hersteld", "Onveranderd", "Erger"],
    all: "Alles",
    at_least: "Waar inspecties in stappen tellen, zijn het ten minste zoveel onderzoeken en beelden.",
};

const DE: Labels = Labels {
    title: "Erreichbarkeit: was sich änderte",
    days: "Tage zwischen den Läufen",
    place: "Ort",
    none: "(kein Ort)",
    verdicts: ["Gut", "Schlecht", "Übel"],
    meanings: [
        "nichts ist mehr offen und nichts ist neu",
        "etwas ist offen, nicht mehr als zuvor",
        "neu offen für alle, oder mehr in Gefahr als zuvor",
    ],
    columns: ["Offene Systeme", "Studien", "Bilder", "Neu", "Behoben", "Unverändert", "Schlimmer"],
    all: "Alle",
    at_least: "Wo in Stufen gezählt wird, sind es mindestens so viele Studien und Bilder.",
};

/// The page of a comparison.
#[must_use]
pub fn comparison(comparison: &Comparison, language: Language) -> String {
    let labels = match language {
        Language::En => &EN,
        Language::Nl => &NL,
        Language::De => &DE,
    };
    let mut out = head(language, labels.title);
    // writing to a String cannot fail
    let _ = write(&mut out, comparison, labels);
    out.push_str("</main></body></html>\n");
    out
}

fn write(out: &mut String, comparison: &Comparison, labels: &Labels) -> std::fmt::Result {
    write!(
        out,
        "<p>{} … {}: {} {}.</p><ul class=\"counts\">",
        rfc3339(comparison.old),
        rfc3339(comparison.new),
        comparison.days,
        labels.days
    )?;
    for (verdict, meaning) in [Verdict::Good, Verdict::Bad, Verdict::Ugly].into_iter().zip(labels.meanings) {
        let (class, name) = (word(&verdict), name(verdict, labels));
        write!(out, "<li><b class=\"{class}\">{} {name}</b>: {meaning}</li>", comparison.count(verdict))?;
    }
    write!(out, "</ul><table><thead><tr><th></th><th>{}</th>", labels.place)?;
    for column in labels.columns {
        write!(out, "<th class=\"n\">{column}</th>")?;
    }
    write!(out, "</tr></thead><tbody>")?;
    for group in &comparison.groups {
        row(out, group, labels)?;
    }
    write!(out, "<tr><td></td><td><b>{}</b></td>", labels.all)?;
    cells(out, &comparison.total)?;
    write!(out, "</tr></tbody></table><p class=\"small\">{}</p>", labels.at_least)
}

fn row(out: &mut String, group: &Group, labels: &Labels) -> std::fmt::Result {
    let place = if group.name.is_empty() { labels.none.to_owned() } else { escape(&group.name) };
    let (class, name) = (word(&group.verdict), name(group.verdict, labels));
    write!(out, "<tr><td><b class=\"{class}\">{name}</b></td><td>{place}</td>")?;
    cells(out, &group.tally)?;
    write!(out, "</tr>")
}

fn cells(out: &mut String, tally: &crate::compare::Tally) -> std::fmt::Result {
    for change in [tally.systems, tally.studies, tally.images] {
        let Change { before, now } = change;
        write!(out, "<td class=\"n\">{before} → {now}</td>")?;
    }
    for number in [tally.new, tally.fixed, tally.unchanged, tally.regressed] {
        write!(out, "<td class=\"n\">{number}</td>")?;
    }
    Ok(())
}

fn name(verdict: Verdict, labels: &Labels) -> &'static str {
    let [good, bad, ugly] = labels.verdicts;
    match verdict {
        Verdict::Good => good,
        Verdict::Bad => bad,
        Verdict::Ugly => ugly,
    }
}
