//! The wall clock: only for the date on the page of results.

use time::OffsetDateTime;

/// Now, in UTC.
#[allow(clippy::disallowed_methods, reason = "the one place that asks the wall clock")]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
