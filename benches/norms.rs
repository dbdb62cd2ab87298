//! Every norm against copying its bytes on the same adapter in the same run (`cargo xtask bench`).
//!
//! `ratio` is the time of the fastest of a few copy kernels over the tensor's bytes, one read and one write, divided by
//! the norm's: norms only move bytes, so 1 is the most that one which reads and writes once can reach, and 0.67 where x
//! has to be read twice. Times are the GPU's own (wall time where it has no timestamps), medians of interleaved runs;
//! outputs are poisoned before and checked after.
//!
//! Arguments: `--quick` (fewer runs), `--json FILE`, and words that a case's name must contain.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use gpunorm::{
    BatchNorm, DType, Gpu, GpuNorm, GroupNorm, InstanceNorm, LayerNorm, NormSpec, RmsNorm, SwitchableNorm, Tensor,
};
use ndarray::{ArrayD, IxDyn};

use copy::Copies;

#[path = "copy.rs"]
mod copy;

struct Case {
    name: &'static str,
    spec: NormSpec,
    shape: Vec<usize>,
    evaluation: bool,
}

fn cases() -> Vec<Case> {
    let case = |name, spec: NormSpec, shape: &[usize]| Case { name, spec, shape: shape.to_vec(), evaluation: false };
    vec![
        case("LayerNorm", LayerNorm::new([1024]).into(), &[16384, 1024]),
        case("RmsNorm", RmsNorm::new([1024]).into(), &[16384, 1024]),
        case("LayerNorm", LayerNorm::new([4096]).into(), &[4096, 4096]),
        case("RmsNorm", RmsNorm::new([4096]).into(), &[4096, 4096]),
        case("LayerNorm, short rows", LayerNorm::new([64]).into(), &[262_144, 64]),
        case("LayerNorm, long rows", LayerNorm::new([262_144]).into(), &[64, 262_144]),
        case("GroupNorm(32)", GroupNorm::new(32, 64).into(), &[16, 64, 112, 112]),
        case("InstanceNorm", InstanceNorm::new(64).into(), &[16, 64, 112, 112]),
        case("GroupNorm(32), one image", GroupNorm::new(32, 512).into(), &[1, 512, 64, 64]),
        case("InstanceNorm, one image", InstanceNorm::new(64).into(), &[1, 64, 512, 512]),
        case("BatchNorm", BatchNorm::new(64).into(), &[32, 64, 112, 112]),
        case("BatchNorm, columns", BatchNorm::new(256).into(), &[65_536, 256]),
        Case { evaluation: true, ..case("BatchNorm, evaluation", BatchNorm::new(64).into(), &[32, 64, 112, 112]) },
        case("SwitchableNorm", SwitchableNorm::new(64).into(), &[16, 64, 112, 112]),
        case("BatchNorm, small", BatchNorm::new(64).into(), &[8, 64, 7, 7]),
        case("BatchNorm, small", BatchNorm::new(512).into(), &[32, 512, 7, 7]),
    ]
}

struct Row {
    name: &'static str,
    shape: Vec<usize>,
    dispatches: usize,
    why: String,
    /// The last run's time of each dispatch.
    steps: Vec<(&'static str, Duration)>,
    copy: Duration,
    gpu: Duration,
    wall: Duration,
    bytes: u64,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.copy.as_secs_f64() / self.gpu.as_secs_f64()
    }

    fn gigabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.gpu.as_secs_f64() / 1e9
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut runs = 9;
    let mut json = None;
    let mut words = vec![];
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => runs = 3,
            "--json" => json = Some(args.next().ok_or("--json needs a file")?),
            "--bench" => {} // what `cargo bench` passes
            word => words.push(word.to_lowercase()),
        }
    }
    let gpu = Gpu::new()?;
    let info = gpu.adapter_info();
    println!("{} ({:?}, {} {})\n", info.name, info.backend, info.driver, info.driver_info);
    let copies = Copies::new(&gpu)?;
    let all = cases();
    let chosen: Vec<&Case> =
        all.iter().filter(|case| words.iter().all(|word| case.name.to_lowercase().contains(word))).collect();
    let mut rows = vec![];
    for (index, case) in chosen.iter().enumerate() {
        if std::io::stderr().is_terminal() {
            eprint!("\r{}/{} {} {:?}          ", index + 1, chosen.len(), case.name, case.shape);
            std::io::stderr().flush()?;
        }
        rows.push(measure(&gpu, &copies, case, runs)?);
    }
    eprint!("\r{:60}\r", "");
    print_table(&rows);
    if let Some(path) = json {
        std::fs::write(&path, to_json(&info, runs, &rows))?;
        println!("\nwrote {path}");
    }
    Ok(())
}

fn measure(gpu: &Gpu, copies: &Copies, case: &Case, runs: usize) -> Result<Row, Box<dyn Error>> {
    let mut norm = GpuNorm::new(gpu, case.spec.clone())?;
    if case.evaluation {
        norm.eval();
    }
    // Values of no special kind around a mean of 3 with a deviation of about 2.
    let mut seed = 1u32;
    let x = ArrayD::from_shape_simple_fn(IxDyn(&case.shape), || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 24) as f32 * 7.0 - 0.5
    });
    let x = Tensor::from_array(gpu, &x)?;
    let y = Tensor::from_array(gpu, &ArrayD::from_elem(IxDyn(&case.shape), f32::NAN))?;
    let target = Tensor::zeros(gpu, &case.shape, DType::F32)?;
    let plan = norm.plan(&case.shape)?;
    let wall = |work: &dyn Fn(&mut wgpu::CommandEncoder) -> Result<(), gpunorm::Error>| {
        let start = Instant::now();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        work(&mut encoder)?;
        gpu.queue().submit([encoder.finish()]);
        gpu.device().poll(wgpu::PollType::wait_indefinitely())?;
        Ok::<_, Box<dyn Error>>(start.elapsed())
    };
    let (mut copy, mut on_gpu, mut walls, mut last) = (vec![], vec![], vec![], vec![]);
    for run in 0..runs + 2 {
        let best = copies.best(&x, &target)?;
        let whole = wall(&|encoder| norm.encode_forward(encoder, &x, &y))?;
        let steps = norm.profile(&x, &y)?;
        // The first two warm up: pipelines, caches, first use of memory.
        if run >= 2 {
            copy.push(best);
            walls.push(whole);
            on_gpu.push(steps.as_ref().map_or(whole, |steps| steps.iter().map(|(_, time)| *time).sum()));
            last = steps.unwrap_or_default();
        }
    }
    let result = y.to_array()?;
    if let Some(place) = result.iter().position(|value| !value.is_finite()) {
        return Err(format!("{} {:?}: element {place} was not written", case.name, case.shape).into());
    }
    Ok(Row {
        name: case.name,
        shape: case.shape.clone(),
        dispatches: plan.steps.len(),
        why: plan.why,
        steps: last,
        copy: median(copy),
        gpu: median(on_gpu),
        wall: median(walls),
        bytes: 8 * x.len() as u64,
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn print_table(rows: &[Row]) {
    println!(
        "{:<26} {:<20} {:>10} {:>10} {:>10} {:>10} {:>7} {:>6}",
        "case", "shape", "dispatches", "copy", "GPU", "wall", "GB/s", "ratio"
    );
    for row in rows {
        let ms = |time: Duration| format!("{:.3} ms", time.as_secs_f64() * 1e3);
        println!(
            "{:<26} {:<20} {:>10} {:>10} {:>10} {:>10} {:>7.2} {:>6.2}",
            row.name,
            format!("{:?}", row.shape).replace(", ", "x"),
            row.dispatches,
            ms(row.copy),
            ms(row.gpu),
            ms(row.wall),
            row.gigabytes_per_second(),
            row.ratio()
        );
    }
}

fn to_json(info: &wgpu::AdapterInfo, runs: usize, rows: &[Row]) -> String {
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            let steps: Vec<_> = row.steps.iter().map(|(step, time)| (step, time.as_secs_f64() * 1e3)).collect();
            serde_json::json!({
                "steps_ms": steps,
                "case": row.name, "shape": row.shape, "dispatches": row.dispatches, "plan": row.why,
                "copy_ms": row.copy.as_secs_f64() * 1e3, "gpu_ms": row.gpu.as_secs_f64() * 1e3,
                "wall_ms": row.wall.as_secs_f64() * 1e3, "gb_per_s": row.gigabytes_per_second(), "ratio": row.ratio(),
            })
        })
        .collect();
    let report = serde_json::json!({
        "adapter": info.name, "backend": format!("{:?}", info.backend), "driver": info.driver,
        "driver_info": info.driver_info, "gpunorm": env!("CARGO_PKG_VERSION"), "runs": runs, "rows": rows,
    });
    format!("{report:#}\n")
}
