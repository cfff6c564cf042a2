//! Runs a target on one input and holds its memory against its bound.

use kluis_hostile::Target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One run. Panics where something does not hold, or where the run took more memory than its target may.
pub fn run(target: &Target, data: &[u8]) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    (target.check)(data);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    let most = (target.memory)(data.len());
    assert!(taken <= most, "{taken} bytes of memory for an input of {} bytes, the bound is {most}", data.len());
}

/// The main of a target of this name.
#[macro_export]
macro_rules! main {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            if let Some(target) = kluis_hostile::target($name) {
                $crate::run(target, data);
            }
        });
    };
}
