//! The behaviour that every implementation of [`Index`] shows, as tests. They fail by panic, and name the case.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod filtering;
mod keeping;
mod levels;
pub mod sample;
mod sealing;
mod searching;
mod storing;

use crate::Index;

/// Runs everything. `make` gives a new, empty index each time.
///
/// # Panics
/// Where the implementation does not do what the trait says.
pub async fn run<I: Index>(make: impl AsyncFn() -> I) {
    storing::new_duplicate_and_conflict(&make().await).await;
    storing::known_sop_instance_in_another_study(&make().await).await;
    storing::rows_as_they_went_in(&make().await).await;
    storing::series_with_one_uid_in_two_studies(&make().await).await;
    searching::study_keys(&make().await).await;
    searching::fuzzy_names(&make().await).await;
    searching::limits(&make().await).await;
    levels::order_and_pages(&make().await).await;
    levels::computed_attributes(&make().await).await;
    levels::series_and_instances(&make().await).await;
    levels::series_for_instances(&make().await).await;
    filtering::rows_of_a_referrer(&make().await).await;
    sealing::seal_and_late_arrival(&make().await).await;
    sealing::seal_of_a_series_that_changed(&make().await).await;
    sealing::insert_behind_a_seal(&make().await).await;
    sealing::quiet_series(&make().await).await;
    keeping::watermark_and_clear(&make().await).await;
    keeping::counts(&make().await).await;
}
