//! Named attacks through the public doors: each is refused, and the node goes on.

mod canary;
mod generated;
mod hostile;
mod peers;
mod refusals;
