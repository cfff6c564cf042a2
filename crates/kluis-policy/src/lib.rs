//! Who may do what: [`Principal`], [`Operation`] and [`Facts`] give a [`Decision`].
//!
//! Pure: no IO, no async, no clock. Everything that a decision depends on is an argument, so that every row of the
//! permission table can be tested by itself. The gate in `kluis-archive` is the only caller of [`decide`].

mod decide;
mod operation;
mod principal;
mod route;

pub use decide::{Decision, Denial, Facts, RowFilter, decide};
pub use operation::{Door, Level, LogName, Operation, Target};
pub use principal::{DeviceRight, DeviceRights, ParseRightError, ParseRoleError, Principal, Role, Transport};
pub use route::{Condition, Hours, ParseHoursError, Route};
