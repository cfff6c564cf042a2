//! Where arriving objects are sent: rules of the site, each with conditions that must all hold. Pure.

use std::fmt;

use kluis_dicom::{AeTitle, matching::wildcard};
use time::{Duration, OffsetDateTime};

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What people call it.
    pub name: String,
    /// The enrolled devices to which an object goes.
    pub to: Vec<AeTitle>,
    /// AE titles of senders; empty: whoever.
    pub from: Vec<String>,
    /// Keywords of attributes, each with patterns (`*` and `?`) of which one must match one of its values.
    pub attributes: Vec<(String, Vec<String>)>,
    /// When objects are sent; at any time where there are none.
    pub hours: Option<Hours>,
    /// The higher, the earlier.
    pub priority: i64,
}

/// A part of each day, UTC; it may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// Its first minute of the day.
    pub from: u16,
    /// Its end, the first minute that is not in it.
    pub to: u16,
}

/// The words are no part of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hours are written as HH:MM-HH:MM")]
pub struct ParseHoursError;

impl std::str::FromStr for Hours {
    type Err = ParseHoursError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let minute = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, to) = s.split_once('-').ok_or(ParseHoursError)?;
        let hours = minute(from).zip(minute(to)).map(|(from, to)| Self { from, to });
        hours.filter(|hours| hours.from != hours.to).ok_or(ParseHoursError)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl Hours {
    /// The first moment from `now` on that is within.
    #[must_use]
    pub fn next(self, now: OffsetDateTime) -> OffsetDateTime {
        let minute = u16::from(now.hour()) * 60 + u16::from(now.minute());
        let is_within = match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        };
        if is_within {
            return now;
        }
        let wait = (i64::from(self.from) - i64::from(minute)).rem_euclid(24 * 60);
        let now = now.replace_second(0).and_then(|now| now.replace_nanosecond(0)).unwrap_or(now);
        now.checked_add(Duration::minutes(wait)).unwrap_or(now)
    }
}

/// One condition of a rule, held against an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What is looked at: `from`, or the keyword of an attribute.
    pub of: String,
    /// What it must be.
    pub wanted: Vec<String>,
    /// Whether it is.
    pub holds: bool,
}

impl Route {
    /// Every condition of the rule, held against an object: who sent it, and the values of its attributes by keyword.
    pub fn explain(&self, sender: Option<&str>, values: &dyn Fn(&str) -> Vec<String>) -> Vec<Condition> {
        let mut conditions = Vec::new();
        if !self.from.is_empty() {
            let holds = sender.is_some_and(|sender| self.from.iter().any(|from| from == sender));
            conditions.push(Condition { of: "from".to_owned(), wanted: self.from.clone(), holds });
        }
        for (keyword, patterns) in &self.attributes {
            let values = values(keyword);
            let holds = patterns.iter().any(|pattern| values.iter().any(|value| wildcard(pattern, value.trim())));
            conditions.push(Condition { of: keyword.clone(), wanted: patterns.clone(), holds });
        }
        conditions
    }

    /// Whether all conditions hold.
    #[must_use]
    pub fn takes(&self, sender: Option<&str>, values: &dyn Fn(&str) -> Vec<String>) -> bool {
        self.explain(sender, values).iter().all(|condition| condition.holds)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn route() -> Route {
        Route {
            name: "hearts".to_owned(),
            to: vec!["RESEARCH".parse().unwrap()],
            from: vec!["CT1".to_owned(), "CT2".to_owned()],
            attributes: vec![
                ("Modality".to_owned(), vec!["CT".to_owned()]),
                ("StudyDescription".to_owned(), vec!["*heart*".to_owned(), "Cardio?".to_owned()]),
            ],
            hours: None,
            priority: 0,
        }
    }

    #[test]
    fn all_conditions_must_hold_and_each_is_told() {
        let of = |modality: &'static str, description: &'static str| {
            move |keyword: &str| match keyword {
                "Modality" => vec![modality.to_owned()],
                "StudyDescription" => vec![description.to_owned()],
                _ => Vec::new(),
            }
        };
        assert!(route().takes(Some("CT2"), &of("CT", "the heart of it ")));
        assert!(route().takes(Some("CT1"), &of("CT", "Cardio2")));
        for (sender, modality, description) in [
            (Some("MR1"), "CT", "heart"),
            (None, "CT", "heart"),
            (Some("CT1"), "MR", "heart"),
            (Some("CT1"), "CT", "knee"),
        ] {
            assert!(!route().takes(sender, &of(modality, description)), "{sender:?} {modality} {description}");
        }
        let told = route().explain(Some("CT1"), &of("MR", "heart"));
        let told: Vec<_> = told.iter().map(|condition| (condition.of.as_str(), condition.holds)).collect();
        assert_eq!(told, [("from", true), ("Modality", false), ("StudyDescription", true)]);
        let everything = Route { from: Vec::new(), attributes: Vec::new(), ..route() };
        assert!(everything.takes(None, &|_| Vec::new()));
    }

    #[test]
    fn hours_go_over_midnight() {
        let night: Hours = "18:00-06:30".parse().unwrap();
        assert_eq!(night.to_string(), "18:00-06:30");
        for (now, next) in [
            (datetime!(2026-03-01 17:59:30 UTC), datetime!(2026-03-01 18:00 UTC)),
            (datetime!(2026-03-01 18:00:30 UTC), datetime!(2026-03-01 18:00:30 UTC)),
            (datetime!(2026-03-01 02:00 UTC), datetime!(2026-03-01 02:00 UTC)),
            (datetime!(2026-03-01 06:30 UTC), datetime!(2026-03-01 18:00 UTC)),
        ] {
            assert_eq!(night.next(now), next);
        }
        let noon: Hours = "12:00-13:00".parse().unwrap();
        assert_eq!(noon.next(datetime!(2026-03-01 13:00 UTC)), datetime!(2026-03-02 12:00 UTC));
        for wrong in ["", "12:00", "24:00-01:00", "1-2", "12:00-12:00", "12:60-13:00"] {
            assert_eq!(wrong.parse::<Hours>(), Err(ParseHoursError), "{wrong}");
        }
    }
}
