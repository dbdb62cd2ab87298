//! How long a pass takes: on the GPU's own clock and on the wall, against copying a tensor of its size.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use gpunorm::plan::Plan;
use gpunorm::{Gpu, Strategy, Tensor};
use wgpu::CommandEncoder;

use super::backward::Backward;
use super::cases::Case;
use super::clock::Clock;
use super::copy::Copies;
use super::forward::Forward;

/// Tensors take turns until so many bytes have passed, more than any last-level cache holds four times.
const ROTATION_BYTES: u64 = 256 << 20;
const MOST_TURNS: u64 = 16;
/// Passes that are recorded to time the recording.
const RECORDED: u32 = 100;

/// A forward or a backward of a layer, over tensors that take turns.
pub trait Pass {
    fn plan(&self) -> gpunorm::Result<Plan>;

    /// The least bytes that it moves, in copies of its input.
    fn floor(&self) -> f64;

    /// An input and an output for each turn. They are also what is copied, which poisons the outputs.
    fn pairs(&self) -> &[(Tensor, Tensor)];

    fn record(&self, encoder: &mut CommandEncoder, turn: usize) -> gpunorm::Result<()>;

    /// The same on the CPU.
    fn on_cpu(&mut self);

    /// From an array to an array, by way of the GPU.
    fn arrays(&self) -> Result<(), Box<dyn Error>>;

    /// Every element of every turn's outputs against the CPU's, within what rounding may do to both.
    fn check(&self) -> Result<(), Box<dyn Error>>;
}

/// A backward or a forward of a case.
pub fn pass<'a>(
    gpu: &'a Gpu,
    case: &'a Case,
    backward: bool,
    strategy: Strategy,
) -> Result<Box<dyn Pass + 'a>, Box<dyn Error>> {
    Ok(match backward {
        true => Box::new(Backward::new(gpu, case, strategy)?),
        false => Box::new(Forward::new(gpu, case, strategy)?),
    })
}

/// How many sets of tensors take turns, if a pass has `tensors` of `len` f32 elements each.
pub fn turns(tensors: usize, len: usize) -> u64 {
    ROTATION_BYTES.div_ceil(4 * (tensors * len) as u64).min(MOST_TURNS)
}

/// What was measured of a case; times are medians.
pub struct Row {
    pub strategy: String,
    pub dispatches: usize,
    pub plan: String,
    /// The fastest copy kernel.
    pub copy: Duration,
    /// The least bytes that the pass moves, in copies of the tensor.
    pub floor: f64,
    /// A pass on the GPU's clock, the gaps between its dispatches included.
    pub gpu: Duration,
    /// A pass alone: recorded, submitted and waited for.
    pub wall: Duration,
    /// The same on the CPU.
    pub cpu: Duration,
    /// What recording a pass costs the CPU.
    pub host: Duration,
    /// Upload, pass and readback.
    pub arrays: Duration,
    /// Two copies of the array by the CPU: what that cannot go below.
    pub memcpy: Duration,
    /// The least that has to be read and written.
    pub bytes: f64,
}

impl Row {
    /// The time that copying the least bytes would take ÷ the pass's.
    pub fn ratio(&self) -> f64 {
        self.floor * self.copy.as_secs_f64() / self.gpu.as_secs_f64()
    }

    pub fn gigabytes_per_second(&self) -> f64 {
        self.bytes / self.gpu.as_secs_f64() / 1e9
    }

    pub fn speed_up(&self) -> f64 {
        self.cpu.as_secs_f64() / self.gpu.as_secs_f64()
    }
}

/// Measures one pass.
pub fn measure(gpu: &Gpu, copies: &Copies, pass: &mut dyn Pass, runs: usize) -> Result<Row, Box<dyn Error>> {
    let clock = Clock::new(gpu);
    let turns = pass.pairs().len();
    let bytes = pass.pairs()[0].0.buffer().size();
    let array = vec![1.0f32; bytes as usize / 4];
    let fastest = copies.fastest(&clock, pass.pairs())?;
    let [mut copy, mut on_gpu, mut wall, mut on_cpu, mut recording, mut arrays, mut memcpy] = [const { vec![] }; 7];
    for run in 0..runs + 2 {
        let copying = clock.gpu(&|encoder| {
            pass.pairs().iter().for_each(|(from, to)| fastest.record(gpu, encoder, from, to));
            Ok(())
        })?;
        let running = clock.gpu(&|encoder| (0..turns).try_for_each(|turn| pass.record(encoder, turn)))?;
        let alone = clock.wall(&|encoder| pass.record(encoder, 0))?;
        // The second of two: the GPU's turn has emptied the caches, which a loop of passes would find filled.
        pass.on_cpu();
        let (computing, ()) = timed(|| pass.on_cpu());
        let mut unused = gpu.device().create_command_encoder(&Default::default());
        let (recordings, recorded) = timed(|| (0..RECORDED).try_for_each(|_| pass.record(&mut unused, 0)));
        recorded?;
        let (round_trip, done) = timed(|| pass.arrays());
        done?;
        let (twice, _) = timed(|| black_box(black_box(array.to_vec()).to_vec()));
        // The first two warm up: pipelines, caches, first use of memory.
        if run >= 2 {
            copy.push(copying / turns as u32);
            on_gpu.push(running / turns as u32);
            wall.push(alone);
            on_cpu.push(computing);
            recording.push(recordings / RECORDED);
            arrays.push(round_trip);
            memcpy.push(twice);
        }
    }
    pass.check()?;
    let plan = pass.plan()?;
    let kernel = plan.steps[0].kernel;
    let name = kernel.name().split_once('_').map_or(kernel.name(), |(_, name)| name);
    Ok(Row {
        strategy: format!("{name} / {:?}", kernel.team()).to_lowercase(),
        dispatches: plan.steps.len(),
        plan: plan.to_string(),
        copy: median(copy),
        floor: pass.floor(),
        gpu: median(on_gpu),
        wall: median(wall),
        cpu: median(on_cpu),
        host: median(recording),
        arrays: median(arrays),
        memcpy: median(memcpy),
        bytes: 2.0 * bytes as f64 * pass.floor(),
    })
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// An error unless each of `found` is closer than `tolerance` to what was `expected`.
pub fn compare(what: &str, found: &[f32], expected: &[f32], tolerance: f64) -> Result<(), Box<dyn Error>> {
    if found.len() != expected.len() {
        return Err(format!("{what} has {} elements on the GPU and {} on the CPU", found.len(), expected.len()).into());
    }
    let wrong = |(found, expected): (&f32, &f32)| found.is_nan() || f64::from((found - expected).abs()) > tolerance;
    match found.iter().zip(expected).position(wrong) {
        None => Ok(()),
        Some(at) => {
            let (found, expected) = (found[at], expected[at]);
            Err(format!("{what}: element {at} is {found} on the GPU and {expected} on the CPU").into())
        }
    }
}

/// The largest absolute value.
pub fn magnitude(values: &[f32]) -> f64 {
    f64::from(values.iter().fold(0f32, |most, value| most.max(value.abs())))
}
