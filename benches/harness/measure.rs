//! How long a pass takes: on the GPU's own clock and on the wall, against copying a tensor of its size.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use gpunorm::Gpu;

use super::clock::Clock;
use super::copy::Copies;
use super::pass::Pass;

/// Passes that are recorded to time the recording.
const RECORDED: u32 = 100;

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
    let fastest = clock.fastest(copies, pass.pairs())?;
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
        dispatches: plan.dispatches(),
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

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
