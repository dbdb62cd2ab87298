//! How long a forward takes: on the GPU's own clock and on the wall, against copying the same bytes.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use gpunorm::geometry::Geometry;
use gpunorm::{DType, Gpu, Strategy, Tensor, reference};
use ndarray::ArrayView;
use wgpu::CommandEncoder;

use super::cases::Case;
use super::clock::Clock;
use super::copy::Copies;
use crate::cpu::Cpu;

/// Pairs of tensors take turns until so many bytes have passed, more than any last-level cache holds four times.
const ROTATION_BYTES: u64 = 256 << 20;
const MOST_PAIRS: u64 = 16;
/// Forwards that are recorded to time the recording.
const RECORDED: u32 = 100;

/// What was measured of a case; times are medians.
pub struct Row {
    pub strategy: String,
    pub dispatches: usize,
    pub plan: String,
    /// The fastest copy kernel.
    pub copy: Duration,
    /// A forward on the GPU's clock, the gaps between its dispatches included.
    pub gpu: Duration,
    /// A forward alone: recorded, submitted and waited for.
    pub wall: Duration,
    /// The same on the CPU.
    pub cpu: Duration,
    /// What recording a forward costs the CPU.
    pub host: Duration,
    /// `GpuNorm::forward` on arrays: upload, forward and readback.
    pub arrays: Duration,
    /// Two copies of the array by the CPU: what no such forward can go below.
    pub memcpy: Duration,
    /// One read and one write of the tensor.
    pub bytes: u64,
}

impl Row {
    pub fn ratio(&self) -> f64 {
        self.copy.as_secs_f64() / self.gpu.as_secs_f64()
    }

    pub fn gigabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.gpu.as_secs_f64() / 1e9
    }

    pub fn speed_up(&self) -> f64 {
        self.cpu.as_secs_f64() / self.gpu.as_secs_f64()
    }
}

/// Measures one case.
pub fn measure(
    gpu: &Gpu,
    copies: &Copies,
    case: &Case,
    strategy: Strategy,
    runs: usize,
) -> Result<Row, Box<dyn Error>> {
    let mut norm = case.layer(gpu)?;
    norm.set_strategy(strategy);
    let values = case.input();
    let array = ArrayView::from_shape(&case.shape[..], &values)?;
    let bytes = 8 * case.len() as u64;
    let pairs = ROTATION_BYTES.div_ceil(bytes).min(MOST_PAIRS);
    let pairs = (0..pairs).map(|_| {
        let x = Tensor::from_array(gpu, &array)?;
        Ok((x, Tensor::zeros(gpu, &case.shape, DType::F32)?))
    });
    let pairs: Vec<(Tensor, Tensor)> = pairs.collect::<Result<_, Box<dyn Error>>>()?;
    let count = pairs.len() as u32;
    let plan = norm.plan(&case.shape)?;
    let geometry = Geometry::new(&case.spec, case.mode, &case.shape)?;
    let mut cpu = Cpu::new(&case.spec, case.mode, case.parameters());
    let mut expected = vec![f32::NAN; case.len()];

    let clock = Clock::new(gpu);
    let forwards =
        |encoder: &mut CommandEncoder| pairs.iter().try_for_each(|(x, y)| norm.encode_forward(encoder, x, y));
    let fastest = copies.fastest(&clock, &pairs)?;
    let copied = |encoder: &mut CommandEncoder| {
        pairs.iter().for_each(|(x, y)| fastest.record(gpu, encoder, x, y));
        Ok(())
    };
    let (mut copy, mut on_gpu, mut wall, mut on_cpu) = (vec![], vec![], vec![], vec![]);
    let (mut host, mut arrays, mut memcpy) = (vec![], vec![], vec![]);
    for run in 0..runs + 2 {
        // The copy poisons the outputs: what a forward does not write is not normalized.
        let copying = clock.gpu(&copied)? / count;
        let running = clock.gpu(&forwards)? / count;
        let alone = clock.wall(&|encoder| norm.encode_forward(encoder, &pairs[0].0, &pairs[0].1))?;
        // The second of two: the GPU's turn has emptied the caches, which a loop of forwards would find filled.
        cpu.forward(&geometry, &values, &mut expected);
        let start = Instant::now();
        cpu.forward(&geometry, &values, &mut expected);
        let computing = start.elapsed();
        let mut unused = gpu.device().create_command_encoder(&Default::default());
        let start = Instant::now();
        (0..RECORDED).try_for_each(|_| norm.encode_forward(&mut unused, &pairs[0].0, &pairs[0].1))?;
        let recording = start.elapsed() / RECORDED;
        let start = Instant::now();
        black_box(norm.forward(&array)?);
        let round_trip = start.elapsed();
        let start = Instant::now();
        black_box(black_box(values.to_vec()).to_vec());
        let twice = start.elapsed();
        // The first two warm up: pipelines, caches, first use of memory.
        if run >= 2 {
            copy.push(copying);
            on_gpu.push(running);
            wall.push(alone);
            on_cpu.push(computing);
            host.push(recording);
            arrays.push(round_trip);
            memcpy.push(twice);
        }
    }
    for (_, y) in &pairs {
        check(case, &geometry, &y.to_array()?.into_raw_vec_and_offset().0, &expected)?;
    }
    let kernel = plan.steps[0].kernel;
    Ok(Row {
        strategy: format!("{} / {:?}", kernel.name().trim_start_matches("forward_"), kernel.team()).to_lowercase(),
        dispatches: plan.steps.len(),
        plan: plan.to_string(),
        copy: median(copy),
        gpu: median(on_gpu),
        wall: median(wall),
        cpu: median(on_cpu),
        host: median(host),
        arrays: median(arrays),
        memcpy: median(memcpy),
        bytes,
    })
}

/// Every element against the CPU's, within what rounding may do to both.
fn check(case: &Case, geometry: &Geometry, found: &[f32], expected: &[f32]) -> Result<(), Box<dyn Error>> {
    let magnitude = expected.iter().fold(0f32, |most, y| most.max(y.abs()));
    let tolerance = 2.0 * reference::tolerance(f64::from(magnitude), geometry.row_len, DType::F32);
    let wrong = |(found, expected): (&f32, &f32)| found.is_nan() || f64::from((found - expected).abs()) > tolerance;
    match found.iter().zip(expected).position(wrong) {
        None => Ok(()),
        Some(at) => {
            let (found, expected) = (found[at], expected[at]);
            Err(format!("{}: element {at} is {found} on the GPU and {expected} on the CPU", case.id()).into())
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
