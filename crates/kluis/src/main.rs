//! The `kluis` command.
fn main() {}
