//! A small scenario, with every single call of it failing once, and the power going at every single call.

use std::{
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use kluis_vault::simulation::Fault;

use crate::{
    model::Told,
    run::{Run, Trace},
};

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy)]
enum Mishap {
    PowerCut,
    Fails(Fault),
}

const MISHAPS: [Mishap; 4] = [
    Mishap::PowerCut,
    Mishap::Fails(Fault::Error(ErrorKind::Other)),
    Mishap::Fails(Fault::Torn(ErrorKind::StorageFull)),
    Mishap::Fails(Fault::Short),
];

/// A new object, a large one, a duplicate, other bytes, sealing, one that comes late, a watermark.
async fn scenario(run: &mut Run) {
    for (item, version) in [(1, 0), (0, 0), (1, 0), (1, 1)] {
        if run.machine.disk.is_dead() {
            return;
        }
        run.send(item, version).await;
    }
    run.seal().await;
    run.send(2, 0).await;
    run.settle_now().await;
    run.look().await;
}

/// The calls of the scenario, where nothing goes wrong.
async fn undisturbed(seed: u64) -> u64 {
    let mut run = Run::new(seed, Trace::default());
    run.restart(false).await;
    let before = run.machine.disk.total();
    scenario(&mut run).await;
    let calls = run.machine.disk.total() - before;
    run.check().await;
    calls
}

async fn disturbed(call: u64, seed: u64, mishap: Mishap, trace: Trace) {
    let mut run = Run::new(seed, trace);
    run.restart(false).await;
    match mishap {
        Mishap::PowerCut => run.machine.disk.cut_power(call),
        Mishap::Fails(fault) => run.machine.disk.fail_call(call, fault),
    }
    scenario(&mut run).await;
    if !matches!(mishap, Mishap::PowerCut) {
        // one failure is over when it is over: the node goes on, or does so after a start
        run.machine.disk.heal();
        for (item, version) in [(1, 0), (2, 0)] {
            let told = run.send(item, version).await;
            assert_ne!(told, Told::Conflict);
        }
    }
    run.crash().await;
    run.restart(false).await;
    run.check().await;
}

#[test]
fn every_call_fails_once_and_the_power_goes_at_every_call() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // large objects gathered, and spilled
    let calls = (0..2).map(|seed| runtime().block_on(undisturbed(seed))).max().unwrap();
    println!("{calls} calls");
    let next = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let (round, mishap) = (number / MISHAPS.len() as u64, number % MISHAPS.len() as u64);
                    let (call, seed) = (round / 2, round);
                    if call > calls {
                        return;
                    }
                    let mishap = MISHAPS[usize::try_from(mishap).unwrap()];
                    let trace = Trace::default();
                    let work = disturbed(call, seed, mishap, Trace::clone(&trace));
                    if catch_unwind(AssertUnwindSafe(|| runtime().block_on(work))).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        let steps = trace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        println!("call {call}, seed {seed}, {mishap:?} failed\n{}\n", steps.join("\n"));
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0);
}
