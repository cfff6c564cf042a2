//! Greenbone's two scans, and the rules one by one.

use time::macros::datetime;

use super::*;

/// Sums that agree with what was published of both scans: 590 systems in 52 countries with 24.5 million studies and 737
/// million images; 60 days later 35 million and 1.19 billion, 129 systems new, 172 gone, 9 countries new, 11 countries
/// without any. What was not published (which country has how much of the rest) is made up within those sums.
fn greenbone() -> (Census, Census) {
    let ugly = ["United States", "India", "South Africa", "Brazil", "Ecuador"];
    let ids = |country: &str, from: u64, until: u64| (from..until).map(|n| format!("{country} {n}")).collect();
    let mut old = Vec::new();
    let mut new = Vec::new();
    let mut push = |name: &str, before: [u64; 3], now: [u64; 3], kept: u64| {
        let [systems, studies, images] = before;
        if systems > 0 {
            old.push(CensusGroup { name: name.to_owned(), systems, ids: ids(name, 0, systems), studies, images });
        }
        let [systems, studies, images] = now;
        if systems > 0 {
            let from = before[0] - kept;
            new.push(CensusGroup {
                name: name.to_owned(),
                systems,
                ids: ids(name, from, from + systems),
                studies,
                images,
            });
        }
    };
    // the five that got worse: 300 systems before, 327 now, 280 of them the same
    for (place, country) in ugly.iter().enumerate() {
        let more = if place == 0 { 67 } else { 65 };
        let studies = [3_000_000, 5_400_000];
        let images = [100_000_000, 190_000_000];
        push(country, [60, studies[0], images[0]], [more, studies[1], images[1]], 56);
    }
    // eleven that went off the net, the Netherlands among them: 84 systems
    push("Netherlands", [4, 25_000, 323_000], [0, 0, 0], 0);
    for n in 0..10 {
        push(&format!("Good {n}"), [8, 97_500, 2_967_700], [0, 0, 0], 0);
    }
    // 36 that are still open, with less: 206 systems before, 138 of them still there
    for n in 0..36 {
        let systems = if n < 26 { 6 } else { 5 };
        let gone = if n < 32 { 2 } else { 1 };
        push(&format!("Bad {n}"), [systems, 236_111, 5_750_000], [systems - gone, 200_000, 5_000_000], systems - gone);
    }
    // nine where nothing was found before
    for n in 0..9 {
        let systems = if n < 1 { 10 } else { 9 };
        push(&format!("New {n}"), [0, 0, 0], [systems, 88_888, 6_666_666], 0);
    }
    let census = |taken, groups| Census { schema: CENSUS_SCHEMA.to_owned(), taken, groups };
    (census(datetime!(2019-09-16 0:00 UTC), old), census(datetime!(2019-11-15 0:00 UTC), new))
}

#[test]
fn the_published_groups_come_out_of_the_published_figures() {
    let (old, new) = greenbone();
    assert_eq!((old.groups.len(), new.groups.len()), (52, 50));
    let comparison = compare(&Side::of_census(&old), &Side::of_census(&new), By::Country);
    let total = &comparison.total;
    assert_eq!(comparison.days, 60);
    assert_eq!(total.systems, Change { before: 590, now: 547 });
    assert_eq!((total.systems_new, total.systems_gone), (129, 172));
    let millions = |count: u64| (count + 500_000) / 1_000_000;
    assert_eq!((millions(total.studies.before * 10), millions(total.studies.now)), (245, 35));
    assert_eq!((millions(total.images.before), millions(total.images.now)), (737, 1_190));
    assert_eq!(comparison.groups.iter().filter(|group| group.is_new).count(), 9);
    let named = |verdict| {
        let of = comparison.groups.iter().filter(move |group| group.verdict == verdict);
        of.map(|group| group.name.as_str()).collect::<BTreeSet<_>>()
    };
    assert_eq!(named(Verdict::Ugly), BTreeSet::from(["Brazil", "Ecuador", "India", "South Africa", "United States"]));
    assert_eq!(comparison.count(Verdict::Good), 11);
    assert!(named(Verdict::Good).contains("Netherlands"));
    assert_eq!(comparison.count(Verdict::Bad), 45);
    let of_ugly = comparison.groups.iter().filter(|group| group.verdict == Verdict::Ugly);
    let share: u64 = of_ugly.map(|group| group.tally.images.now).sum();
    assert!(share * 4 > total.images.now * 3, "{share}");
}

fn side(day: i64, findings: &[(&str, Severity, Level, f64)], open: &[&str], of_grade_f: &[&str]) -> Side {
    let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    let sums = Sums {
        open: set(open),
        of_grade_f: set(of_grade_f),
        findings: findings
            .iter()
            .map(|(id, severity, level, score)| ((*id).to_owned(), (*severity, *level, *score)))
            .collect(),
        ..Sums::default()
    };
    let taken = datetime!(2026-01-01 0:00 UTC) + time::Duration::days(day);
    Side { taken, groups: BTreeMap::from([("north".to_owned(), sums)]) }
}

#[test]
fn each_rule_decides_by_itself() {
    use Level::{E2, E3};
    use Severity::{High, Medium};
    let find = ("a/find", High, E3, 8.7);
    let clear = ("a/clear", Medium, E2, 8.2);
    let other = ("b/clear", Medium, E2, 8.2);
    let old = side(0, &[find, clear], &["a"], &[]);
    for (name, now, verdict) in [
        ("all closed", side(9, &[], &[], &[]), Verdict::Good),
        ("no longer open, but not all closed", side(9, &[clear], &[], &[]), Verdict::Bad),
        ("still open, score falling", side(9, &[clear], &["a"], &[]), Verdict::Bad),
        ("nothing changed", side(9, &[find, clear], &["a"], &[]), Verdict::Bad),
        ("all old ones closed, a new one, score falling", side(9, &[other], &["b"], &[]), Verdict::Bad),
        ("score rising", side(9, &[find, clear, other], &["a", "b"], &[]), Verdict::Ugly),
        ("newly of grade F, score falling", side(9, &[find], &["a"], &["a"]), Verdict::Ugly),
    ] {
        let comparison = compare(&old, &now, By::Site);
        assert_eq!(comparison.verdict(), verdict, "{name}");
    }
    let worse = side(9, &[("a/find", Severity::Critical, E3, 8.7)], &["a"], &[]);
    let comparison = compare(&old, &worse, By::Site);
    assert_eq!((comparison.total.unchanged, comparison.total.regressed, comparison.total.fixed), (1, 1, 1));
    assert_eq!((comparison.days, comparison.still_open.as_slice()), (9, &["a/find".to_owned()][..]));
}
