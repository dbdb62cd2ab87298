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
pub static DEVICES: LazyLock<Vec<(String, [Gpu; 3])>> = LazyLock::new(|| {
    let whole: Vec<Gpu> = adapters::all().map(|(_, gpu)| gpu.clone()).collect();
    let devices = |((name, adapter), whole): ((&str, &wgpu::Adapter), Gpu)| {
        let [default, downlevel] =
            [Limits::default(), Limits::downlevel_defaults()].map(|limits| of_limits(adapter, limits));
        (name.to_owned(), [whole, default, downlevel])
    };
    devices::adapters().zip(whole).map(devices).collect()
});

/// A device of its own.
pub fn of_limits(adapter: &wgpu::Adapter, limits: Limits) -> Gpu {
    let (device, queue) = devices::device(adapter, limits);
    adapters::checked(Gpu::from_device(device, queue))
}

#[derive(Default)]
struct Tally {
    ran: usize,
    refused: usize,
    failed: Vec<String>,
}

impl Tally {
    /// Runs a case on every adapter.
    fn run(&mut self, seed: u64) {
        let drawn = Drawn::new(seed);
        for (name, gpus) in Turns::over(&DEVICES) {
            match drawn.on(drawn.of(gpus)) {
                Ok(Outcome::Right) => self.ran += 1,
                Ok(Outcome::Refused) => self.refused += 1,
                Err(wrong) => {
                    let told = format!("{name}, {wrong}");
                    println!("\n{told}");
                    self.failed.push(told);
                }
            }
        }
    }
}

/// A case that is drawn, and what it must give.
pub struct Drawn {
    seed: u64,
    case: Case,
    /// Each third one with neighbours, where it can have any.
    beside: Option<Beside>,
    expected: Option<Expected>,
}

/// What came of a case that gave nothing wrong.
pub enum Outcome {
    Right,
    Refused,
}

impl Drawn {
    pub fn new(seed: u64) -> Drawn {
        let case = Case::new(seed);
        let beside = seed.is_multiple_of(3).then(|| Beside::of(&case)).flatten();
        let expected = beside.is_none().then(|| Expected::of(&case));
        Drawn { seed, case, beside, expected }
    }

    /// Of an adapter's devices the one that it is for.
    pub fn of<'a>(&self, gpus: &'a [Gpu; 3]) -> &'a Gpu {
        &gpus[self.case.device]
    }

    /// Runs it; what is wrong says how to run it alone.
    pub fn on(&self, gpu: &Gpu) -> Result<Outcome, String> {
        let Drawn { seed, case, beside, expected } = self;
        let alone = || expected.as_ref().map_or(Ok(()), |expected| expected.check(case, gpu));
        match beside.as_ref().map_or_else(alone, |beside| beside.check(case, gpu)) {
            Ok(()) => Ok(Outcome::Right),
            Err(Failure::Refused(error)) if may_be_refused(case, beside.as_ref(), &error) => Ok(Outcome::Refused),
            Err(failure) => {
                Err(format!("{failure}\n    GPUNORM_TEST_SEED={seed} GPUNORM_FUZZ_SECONDS=0: {case:?}\n    {beside:?}"))
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
