//! Associations without IO: the state machine of PS3.8 9.2 as a table, negotiation as a function, violations by name.

mod machine;
mod negotiation;
mod violation;

pub use machine::{Action, Event, Machine, Role, State};
pub use negotiation::{Acceptor, Context, Negotiated, negotiate};
pub use violation::Violation;

#[cfg(test)]
mod tests;
