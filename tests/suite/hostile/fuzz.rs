//! Random layers, shapes, values, element types, devices, strategies and ways to call, against a computation of the
//! tests' own. `GPUNORM_FUZZ_SECONDS` says for how long; a case that fails says how to run it alone.

use std::io::Write;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use gpunorm::unstable::Strategy;
use gpunorm::{DType, Error, Gpu};
use wgpu::Limits;

use super::super::adapters::Turns;
use super::super::{adapters, devices, settings};
use super::isolated_for;
use beside::Beside;
use case::Case;
use run::{Expected, Failure};

mod agreement;
mod beside;
pub mod case;
mod exact;
mod gradients;
pub mod layer;
mod placed;
pub mod run;

const CASES: u32 = 130;

/// Failures after which there are enough to look at.
const ENOUGH: usize = 20;

/// Each adapter's whole device, one of WebGPU's default limits and one of GLES 3.1's.
static DEVICES: LazyLock<Vec<(String, [Gpu; 3])>> = LazyLock::new(|| {
    let whole: Vec<Gpu> = adapters::all().map(|(_, gpu)| gpu.clone()).collect();
    let devices = |((name, adapter), whole): ((&str, &wgpu::Adapter), Gpu)| {
        let [default, downlevel] = [Limits::default(), Limits::downlevel_defaults()].map(|limits| {
            let (device, queue) = devices::device(adapter, limits);
            adapters::checked(Gpu::from_device(device, queue))
        });
        (name.to_owned(), [whole, default, downlevel])
    };
    devices::adapters().zip(whole).map(devices).collect()
});

#[derive(Default)]
struct Tally {
    ran: usize,
    refused: usize,
    failed: Vec<String>,
}

impl Tally {
    /// Runs a case on every adapter.
    fn run(&mut self, seed: u64) {
        let case = Case::new(seed);
        // Each third one with neighbours, where it can have any.
        let beside = seed.is_multiple_of(3).then(|| Beside::of(&case)).flatten();
        let expected = beside.is_none().then(|| Expected::of(&case));
        for (name, gpus) in Turns::over(&DEVICES) {
            let gpu = &gpus[case.device];
            let alone = || expected.as_ref().map_or(Ok(()), |expected| expected.check(&case, gpu));
            match beside.as_ref().map_or_else(alone, |beside| beside.check(&case, gpu)) {
                Ok(()) => self.ran += 1,
                Err(Failure::Refused(error)) if may_be_refused(&case, beside.as_ref(), &error) => self.refused += 1,
                Err(failure) => {
                    let again = format!("GPUNORM_TEST_SEED={seed} GPUNORM_FUZZ_SECONDS=0");
                    let told = format!("{again}: {name}, {failure}\n    {case:?}\n    {beside:?}");
                    println!("\n{told}");
                    self.failed.push(told);
                }
            }
        }
    }
}

/// Only what a device lacks, or a strategy that was asked for.
fn may_be_refused(case: &Case, beside: Option<&Beside>, error: &Error) -> bool {
    match error {
        // 16-bit sums whose rows share words; a backward keeps one too.
        Error::Neighbour { .. } => beside.is_some_and(Beside::adds_before) && case.dtype != DType::F32,
        Error::TooLarge { unit: "storage buffers", .. } if beside.is_some() => true,
        Error::TooLarge { .. } => !case.is_plain(),
        Error::Strategy { .. } => case.strategy != Strategy::default(),
        _ => false,
    }
}

/// The same cases on every machine, however fast; for `GPUNORM_FUZZ_SECONDS` as many as there is time for.
#[test]
fn random_cases() {
    let seconds: Option<u64> = settings::number("GPUNORM_FUZZ_SECONDS");
    // The driver may have to compile every kernel: 100 s alone with Mesa's shader cache empty, longer beside other tests.
    let limit = settings::within(seconds.map_or(600, |seconds| seconds + 120));
    isolated_for(limit, "fuzz::random_cases", &[], || {
        let (start, first) = (Instant::now(), settings::seed());
        let is_over = |done: u64| match seconds {
            Some(seconds) => start.elapsed() >= Duration::from_secs(seconds),
            None => done >= settings::count(CASES).into(),
        };
        let mut tally = Tally::default();
        for seed in first.. {
            // What a crash leaves to read.
            print!("\rcase {seed}");
            std::io::stdout().flush().unwrap();
            tally.run(seed);
            if is_over(seed - first + 1) || tally.failed.len() >= ENOUGH {
                break;
            }
        }
        println!("\n{} ran, {} refused, {} failed", tally.ran, tally.refused, tally.failed.len());
        assert!(tally.failed.is_empty(), "{}", tally.failed.join("\n"));
        // One case that is run again may be one that a device refuses.
        assert!(tally.ran >= tally.refused || seconds == Some(0), "too much was refused");
    });
}
