//! What an exchange costs beside the pass that it is part of: the batch norms of a ResNet-50, a batch of 32 spread over the processes.
//! `cargo xtask bench-mpi` runs it with 1, 2 and 4 of them; BENCHMARKS.md says what the columns are.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gpunorm::mpi::traits::Communicator;
use gpunorm::mpi::{self, Threading};
use gpunorm::{BatchNorm, Collective, DType, Gpu, GpuNorm, ProcessGroup, Tensor, or_abort};
use serde_json::{Value, json};

const BATCH: usize = 32;
const TURNS: usize = 5;
const EXCHANGES: usize = 200;

/// Layers of a ResNet-50 (He et al. 2015, stride in the 3×3 convolutions) by channels and height: 53 in all.
const LAYERS: [(usize, usize, usize); 12] = [
    (64, 112, 1),
    (64, 56, 6),
    (256, 56, 4),
    (128, 56, 1),
    (128, 28, 7),
    (512, 28, 5),
    (256, 28, 1),
    (256, 14, 11),
    (1024, 14, 7),
    (512, 14, 1),
    (512, 7, 5),
    (2048, 7, 4),
];

/// A group that knows how long it has exchanged, with what it has waited for the others.
#[derive(Debug)]
struct Timed {
    group: ProcessGroup,
    nanoseconds: Arc<AtomicU64>,
}

impl Collective for Timed {
    fn rank(&self) -> usize {
        self.group.rank()
    }

    fn size(&self) -> usize {
        self.group.size()
    }

    fn all_gather(&self, own: &[u8]) -> gpunorm::Result<Vec<Vec<u8>>> {
        let start = Instant::now();
        let gathered = self.group.all_gather(own);
        self.nanoseconds.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        gathered
    }
}

fn main() {
    let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).expect("MPI starts once");
    let world = universe.world();
    or_abort(&world, run(&world));
}

fn run(world: &impl Communicator) -> Result<(), Box<dyn Error>> {
    let gpu = Gpu::new()?;
    let group = ProcessGroup::mpi(world, Duration::from_secs(600))?;
    let nanoseconds = Arc::default();
    let timed = ProcessGroup::new(Timed { group: group.clone(), nanoseconds: Arc::clone(&nanoseconds) });
    if group.rank() == 0 {
        println!("{} processes on {}, {BATCH} samples, milliseconds", group.size(), gpu.adapter_info().name);
        println!("{:<14} {:>6} {:>27} {:>27} {:>10}", "", "", "forward", "backward", "");
        let [alone, shared, exchange] = ["alone", "shared", "exchange"];
        println!(
            "{:<14} {:>6} {alone:>8} {shared:>8} {exchange:>9} {alone:>8} {shared:>8} {exchange:>9} {:>10}",
            "shape", "layers", "MPI µs"
        );
    }
    let mut rows = vec![];
    for (channels, height, layers) in LAYERS {
        let shape = [BATCH / group.size(), channels, height, height];
        let row = measure(&gpu, &group, &timed, &nanoseconds, shape)?;
        if group.rank() == 0 {
            let [forward, backward] = ["forward", "backward"].map(|pass| &row[pass]);
            let of = |pass: &Value, key: &str| pass[key].as_f64().unwrap_or(f64::NAN);
            print!("{:<14} {layers:>6}", format!("{channels}×{height}×{height}"));
            for pass in [forward, backward] {
                let [alone, shared, exchange] = ["alone_ms", "shared_ms", "exchange_ms"].map(|key| of(pass, key));
                print!(" {alone:>8.2} {shared:>8.2} {exchange:>9.2}");
            }
            println!(" {:>10.1}", of(&row, "gather_us"));
        }
        rows.push(json!({"channels": channels, "height": height, "layers": layers, "times": row}));
    }
    if let (0, Some(path)) = (group.rank(), std::env::args().nth(1)) {
        let info = gpu.adapter_info();
        let report = json!({
            "adapter": info.name, "backend": format!("{:?}", info.backend), "driver_info": info.driver_info,
            "cpu_threads": std::thread::available_parallelism()?.get(), "mpi": mpi::environment::library_version()?,
            "processes": group.size(), "batch": BATCH, "turns": TURNS, "rows": rows,
        });
        std::fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    Ok(())
}

/// Medians of several turns, of the process that takes longest.
fn measure(
    gpu: &Gpu,
    group: &ProcessGroup,
    timed: &ProcessGroup,
    nanoseconds: &AtomicU64,
    shape: [usize; 4],
) -> Result<Value, Box<dyn Error>> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i * 7919 % 1009) as f32 / 1009.0).collect();
    let [x, dy] = [0; 2].map(|_| Tensor::from_slice(gpu, &values, &shape));
    let (x, dy) = (x?, dy?);
    let spec = BatchNorm::new(shape[1]);
    let alone = GpuNorm::new(gpu, spec.clone())?;
    let mut shared = GpuNorm::new(gpu, spec)?;
    shared.set_process_group(Some(timed));
    let wait = || gpu.device().poll(wgpu_wait()).map(drop);
    let mut times: [[Vec<f64>; 3]; 2] = Default::default();
    for turn in 0..=TURNS {
        for (k, norm) in [&alone, &shared].into_iter().enumerate() {
            // All begin at once.
            group.all_gather(&[])?;
            nanoseconds.store(0, Ordering::Relaxed);
            let start = Instant::now();
            let (_, saved) = norm.forward_saved(&x)?;
            wait()?;
            let (forward, exchanged) = (start.elapsed(), nanoseconds.swap(0, Ordering::Relaxed));
            group.all_gather(&[])?;
            let start = Instant::now();
            norm.backward(&dy, &saved)?;
            wait()?;
            let backward = start.elapsed();
            // The first turn compiles.
            if turn == 0 {
                continue;
            }
            for (pass, time, exchanged) in
                [(0, forward, exchanged), (1, backward, nanoseconds.swap(0, Ordering::Relaxed))]
            {
                times[pass][k].push(time.as_secs_f64() * 1e3);
                if k == 1 {
                    times[pass][2].push(exchanged as f64 / 1e6);
                }
            }
        }
    }
    let mut row = json!({});
    for (pass, times) in ["forward", "backward"].into_iter().zip(times) {
        for (key, times) in ["alone_ms", "shared_ms", "exchange_ms"].into_iter().zip(times) {
            row[pass][key] = json!(slowest(group, median(times))?);
        }
    }
    // What an exchange of a forward costs where nobody waits for a GPU.
    let moments = vec![0; 88 + 16 * shape[1]];
    let gathers = (0..EXCHANGES).map(|_| {
        let start = Instant::now();
        group.all_gather(&moments)?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    });
    row["gather_us"] = json!(slowest(group, median(gathers.collect::<gpunorm::Result<_>>()?))?);
    row["dtype"] = json!(DType::F32.to_string());
    Ok(row)
}

fn wgpu_wait() -> gpunorm::wgpu::PollType {
    gpunorm::wgpu::PollType::wait_indefinitely()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The largest of all processes' numbers.
fn slowest(group: &ProcessGroup, own: f64) -> gpunorm::Result<f64> {
    let all = group.all_gather(&own.to_le_bytes())?;
    let numbers = all.iter().filter_map(|bytes| Some(f64::from_le_bytes(bytes.as_slice().try_into().ok()?)));
    Ok(numbers.fold(0.0, f64::max))
}
