//! Every limit of the index in one place.

/// Most rows of one answer.
pub const MAX_LIMIT: u32 = 1_000;
/// Most rows passed over; an offset is served by walking.
pub const MAX_OFFSET: u32 = 10_000;
/// Most filters of one query.
pub const MAX_FILTERS: usize = 64;
/// Most values of one list (UID lists, multiple values), and most UIDs asked about at once.
pub const MAX_VALUES: usize = 1_000;
/// Most bytes of one value or pattern in a filter.
pub const MAX_VALUE_BYTES: usize = 4_096;
/// Most rows looked at in memory for one search whose filters the database cannot answer by itself.
pub const MAX_ROWS_WALKED: u32 = 100_000;
/// Most instances in one insert.
pub const MAX_BATCH: usize = 10_000;
/// Most rows of one answer of [`crate::Index::instances`]; a study beyond it is listed series by series.
pub const MAX_INSTANCES: usize = 200_000;

/// Most entries of the worklist: those of 1,200 examinations a day for 80 days.
pub const MAX_ENTRIES: i64 = 100_000;
/// Most bytes of the attributes of one entry, as JSON.
pub const MAX_ENTRY_BYTES: usize = 64 << 10;
/// How long an entry stays whose steps have ended, in days.
pub const ENDED_ENTRY_DAYS: i64 = 30;
/// Most performed procedure steps: those of 1,200 examinations a day for 11 years.
pub const MAX_STEPS: i64 = 5_000_000;
/// Most bytes of the attributes of one performed procedure step, as JSON.
pub const MAX_STEP_BYTES: usize = 8 << 20;

/// So far the last arrival that a series tells may be behind its latest instance, in nanoseconds (1 s): a series that is
/// just coming is not written for each instance. So it may be sealed so much earlier; what comes later is sealed with it.
pub const ARRIVAL_LAG_NS: i64 = 1_000_000_000;
