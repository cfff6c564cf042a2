//! Clients at work: connections made first, then all begin at once.
//!
//! May not contain: protocols.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

use crate::reading::Work;

/// What one connection did: the time and the payload bytes of each operation.
pub type Done = Vec<(Duration, u64)>;

/// Runs `count` clients, each in a thread. `open` prepares the client of that number; `work` runs when all are ready. The
/// clock runs from then to the end of the last.
pub fn run<C>(
    count: usize,
    open: impl Fn(usize) -> Result<C> + Sync,
    work: impl Fn(usize, C) -> Result<Done> + Sync,
) -> Result<Work> {
    let ready = Barrier::new(count);
    let (open, work, ready) = (&open, &work, &ready);
    let outcomes: Vec<Result<(Instant, Instant, Done)>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn(move || {
                    let client = open(number);
                    // also where opening failed: the others wait for this one
                    ready.wait();
                    let begun = Instant::now();
                    let done = work(number, client?)?;
                    Ok((begun, Instant::now(), done))
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap_or_else(|_| Err(anyhow!("a client broke off")))).collect()
    });
    let mut all = Work::default();
    let (mut first, mut last): (Option<Instant>, Option<Instant>) = (None, None);
    for outcome in outcomes {
        let (begun, ended, done) = outcome?;
        first = Some(first.map_or(begun, |first| first.min(begun)));
        last = Some(last.map_or(ended, |last| last.max(ended)));
        for (time, bytes) in done {
            all.latencies.push(time);
            all.bytes = all.bytes.saturating_add(bytes);
        }
    }
    all.elapsed = first.zip(last).map(|(first, last)| last.duration_since(first)).unwrap_or_default();
    Ok(all)
}

/// Does each of `items` and notes how long it took; `operation` gives its payload bytes.
pub fn each<T>(items: impl IntoIterator<Item = T>, mut operation: impl FnMut(T) -> Result<u64>) -> Result<Done> {
    let mut done = Done::new();
    for item in items {
        let begun = Instant::now();
        let bytes = operation(item)?;
        done.push((begun.elapsed(), bytes));
    }
    Ok(done)
}

/// The same again and again for so long.
pub fn during(time: Duration, mut operation: impl FnMut(usize) -> Result<u64>) -> Result<Done> {
    let until = Instant::now() + time;
    each((0..).take_while(|_| Instant::now() < until), &mut operation)
}
