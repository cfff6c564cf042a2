//! Invented persons with names that are distributed as in a hospital in the Netherlands, Denmark and Germany: a few
//! surnames are common, most are rare (Zipf).

use kluis_testkit::random::Random;

/// Surnames that are frequent, the most frequent first; rarer ones are put together from parts.
const COMMON: [&str; 48] = [
    "Jansen",
    "Nielsen",
    "de Jong",
    "Müller",
    "de Vries",
    "Jensen",
    "Hansen",
    "van den Berg",
    "Schmidt",
    "Bakker",
    "van Dijk",
    "Pedersen",
    "Andersen",
    "Visser",
    "Schneider",
    "Smit",
    "Janssen",
    "Meijer",
    "Christensen",
    "de Boer",
    "Fischer",
    "Larsen",
    "Mulder",
    "Sørensen",
    "de Groot",
    "Weber",
    "Bos",
    "Vos",
    "Peters",
    "Rasmussen",
    "Hendriks",
    "Meyer",
    "van Leeuwen",
    "Jørgensen",
    "Dekker",
    "Brouwer",
    "de Wit",
    "Wagner",
    "Dijkstra",
    "Petersen",
    "Smits",
    "de Graaf",
    "Becker",
    "van der Meer",
    "Madsen",
    "Schulz",
    "van der Linden",
    "Kok",
];
const FRONT: [&str; 40] = [
    "Hoek", "Brink", "Linde", "Veld", "Kerk", "Molen", "Steen", "Berg", "Bosch", "Water", "Nygaard", "Skov", "Lund",
    "Holm", "Dal", "Kjær", "Vester", "Øster", "Krog", "Bak", "Stein", "Wald", "Hof", "Bauer", "König", "Schwarz",
    "Kraus", "Reich", "Sommer", "Winter", "Huis", "Dam", "Zand", "Noord", "Zuid", "Groen", "Oost", "Werk", "Kamp",
    "Rood",
];
const BACK: [&str; 32] = [
    "stra", "sma", "inga", "man", "mans", "huis", "veld", "gaard", "sen", "berg", "mann", "meier", "bach", "feld",
    "haus", "hof", "sted", "lund", "holm", "dal", "kamp", "dijk", "wijk", "stein", "hoff", "ens", "sens", "ink", "els",
    "ers", "ing", "horst",
];
const PARTICLE: [&str; 8] = ["", "", "", "", "", "van ", "van der ", "ten "];
const SURNAMES: f64 = 40_000.0;
/// Flattens the head of the distribution: the most frequent surname has about 0.6 % of all persons.
const HEAD: f64 = 20.0;

const GIVEN: [&str; 48] = [
    "Anna",
    "Peter",
    "Maria",
    "Jan",
    "Johanna",
    "Hans",
    "Elisabeth",
    "Willem",
    "Cornelia",
    "Lars",
    "Kirsten",
    "Søren",
    "Ursula",
    "Jürgen",
    "Karin",
    "Pieter",
    "Annelies",
    "Jens",
    "Hanne",
    "Uwe",
    "Sabine",
    "Dirk",
    "Femke",
    "Mads",
    "Freja",
    "Lena",
    "Lukas",
    "Emma",
    "Daan",
    "Sophie",
    "Noah",
    "Ida",
    "Oscar",
    "Mette",
    "Wolfgang",
    "Renate",
    "Gerrit",
    "Trijntje",
    "Niels",
    "Inge",
    "Klaus",
    "Monika",
    "Henk",
    "Wilhelmina",
    "Bente",
    "Ole",
    "Heike",
    "Sven",
];

/// A name, `Family^Given` or `Family^Given^Middle`.
pub fn person(random: &mut Random) -> String {
    let family = surname(rank(random));
    let given = pick(random, &GIVEN);
    match random.below(4) {
        0 => format!("{family}^{given}^{}", pick(random, &GIVEN)),
        _ => format!("{family}^{given}"),
    }
}

/// The surname of a rank from 0, the most frequent first.
pub fn surname(rank: usize) -> String {
    if let Some(common) = COMMON.get(rank) {
        return (*common).to_owned();
    }
    let (front, rest) = (rank % FRONT.len(), rank / FRONT.len());
    let (back, particle) = (rest % BACK.len(), rest / BACK.len());
    let part = |parts: &[&'static str], at: usize| parts.get(at % parts.len().max(1)).copied().unwrap_or_default();
    // what is left of the rank tells further bearers of a compound apart
    let twin = particle / PARTICLE.len();
    let double = if twin > 0 { format!("-{}", part(&COMMON, twin)) } else { String::new() };
    format!("{}{}{}{double}", part(&PARTICLE, particle), part(&FRONT, front), part(&BACK, back))
}

/// One of these, each as likely as the others.
pub fn pick(random: &mut Random, from: &[&'static str]) -> &'static str {
    from.get(random.below(from.len())).copied().unwrap_or_default()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rank(random: &mut Random) -> usize {
    let unit = f64::from(random.between(0.0, 1.0));
    let (low, high) = (HEAD.ln(), (SURNAMES + HEAD).ln());
    ((low + unit * (high - low)).exp() - HEAD).max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_few_surnames_are_common_and_most_are_rare() {
        let mut random = Random::new(1, "names");
        let mut counts: HashMap<String, u32> = HashMap::new();
        for _ in 0..100_000 {
            let name = person(&mut random);
            let family = name.split('^').next().unwrap().to_owned();
            *counts.entry(family).or_default() += 1;
        }
        let first = counts["Jansen"];
        assert!((300..2_000).contains(&first), "{first}");
        assert!(counts.len() > 10_000, "{}", counts.len());
    }
}
