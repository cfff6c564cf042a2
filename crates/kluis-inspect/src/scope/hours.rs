//! When connections may be made.

use time::{OffsetDateTime, Time, UtcOffset, Weekday};

use super::{
    ScopeError,
    file::{ScopeFile, Window},
};

/// Windows, and quiet hours that are stronger.
#[derive(Debug, Clone)]
pub struct Hours {
    offset: UtcOffset,
    windows: Vec<Span>,
    quiet: Vec<Span>,
}

#[derive(Debug, Clone)]
struct Span {
    days: Vec<Weekday>,
    from: Time,
    until: Time,
}

impl Hours {
    pub(super) fn new(file: &ScopeFile) -> Result<Self, ScopeError> {
        let offset = match &file.utc_offset {
            None => UtcOffset::UTC,
            Some(text) => parse_offset(text)
                .ok_or_else(|| ScopeError::Unreadable("utc_offset", text.chars().take(16).collect()))?,
        };
        let spans = |windows: &[Window]| windows.iter().map(Span::new).collect::<Result<Vec<_>, _>>();
        Ok(Self { offset, windows: spans(&file.windows)?, quiet: spans(&file.quiet)? })
    }

    /// Whether a connection may be made at this moment.
    #[must_use]
    pub fn are_open(&self, now: OffsetDateTime) -> bool {
        let now = now.to_offset(self.offset);
        let has = |spans: &[Span]| spans.iter().any(|span| span.has(now));
        !has(&self.quiet) && (self.windows.is_empty() || has(&self.windows))
    }
}

impl Span {
    fn new(window: &Window) -> Result<Self, ScopeError> {
        let unreadable = |text: &str| ScopeError::Unreadable("window", text.chars().take(16).collect());
        let time = |text: &str| parse_time(text).ok_or_else(|| unreadable(text));
        let day = |text: &String| parse_day(text).ok_or_else(|| unreadable(text));
        Ok(Self {
            days: window.days.iter().map(day).collect::<Result<_, _>>()?,
            from: time(&window.from)?,
            until: time(&window.until)?,
        })
    }

    /// A span over midnight belongs to the day on which it begins.
    fn has(&self, now: OffsetDateTime) -> bool {
        let on = |day: Weekday| self.days.is_empty() || self.days.contains(&day);
        let (time, today) = (now.time(), now.weekday());
        if self.from < self.until {
            return on(today) && self.from <= time && time < self.until;
        }
        (on(today) && time >= self.from) || (on(today.previous()) && time < self.until)
    }
}

/// `+HH:MM` or `-HH:MM`.
#[must_use]
pub fn parse_offset(text: &str) -> Option<UtcOffset> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = pair(rest)?;
    let (hours, minutes) = (i8::try_from(hours).ok()?, i8::try_from(minutes).ok()?);
    if hours > 14 { None } else { UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok() }
}

fn parse_time(text: &str) -> Option<Time> {
    let (hours, minutes) = pair(text)?;
    Time::from_hms(hours, minutes, 0).ok()
}

/// `HH:MM`, both with two digits.
fn pair(text: &str) -> Option<(u8, u8)> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| match text.as_bytes() {
        [a, b] if a.is_ascii_digit() && b.is_ascii_digit() => text.parse::<u8>().ok(),
        _ => None,
    };
    Some((number(hours)?, number(minutes).filter(|minutes| *minutes < 60)?))
}

fn parse_day(text: &str) -> Option<Weekday> {
    Some(match text {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}
