//! The only place of the inspector where the wall clock is read.

use time::OffsetDateTime;

/// Now, in UTC, without the part of a second.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now)
}
